-- Who follows the log asked for each event after the word that there is one, and that was the longest part of its way to a subscriber. Now the word brings the events with it. Any session of the database may listen to a channel and
-- notify it whose name it knows, so what is told goes over one whose name nobody is told: whoever may call listen_to_news() hears what comes, and nobody else can hear it or forge it.
CREATE TABLE news_channel (name text NOT NULL);
INSERT INTO news_channel VALUES ('sluice_news_' || replace(gen_random_uuid()::text, '-', ''));

-- LISTEN is for the session, whoever the function acts as. That a view of activity shows the call and not the name is why this is a function. Of two names, as after the rows of a backup were put beside those of a new database, the same one. Whoever may call this learns the name with each notification, and could tell what never happened: it is for those who may
-- append events anyway (rights.csv).
CREATE FUNCTION listen_to_news() RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
  channel text := (SELECT min(name) FROM news_channel);
BEGIN
  EXECUTE format('LISTEN %I', channel);
  RETURN channel;
END $$;
REVOKE EXECUTE ON FUNCTION listen_to_news() FROM PUBLIC;

-- As before, and tells what it has numbered: [epoch, [position, event id, type, subject, payload, recorded at] …], everything as text, as far as one notification holds it. To everybody it says how far the log reaches.
-- To tell must not keep anybody from committing: the name is read and both notifications are made in the block whose failure leaves the events to the sequencer. What is too long to be told is not put together: a payload may be as long as a stranger's memo.
CREATE OR REPLACE FUNCTION number_at_commit() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
  waiting event_outbox[];
  entry event_outbox;
  head bigint;
  place bigint;
  written xid;
  writer xid;
  own_epoch text;
  channel text;
  news text;
BEGIN
  -- A snapshot as old as the transaction would not show what others have committed since.
  IF current_setting('transaction_isolation') = 'read committed' THEN
    BEGIN
      SELECT last_position, epoch, (SELECT min(name) FROM news_channel) INTO head, own_epoch, channel
        FROM event_log WHERE vouched = log_voucher(xmin) FOR UPDATE SKIP LOCKED;
      IF FOUND THEN
        waiting := ARRAY(SELECT o FROM event_outbox AS o ORDER BY seq LIMIT 65);
        IF cardinality(waiting) <= 64 THEN -- More is work for somebody whom nobody waits for.
          place := head;
          IF channel IS NOT NULL THEN news := to_json(own_epoch)::text; END IF;
          FOREACH entry IN ARRAY waiting LOOP
            INSERT INTO event (position, event_id, type, subject, payload, recorded_at)
              VALUES (place + 1, entry.event_id, entry.type, entry.subject, entry.payload, entry.recorded_at)
              ON CONFLICT (event_id) DO NOTHING -- It may have been appended again.
              RETURNING xmin INTO written;
            IF FOUND THEN
              place := place + 1;
              writer := written;
              -- Null from where it is too long for a notification (8,000 bytes): that is asked for.
              news := CASE WHEN octet_length(news) < 7900
                THEN news || ',' || array_to_json(ARRAY[place::text, entry.event_id, entry.type, entry.subject, entry.payload::text, entry.recorded_at::text])::text END;
            END IF;
            DELETE FROM event_outbox WHERE seq = entry.seq;
          END LOOP;
          IF place > head THEN
            -- This block is a transaction of its own to the server, and that is the one the row will be of.
            UPDATE event_log SET last_position = place, vouched = log_voucher(writer);
            IF octet_length(news) < 7900 THEN PERFORM pg_notify(channel, '[' || news || ']'); END IF;
            PERFORM pg_notify('sluice_log', place::text);
          END IF;
        END IF;
      END IF;
    EXCEPTION WHEN OTHERS THEN
      place := NULL; -- All of it is undone.
      RAISE WARNING 'Events could not be numbered at commit, the sequencer is left to it: % (%)', SQLERRM, SQLSTATE;
    END;
    IF place IS NOT NULL THEN RETURN NULL; END IF;
  END IF;
  PERFORM pg_notify('sluice_unnumbered', '');
  RETURN NULL;
END $$;

DO $$
BEGIN
  EXECUTE format('ALTER FUNCTION number_at_commit() SET search_path = %I, pg_temp', current_schema());
  EXECUTE format('ALTER FUNCTION listen_to_news() SET search_path = %I, pg_temp', current_schema());
END $$;
-- In a healthy log nothing is waited for.
ALTER FUNCTION number_at_commit() SET lock_timeout = '100ms';
