-- Whether deposits wait for the verdict of a screening service: one decision per network, which every process and every command obeys.

-- No row: undecided, and deposits wait where any of the network was ever screened. Whoever credits reads it in the transaction that credits, under a shared advisory lock that whoever changes it takes alone
-- (src/deposits/screening-mode.ts): so he waits for those who credit by the old decision, and those who come after him read the new one.
CREATE TABLE deposit_screening (
  network_id smallint PRIMARY KEY REFERENCES network,
  is_on      boolean NOT NULL,
  decided_at bigint NOT NULL,                      -- wall clock; of two decisions the later one has the greater
  decided_by text NOT NULL,
  why        text NOT NULL
);
CREATE TRIGGER audited AFTER INSERT OR UPDATE ON deposit_screening FOR EACH ROW EXECUTE FUNCTION audit_change('network_id', 'decided_by');
