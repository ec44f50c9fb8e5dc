-- Who did what, chained; and indexes for what people look for.

-- ---------------------------------------------------------------------------------------------------------------- audit
--
-- Entries are written by triggers on the tables that hold what people and services decide, so no code path, present or future, can change
-- one of them without an entry in the same transaction. Who acts is told by the API for every mutation (the setting sluice.acting, local to
-- the transaction); where nobody told, by the row's own columns.
--
-- Two steps, as with events: the entry is written unchained, without waiting for anybody; chain_audit() gives what is committed its
-- gap-free position and its hash over the one before, in a transaction of its own.

CREATE TABLE audit_outbox (
  seq          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at           bigint NOT NULL,                    -- the database's clock
  principal    text NOT NULL,                      -- `sluice` where it acted by itself
  action       text NOT NULL,                      -- the mutation, or <table>.<operation> where none was
  input_hash   bytea,                              -- SHA-256 of the mutation's arguments; null: no mutation
  subject_type text NOT NULL,                      -- the table
  subject      text NOT NULL,
  before       jsonb,                              -- of what changed, all values as text; null: there was nothing
  after        jsonb                               -- null: it was removed
);

CREATE TABLE audit_entry (
  position     bigint PRIMARY KEY CHECK (position > 0),
  at           bigint NOT NULL,
  principal    text NOT NULL,
  action       text NOT NULL,
  input_hash   bytea,
  subject_type text NOT NULL,
  subject      text NOT NULL,
  before       jsonb,
  after        jsonb,
  hash         bytea NOT NULL                      -- SHA-256 of the hash before and of audit_text(): an entry changed, removed or put in shows
);
CREATE INDEX audit_entry_by_principal ON audit_entry (principal, position);
CREATE INDEX audit_entry_by_subject ON audit_entry (subject, position);
CREATE INDEX audit_entry_by_action ON audit_entry (action, position);

-- One row: where the chain ends.
CREATE TABLE audit_chain (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  position bigint NOT NULL,
  hash     bytea NOT NULL
);
INSERT INTO audit_chain (position, hash) VALUES (0, decode(repeat('00', 32), 'hex'));

CREATE TRIGGER audit_entry_stays BEFORE UPDATE OR DELETE ON audit_entry FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_entry_is_kept BEFORE TRUNCATE ON audit_entry FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_outbox_stays BEFORE UPDATE ON audit_outbox FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_outbox_is_kept BEFORE TRUNCATE ON audit_outbox FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- What a hash is of, without the hash before: each part with its length, so that no two entries look alike.
CREATE FUNCTION audit_text(place bigint, at bigint, principal text, action text, input_hash bytea, subject_type text, subject text, before jsonb, after jsonb)
RETURNS text LANGUAGE sql IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE
  RETURN netstring(place::text) || netstring(at::text) || netstring(principal) || netstring(action) || netstring(encode(input_hash, 'hex'))
    || netstring(subject_type) || netstring(subject) || netstring(before::text) || netstring(after::text);

