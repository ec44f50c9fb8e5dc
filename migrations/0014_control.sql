-- How people keep withdrawals in hand: halts, holds, parking, deadlines, and the word of two people where the ledger's cannot be read.

-- A kill switch: nothing of what it covers is signed while it stands. A lifted one stays, as the record of who wanted what. The id is made outside the database, so that a restored database can be given
-- back the ones it lost.
CREATE TABLE halt (
  id            text PRIMARY KEY CHECK (octet_length(id) BETWEEN 4 AND 100),
  treasury_id   integer REFERENCES treasury_party, -- null: every treasury
  instrument_id integer REFERENCES instrument,     -- null: every instrument
  why           text NOT NULL,
  halted_at     bigint NOT NULL,                   -- wall clock
  halted_by     text NOT NULL,
  lift_asked_at bigint,                            -- somebody wants it lifted; it stands all the same
  lift_asked_by text,
  lift_why      text,
  lifted_at     bigint,
  lifted_by     text,                              -- somebody else
  CHECK ((lift_asked_at IS NULL) = (lift_asked_by IS NULL) AND (lift_asked_at IS NULL) = (lift_why IS NULL)),
  CHECK ((lifted_at IS NULL) = (lifted_by IS NULL)),
  CONSTRAINT halt_lifted_by_two CHECK (lifted_by IS NULL OR (lift_asked_by IS NOT NULL AND lifted_by <> lift_asked_by))
);
CREATE UNIQUE INDEX halt_open ON halt (treasury_id, instrument_id) NULLS NOT DISTINCT WHERE lifted_at IS NULL;

-- A withdrawal that the automation leaves alone. HOLD: somebody wants to look at it first. PARK: it is out of the automation until a person says so. A released one stays.
CREATE TABLE withdrawal_stop (
  id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  withdrawal_id text NOT NULL REFERENCES withdrawal,
  kind          text NOT NULL CHECK (kind IN ('HOLD', 'PARK')),
  why           text NOT NULL,
  set_at        bigint NOT NULL,                   -- wall clock
  set_by        text NOT NULL,                     -- a principal, or the part of Sluice that did it
  released_at   bigint,
  released_by   text,
  release_why   text,
  CHECK ((released_at IS NULL) = (released_by IS NULL) AND (released_at IS NULL) = (release_why IS NULL))
);
CREATE UNIQUE INDEX withdrawal_stop_open ON withdrawal_stop (withdrawal_id, kind) WHERE released_at IS NULL;
CREATE INDEX withdrawal_stop_by_withdrawal ON withdrawal_stop (withdrawal_id, id);

-- What two people made of a withdrawal whose end nobody can read, or which waits for ever. Never deleted.
CREATE TABLE withdrawal_resolution (
  id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  withdrawal_id  text NOT NULL REFERENCES withdrawal,
  outcome        text NOT NULL CHECK (outcome IN ('COMPLETED', 'RETURNED', 'FAILED')),
  evidence       text NOT NULL,
  update_id      text,                             -- where it was paid, if somebody knows
  state          text NOT NULL CHECK (state IN ('AWAITING_APPROVAL', 'DONE', 'REFUSED')),
  state_before   text NOT NULL,                    -- of the withdrawal, when it was asked for
  requested_by   text NOT NULL,
  requested_at   bigint NOT NULL,                  -- wall clock
  decided_by     text,
  decided_at     bigint,
  decided_reason text,
  CHECK ((state = 'AWAITING_APPROVAL') = (decided_by IS NULL)),
  CHECK ((decided_by IS NULL) = (decided_at IS NULL) AND (decided_by IS NULL) = (decided_reason IS NULL)),
  CONSTRAINT withdrawal_resolution_by_two CHECK (state <> 'DONE' OR decided_by <> requested_by)
);
CREATE UNIQUE INDEX withdrawal_resolution_one_open ON withdrawal_resolution (withdrawal_id) WHERE state = 'AWAITING_APPROVAL';
CREATE UNIQUE INDEX withdrawal_resolution_one_done ON withdrawal_resolution (withdrawal_id) WHERE state = 'DONE';

ALTER TABLE withdrawal
  ADD COLUMN deadline     bigint,                  -- record time after which nothing may be signed for it any more; null: none
  ADD COLUMN doubt_code   text,                    -- why it is UNRESOLVED, for programs ...
  ADD COLUMN doubt_detail text;                    -- ... and for people
CREATE INDEX withdrawal_with_deadline ON withdrawal (treasury_id, deadline) WHERE state = 'QUEUED' AND deadline IS NOT NULL;

ALTER TABLE attempt
  ADD COLUMN taken_at             bigint,          -- wall clock of the last time that a try of it began
  ADD COLUMN inputs_active_offset bigint;          -- the participant had an input of it active here, after the ledger had passed its target; null: not asked, or not so
