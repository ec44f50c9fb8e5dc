-- The same as before with half the statements, since whoever subscribes waits for them. The log is looked at as it is locked: of a row that others changed meanwhile the newest is taken, and what waits in the outbox is read by a
-- later statement, which sees all that was committed until then. An event that stands beyond the end refuses to be written over, which leaves it to the sequencer. Where nothing waits, another of this transaction has numbered it.
-- The end of the log moves in the same block that numbers: a lock of its row's table (an index that is made of it, a trigger) must let everybody commit, and a row that is locked by one transaction of the server and changed by
-- another leaves a shared lock (multixact) behind.
CREATE OR REPLACE FUNCTION number_at_commit() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
  waiting event_outbox[];
  entry event_outbox;
  head bigint;
  place bigint;
  written xid;
  writer xid;
BEGIN
  -- A snapshot as old as the transaction would not show what others have committed since.
  IF current_setting('transaction_isolation') = 'read committed' THEN
    BEGIN
      SELECT last_position INTO head FROM event_log WHERE vouched = log_voucher(xmin) FOR UPDATE SKIP LOCKED;
      IF FOUND THEN
        waiting := ARRAY(SELECT o FROM event_outbox AS o ORDER BY seq LIMIT 65);
        IF cardinality(waiting) <= 64 THEN -- More is work for somebody whom nobody waits for.
          place := head;
          FOREACH entry IN ARRAY waiting LOOP
            INSERT INTO event (position, event_id, type, subject, payload, recorded_at)
              VALUES (place + 1, entry.event_id, entry.type, entry.subject, entry.payload, entry.recorded_at)
              ON CONFLICT (event_id) DO NOTHING -- It may have been appended again.
              RETURNING xmin INTO written;
            IF FOUND THEN
              place := place + 1;
              writer := written;
            END IF;
            DELETE FROM event_outbox WHERE seq = entry.seq;
          END LOOP;
          -- This block is a transaction of its own to the server, and that is the one the row will be of.
          IF place > head THEN UPDATE event_log SET last_position = place, vouched = log_voucher(writer); END IF;
        END IF;
      END IF;
    EXCEPTION WHEN OTHERS THEN
      place := NULL; -- All of it is undone.
      RAISE WARNING 'Events could not be numbered at commit, the sequencer is left to it: % (%)', SQLERRM, SQLSTATE;
    END;
    IF place IS NOT NULL THEN
      IF place > head THEN PERFORM pg_notify('sluice_log', ''); END IF;
      RETURN NULL;
    END IF;
  END IF;
  PERFORM pg_notify('sluice_unnumbered', '');
  RETURN NULL;
END $$;

DO $$
BEGIN
  EXECUTE format('ALTER FUNCTION number_at_commit() SET search_path = %I, pg_temp', current_schema());
END $$;
-- In a healthy log nothing is waited for.
ALTER FUNCTION number_at_commit() SET lock_timeout = '100ms';

-- One expression, which the server puts in the place of the call; the file of a table has its database in its name.
CREATE OR REPLACE FUNCTION log_voucher(writer xid) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT concat_ws('.', extract(epoch FROM pg_postmaster_start_time()), pg_relation_filepath('event_log'), writer)
$$;
