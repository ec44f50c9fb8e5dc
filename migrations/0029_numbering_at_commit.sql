-- Whoever writes few events gives them their positions himself, at the end of his own transaction, where nobody else is numbering: what is committed is numbered, and subscribers hear of it one transaction
-- earlier. Everything else is left to the sequencer, as before (docs/decisions/0002-event-log.md).

ALTER TABLE event_outbox ADD COLUMN at_commit boolean NOT NULL DEFAULT false; -- its writer numbers it, if he can

-- What the sequencer, which knows what was seen of the log before, has looked at: this row as it stands, in this database, under this server since its start. Whoever numbers writes it anew with the row. So a
-- row that anybody else wrote, files that were put back (for which a server starts), a copy, and a standby that was promoted are numbered by nobody but the sequencer, which looks first.
ALTER TABLE event_log ADD COLUMN vouched text;

-- @param writer the transaction that wrote the row of event_log.
CREATE FUNCTION log_voucher(writer xid) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT concat_ws('.', extract(epoch FROM pg_postmaster_start_time()), d.oid, writer) FROM pg_database AS d WHERE d.datname = current_database()
$$;

-- As the sequencer does (src/db/event-sequencer.ts), and for the same reasons right: under the lock of the one row, taken by a statement of its own, all that is committed by then in the order of seq. It waits for
-- nobody: while somebody else numbers, or there are many events, the sequencer is told. Row by row, each found by a key: plans are kept, and one made for an empty table must be good for a large one.
CREATE FUNCTION number_at_commit() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
  waiting event_outbox[];
  entry event_outbox;
  head bigint;
  place bigint;
BEGIN
  IF NOT EXISTS (SELECT FROM event_outbox WHERE seq = NEW.seq) THEN RETURN NULL; END IF; -- Numbered with another of this transaction.
  -- A snapshot as old as the transaction would not show what others have committed since.
  IF current_setting('transaction_isolation') = 'read committed' THEN
    PERFORM FROM event_log FOR UPDATE SKIP LOCKED;
    IF FOUND THEN
      SELECT last_position INTO head FROM event_log WHERE vouched = log_voucher(xmin);
      place := head;
      IF FOUND AND NOT EXISTS (SELECT FROM event WHERE position = head + 1) THEN
        waiting := ARRAY(SELECT o FROM event_outbox AS o ORDER BY seq LIMIT 65);
        IF cardinality(waiting) <= 64 THEN -- More is work for somebody whom nobody waits for.
          FOREACH entry IN ARRAY waiting LOOP
            INSERT INTO event (position, event_id, type, subject, payload, recorded_at)
              VALUES (place + 1, entry.event_id, entry.type, entry.subject, entry.payload, entry.recorded_at)
              ON CONFLICT (event_id) DO NOTHING; -- It may have been appended again.
            IF FOUND THEN place := place + 1; END IF;
            DELETE FROM event_outbox WHERE seq = entry.seq;
          END LOOP;
          IF place > head THEN
            UPDATE event_log SET last_position = place, vouched = log_voucher(pg_current_xact_id()::xid);
            PERFORM pg_notify('sluice_log', '');
          END IF;
          RETURN NULL;
        END IF;
      END IF;
    END IF;
  END IF;
  PERFORM pg_notify('sluice_unnumbered', '');
  RETURN NULL;
END $$;

DO $$
BEGIN
  EXECUTE format('ALTER FUNCTION number_at_commit() SET search_path = %I, pg_temp', current_schema());
END $$;
-- A trigger of somebody's own table would number what is not committed in the order of its rows.
REVOKE EXECUTE ON FUNCTION number_at_commit() FROM PUBLIC;

CREATE CONSTRAINT TRIGGER numbered_at_commit AFTER INSERT ON event_outbox DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW WHEN (NEW.at_commit) EXECUTE FUNCTION number_at_commit();
