-- Checking itself: what must not move until somebody has looked, how a quarantined update ended, which update a worker keeps dying of, and what the last comparison
-- with the ledger found.

-- Money that must not move: nothing is reserved or signed for what a freeze covers. A lifted one stays, as the record of who lifted it and why.
CREATE TABLE money_freeze (
  id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  treasury_id   integer REFERENCES treasury_party, -- null: every treasury
  instrument_id integer REFERENCES instrument,     -- null: every instrument
  reason        text NOT NULL CHECK (reason ~ '^[A-Z][A-Z_]*$'),
  detail        text NOT NULL,
  cause         text NOT NULL,                     -- what it follows from, e.g. update:<id>
  opened_at     bigint NOT NULL,                   -- wall clock
  opened_by     text NOT NULL,
  lifted_at     bigint,
  lifted_by     text,
  lift_detail   text,
  CHECK ((lifted_at IS NULL) = (lifted_by IS NULL) AND (lifted_at IS NULL) = (lift_detail IS NULL))
);
-- One open freeze per scope and reason: a difference that is found every minute is still one.
CREATE UNIQUE INDEX money_freeze_open ON money_freeze (treasury_id, instrument_id, reason) NULLS NOT DISTINCT WHERE lifted_at IS NULL;

-- How it ended: derived again and booked by a later version. Null: it waits.
ALTER TABLE quarantine
  ADD COLUMN closed_at bigint,
  ADD COLUMN closed_by text,
  ADD CONSTRAINT quarantine_closed CHECK ((closed_at IS NULL) = (closed_by IS NULL));
CREATE INDEX quarantine_open ON quarantine (treasury_id) WHERE closed_at IS NULL;

-- Workers that vanish without a word, and the update they had in their hands.
CREATE TABLE stream_crash (
  treasury_id      integer PRIMARY KEY REFERENCES treasury_party,
  is_open          boolean NOT NULL,               -- a worker is at it, or vanished
  in_flight_offset bigint,                         -- null: nobody knows yet which update it is
  in_flight_update text,
  crashes          smallint NOT NULL DEFAULT 0     -- how often in a row a worker vanished with that update in its hands
);

-- The last comparison of a treasury's holdings, offers and books with the participant's active contracts, all at one offset.
CREATE TABLE verification (
  treasury_id    integer PRIMARY KEY REFERENCES treasury_party,
  tried_at       bigint NOT NULL,                  -- wall clock of the last round
  trouble        text,                             -- why the last round could not compare; null: it did
  -- of the last round that could:
  checked_at     bigint,                           -- wall clock
  epoch          integer,
  ledger_offset  bigint,
  duration_ms    integer,
  is_equal       boolean,
  is_in_doubt    boolean,                          -- whether what differs is money that we credit and pay out
  holdings_count bigint,
  offers_count   bigint,
  others         jsonb,                            -- differing contracts that belong to no instrument we know: [{"kind", "contractId"}], the first of them
  others_count   bigint,
  CHECK ((checked_at IS NULL) = (is_equal IS NULL))
);
CREATE TABLE verification_instrument (
  treasury_id     integer NOT NULL REFERENCES verification,
  instrument_id   integer NOT NULL REFERENCES instrument,
  on_ledger       numeric NOT NULL,                -- sums of amounts, unbounded
  in_holdings     numeric NOT NULL,
  in_books        numeric NOT NULL,
  contracts_count bigint NOT NULL,                 -- holdings active on the ledger
  differences     jsonb NOT NULL,                  -- [{"kind", "contractId"}], the first of them
  differing_count bigint NOT NULL,
  PRIMARY KEY (treasury_id, instrument_id)
);
