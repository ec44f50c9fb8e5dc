-- Withdrawals that were open in a database that went back in time: whether their clients were told of an end since, is lost. Apart from holds, so that nobody's hold is taken for one of these and let go with it.
CREATE TABLE restored_withdrawal (
  withdrawal_id text NOT NULL REFERENCES withdrawal,
  cause         text NOT NULL REFERENCES database_restore,
  wanted_at     bigint,                            -- wall clock: it is still wanted
  wanted_by     text,                              -- the client that asked again, or a person
  wanted_why    text,
  PRIMARY KEY (withdrawal_id, cause),
  CHECK ((wanted_at IS NULL) = (wanted_by IS NULL) AND (wanted_at IS NULL) = (wanted_why IS NULL))
);
CREATE INDEX restored_withdrawal_open ON restored_withdrawal (withdrawal_id) WHERE wanted_at IS NULL;