-- Chains up to rows_max entries that are committed. One caller at a time; the others wait at the head's row. Rows are taken in the order of
-- seq: of two entries about one subject the later one was written after the earlier one had committed.
CREATE FUNCTION chain_audit(rows_max integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  head audit_chain;
  entry audit_outbox;
  count integer := 0;
BEGIN
  SELECT * INTO head FROM audit_chain FOR UPDATE;
  FOR entry IN SELECT * FROM audit_outbox ORDER BY seq LIMIT rows_max LOOP
    head.position := head.position + 1;
    head.hash := sha256(head.hash || convert_to(audit_text(head.position, entry.at, entry.principal, entry.action, entry.input_hash,
      entry.subject_type, entry.subject, entry.before, entry.after), 'UTF8'));
    INSERT INTO audit_entry (position, at, principal, action, input_hash, subject_type, subject, before, after, hash)
      VALUES (head.position, entry.at, entry.principal, entry.action, entry.input_hash, entry.subject_type, entry.subject, entry.before,
        entry.after, head.hash);
    DELETE FROM audit_outbox WHERE seq = entry.seq;
    count := count + 1;
  END LOOP;
  IF count > 0 THEN UPDATE audit_chain SET position = head.position, hash = head.hash; END IF;
  RETURN count;
END $$;

-- Arguments: the column that names the subject; the columns that may say who, newest first; columns left out.
CREATE FUNCTION audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  acting jsonb := nullif(current_setting('sluice.acting', true), '')::jsonb;
  omitted text[] := string_to_array(coalesce(TG_ARGV[2], ''), ',');
  old_row jsonb;
  new_row jsonb;
  was jsonb;
  became jsonb;
  who text := acting ->> 'principal';
  named text;
BEGIN
  -- As text: a JSON number would lose digits in its reader.
  IF TG_OP <> 'INSERT' THEN
    SELECT jsonb_object_agg(key, value) INTO old_row FROM jsonb_each_text(to_jsonb(OLD)) WHERE key <> ALL (omitted);
  END IF;
  IF TG_OP <> 'DELETE' THEN
    SELECT jsonb_object_agg(key, value) INTO new_row FROM jsonb_each_text(to_jsonb(NEW)) WHERE key <> ALL (omitted);
  END IF;
  IF TG_OP = 'UPDATE' THEN
    SELECT jsonb_object_agg(key, old_row -> key), jsonb_object_agg(key, value) INTO was, became
      FROM jsonb_each(new_row) WHERE value IS DISTINCT FROM old_row -> key;
    IF became IS NULL THEN RETURN NULL; END IF;
  ELSE
    was := old_row;
    became := new_row;
  END IF;
  FOREACH named IN ARRAY string_to_array(TG_ARGV[1], ',') LOOP
    EXIT WHEN who IS NOT NULL;
    who := became ->> named;
  END LOOP;
  INSERT INTO audit_outbox (at, principal, action, input_hash, subject_type, subject, before, after)
    VALUES ((extract(epoch FROM clock_timestamp()) * 1000000)::bigint, coalesce(who, 'sluice'),
      coalesce(acting ->> 'action', TG_TABLE_NAME || '.' || lower(TG_OP)), decode(acting ->> 'inputHash', 'hex'),
      TG_TABLE_NAME, coalesce(new_row, old_row) ->> TG_ARGV[0], was, became);
  RETURN NULL;
END $$;

CREATE TRIGGER audited AFTER INSERT OR UPDATE OR DELETE ON deposit_account FOR EACH ROW EXECUTE FUNCTION audit_change('id', 'changed_by,created_by');
CREATE TRIGGER audited AFTER INSERT OR UPDATE OR DELETE ON halt FOR EACH ROW EXECUTE FUNCTION audit_change('id', 'lifted_by,lift_asked_by,halted_by');
CREATE TRIGGER audited AFTER INSERT OR UPDATE OR DELETE ON money_freeze FOR EACH ROW EXECUTE FUNCTION audit_change('id', 'lifted_by,opened_by');
CREATE TRIGGER audited AFTER INSERT OR UPDATE OR DELETE ON withdrawal_stop FOR EACH ROW EXECUTE FUNCTION audit_change('withdrawal_id', 'released_by,set_by');
CREATE TRIGGER audited AFTER INSERT OR UPDATE OR DELETE ON withdrawal_resolution FOR EACH ROW EXECUTE FUNCTION audit_change('withdrawal_id', 'decided_by,requested_by');
CREATE TRIGGER audited AFTER INSERT OR UPDATE OR DELETE ON withdrawal_approval FOR EACH ROW EXECUTE FUNCTION audit_change('withdrawal_id', 'decided_by');
CREATE TRIGGER audited AFTER INSERT OR UPDATE OR DELETE ON desk_decision FOR EACH ROW EXECUTE FUNCTION audit_change('transfer_id', 'decided_by,requested_by');
CREATE TRIGGER audited AFTER INSERT OR UPDATE OR DELETE ON offer_decision FOR EACH ROW EXECUTE FUNCTION audit_change('offer_action_id', 'decided_by');
CREATE TRIGGER audited AFTER INSERT OR UPDATE OR DELETE ON token_change FOR EACH ROW EXECUTE FUNCTION audit_change('instrument_id', 'changed_by');
CREATE TRIGGER audited AFTER INSERT OR UPDATE OR DELETE ON pool_target FOR EACH ROW EXECUTE FUNCTION audit_change('instrument_id', 'changed_by');
CREATE TRIGGER audited AFTER INSERT OR UPDATE OR DELETE ON history_gap FOR EACH ROW EXECUTE FUNCTION audit_change('treasury_id', 'recorded_by');
CREATE TRIGGER audited AFTER INSERT OR UPDATE OR DELETE ON database_restore FOR EACH ROW EXECUTE FUNCTION audit_change('cause', 'noticed_by');
-- The document itself is on its row, which never changes; its hash stands here.
CREATE TRIGGER audited AFTER INSERT ON policy_proposal FOR EACH ROW EXECUTE FUNCTION audit_change('id', 'proposed_by', 'document');
CREATE TRIGGER audited AFTER INSERT ON policy_judgement FOR EACH ROW EXECUTE FUNCTION audit_change('proposal_id', 'judged_by');
CREATE TRIGGER audited AFTER INSERT ON policy_version FOR EACH ROW EXECUTE FUNCTION audit_change('proposal_id', '');
CREATE TRIGGER audited AFTER INSERT OR UPDATE ON policy_in_force FOR EACH ROW EXECUTE FUNCTION audit_change('version', '');

CREATE TRIGGER audited AFTER INSERT ON api_key FOR EACH ROW EXECUTE FUNCTION audit_change('id', 'created_by', 'sha256,last_used_at');
CREATE TRIGGER audited_change AFTER UPDATE ON api_key FOR EACH ROW
  WHEN (NEW.revoked_by IS DISTINCT FROM OLD.revoked_by) EXECUTE FUNCTION audit_change('id', 'revoked_by', 'sha256,last_used_at');

-- A request, and what a caller changes of it. What the automation makes of it is in the event log, attempt by attempt.
CREATE TRIGGER audited AFTER INSERT ON withdrawal FOR EACH ROW EXECUTE FUNCTION audit_change('id', 'client', 'sealed_origin');
CREATE TRIGGER audited_change AFTER UPDATE ON withdrawal FOR EACH ROW
  WHEN (coalesce(current_setting('sluice.acting', true), '') <> '' OR OLD.is_cancel_requested <> NEW.is_cancel_requested)
  EXECUTE FUNCTION audit_change('id', '', 'sealed_origin');
CREATE TRIGGER audited AFTER UPDATE ON screening FOR EACH ROW
  WHEN (coalesce(current_setting('sluice.acting', true), '') <> '' OR NEW.decided_by IS DISTINCT FROM OLD.decided_by)
  EXECUTE FUNCTION audit_change('transfer_id', 'decided_by');
CREATE TRIGGER audited AFTER UPDATE ON withdrawal_screening FOR EACH ROW
  WHEN (NEW.decided_by IS DISTINCT FROM OLD.decided_by) EXECUTE FUNCTION audit_change('withdrawal_id', 'decided_by');
CREATE TRIGGER audited AFTER UPDATE ON quarantine FOR EACH ROW
  WHEN (NEW.closed_by IS DISTINCT FROM OLD.closed_by) EXECUTE FUNCTION audit_change('update_id', 'closed_by');
CREATE TRIGGER audited AFTER UPDATE ON restored_withdrawal FOR EACH ROW
  WHEN (NEW.wanted_by IS DISTINCT FROM OLD.wanted_by) EXECUTE FUNCTION audit_change('withdrawal_id', 'wanted_by');

-- ---------------------------------------------------------------------------------------------------------------- look-ups

-- Each serves one filter together with the list's order. A memo is a stranger's and may be longer than an index takes.
CREATE INDEX transfer_by_memo ON transfer (left(memo, 64), record_time, id) WHERE memo IS NOT NULL;
CREATE INDEX transfer_by_counterparty ON transfer (left(counterparty, 255), record_time, id) WHERE counterparty IS NOT NULL;
CREATE INDEX transfer_by_instrument ON transfer (instrument_id, record_time, id);
CREATE INDEX transfer_by_conclusion ON transfer (concluded_update_id) WHERE concluded_update_id <> update_id;

-- What is held now is little beside what ever was.
CREATE INDEX holding_active_by_time ON holding (treasury_id, created_record_time, contract_id) WHERE archived_update_id IS NULL;
CREATE INDEX holding_active_by_amount ON holding (treasury_id, instrument_id, amount, contract_id) WHERE archived_update_id IS NULL;
CREATE INDEX holding_locked ON holding (treasury_id, created_record_time, contract_id) WHERE archived_update_id IS NULL AND lock_holders IS NOT NULL;
-- A balance of the past is today's, less what came since, and with what went since.
CREATE INDEX holding_by_archival ON holding (treasury_id, archived_record_time) WHERE archived_update_id IS NOT NULL;
CREATE INDEX transfer_instruction_by_end ON transfer_instruction (treasury_id, ended_record_time) WHERE ended_update_id IS NOT NULL;

CREATE INDEX withdrawal_of_receiver ON withdrawal (receiver, created_at, id);
