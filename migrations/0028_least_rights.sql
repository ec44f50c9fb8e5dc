-- What lets processes work with rights of their own: functions that write what nobody else may, the names of the roles, and what the checks of a running system find.

-- ---------------------------------------------------------------------------------------------------------------- audit
--
-- An index takes 2,700 bytes, and one entry with more would stand before all others for ever. Built beside the old ones, so that the audit is read meanwhile; those go with the migration after the next, which waits for
-- tables that this one must not hold while it builds.
CREATE INDEX audit_entry_by_short_principal ON audit_entry (left(principal, 255), position);
CREATE INDEX audit_entry_by_short_subject ON audit_entry (left(subject, 255), position);
CREATE INDEX audit_entry_by_short_action ON audit_entry (left(action, 255), position);

-- ---------------------------------------------------------------------------------------------------------------- roles
--
-- Who connects for what. Grants are made by `sluice roles`, from the table of rights beside the migrations, and anew by every migration.
CREATE TABLE database_role (
  name text PRIMARY KEY CHECK (octet_length(name) BETWEEN 1 AND 63),
  kind text NOT NULL CHECK (kind IN ('WORKER', 'API', 'ALL', 'READ', 'AUDITOR'))
);

-- These run with the rights of whoever owns the tables, so that no process needs them: it can neither write an entry of the audit by hand nor take one away before it is chained, and it moves the balances of
-- customers by postings alone. The search path is nailed down, or a table of the caller's would be taken for ours.
DO $$
BEGIN
  EXECUTE format('ALTER FUNCTION audit_change() SECURITY DEFINER SET search_path = %I, pg_temp', current_schema());
  EXECUTE format('ALTER FUNCTION chain_audit(integer) SECURITY DEFINER SET search_path = %I, pg_temp', current_schema());
  EXECUTE format('ALTER FUNCTION keep_customer_balances() SECURITY DEFINER SET search_path = %I, pg_temp', current_schema());
  EXECUTE format('ALTER FUNCTION lock_customer_balances(bigint[], integer[]) SECURITY DEFINER SET search_path = %I, pg_temp', current_schema());
END $$;

-- For the one decision that must not be overtaken by a posting: the lock takes more rights than a process has.
CREATE FUNCTION hold_postings() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
  LOCK TABLE posting IN SHARE ROW EXCLUSIVE MODE;
END $$;
DO $$
BEGIN
  EXECUTE format('ALTER FUNCTION hold_postings() SET search_path = %I, pg_temp', current_schema());
END $$;

-- A trigger of somebody's own table would write whatever entry he likes.
REVOKE EXECUTE ON FUNCTION audit_change(), keep_customer_balances() FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION chain_audit(integer), lock_customer_balances(bigint[], integer[]), hold_postings() FROM PUBLIC;

-- ---------------------------------------------------------------------------------------------------------------- invariants
--
-- What must hold in a running system, as it was last looked at (docs/reliability.md).
CREATE TABLE invariant_check (
  id           text PRIMARY KEY,                   -- I1 and so on
  checked_at   bigint NOT NULL,                    -- wall clock
  duration_ms  integer NOT NULL,                   -- of all that were looked at together
  faults_count bigint NOT NULL,
  faults       jsonb NOT NULL,                     -- the first of them, in sentences
  broken_since bigint,                             -- wall clock of the first look that found faults; null: it holds
  CHECK ((broken_since IS NULL) = (faults_count = 0))
);
