-- A list of the withdrawals of one instrument, in its order. The index before it had no unique last part, so of an instrument that is seldom
-- paid the planner walked all withdrawals instead.

CREATE INDEX withdrawal_of_instrument ON withdrawal (instrument_id, created_at, id);
DROP INDEX withdrawal_by_instrument;
