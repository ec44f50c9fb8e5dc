-- Notices by itself that the database is not the one it was: restored, copied, or failed over to a standby that lacked the last commits.

-- Which history of which database the log was written in: system identifier, timeline, database and table. Another one than the present: the log gets a new epoch
-- before anything is numbered in it. Null: not noted yet.
ALTER TABLE event_log ADD COLUMN history text;

-- Epochs that have ended. A cursor of theirs is good up to the position they share with the present one; beyond it stood what is gone.
CREATE TABLE event_log_epoch (
  epoch           text PRIMARY KEY,
  shared_position bigint NOT NULL,                 -- up to and including it
  reason          text NOT NULL CHECK (reason IN ('HISTORY_CHANGED', 'WENT_BACK', 'OPERATOR')),
  history_before  text,
  history_after   text NOT NULL,
  detail          text NOT NULL,
  ended_at        bigint NOT NULL                  -- wall clock
);
