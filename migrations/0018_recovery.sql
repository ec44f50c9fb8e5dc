-- What is needed after the database was put back to an earlier state: when it is safe to pay again, and what a lost withdrawal is made anew from.

-- One row per time that it was noticed. Until the ledger has passed the safe record time, something that was signed before and is gone here may still commit.
CREATE TABLE database_restore (
  cause            text PRIMARY KEY,               -- as in the freeze that it opened: `event-log:<new epoch>`, or the transfer that gave it away
  treasury_id      integer REFERENCES treasury_party, -- null: every treasury
  noticed_at       bigint NOT NULL,                -- wall clock
  noticed_by       text NOT NULL,
  detail           text NOT NULL,
  safe_record_time bigint NOT NULL,
  lost_events      bigint,                         -- of the event log, that had been seen and are not there; null: unknown
  put_back         jsonb NOT NULL                  -- freezes and halts that were kept outside the database and are not in it: for people
);

ALTER TABLE withdrawal
  ADD COLUMN sealed_origin text,                   -- travels with its transfers: account, client and key, encrypted; null: nothing does
  ADD COLUMN recovered_at  bigint;                 -- wall clock: made anew from its transfer, because the database had lost it
CREATE INDEX withdrawal_recovered ON withdrawal (recovered_at, id) WHERE recovered_at IS NOT NULL;
