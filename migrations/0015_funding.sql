-- Keeping a treasury able to pay: transfers to ourselves that merge small holdings and split large ones, the pool that they keep, and what submissions may cost.

-- How many large holdings of an instrument a treasury keeps ready, so that as many withdrawals are under way at once. Owned.
CREATE TABLE pool_target (
  treasury_id    integer NOT NULL REFERENCES treasury_party,
  instrument_id  integer NOT NULL REFERENCES instrument,
  holdings_count smallint NOT NULL CHECK (holdings_count BETWEEN 0 AND 500),
  holding_amount ledger_amount NOT NULL CHECK (holding_amount > 0),
  inputs_max     smallint NOT NULL CHECK (inputs_max BETWEEN 2 AND 100), -- of one transaction; what the instrument's registry takes
  changed_at     bigint NOT NULL,                  -- wall clock
  changed_by     text NOT NULL,
  PRIMARY KEY (treasury_id, instrument_id)
);

-- One transfer of a treasury to itself. Owned: never deleted. It has one attempt: when that is dead, what is needed then is planned anew.
CREATE TABLE self_transfer (
  id            text PRIMARY KEY,
  treasury_id   integer NOT NULL REFERENCES treasury_party,
  instrument_id integer NOT NULL REFERENCES instrument,
  kind          text NOT NULL CHECK (kind IN ('MERGE', 'SPLIT')),
  why           text NOT NULL CHECK (why IN ('WITHDRAWAL', 'POOL', 'DUST')), -- a withdrawal that no single transaction could pay; too few large holdings; many small ones
  amount        ledger_amount NOT NULL CHECK (amount > 0), -- of the one holding that is made; the rest is change
  inputs_count  smallint NOT NULL CHECK (inputs_count > 0),
  state         text NOT NULL CHECK (state IN ('IN_FLIGHT', 'DONE', 'ENDED')),
  reason        text CHECK (reason ~ '^[A-Z][A-Z0-9_]*$'), -- why it ended without being done
  detail        text,                              -- for people
  update_id     text,                              -- the update that did it
  created_at    bigint NOT NULL,
  changed_at    bigint NOT NULL,
  CHECK ((state = 'DONE') = (update_id IS NOT NULL)),
  CHECK (state <> 'ENDED' OR reason IS NOT NULL)
);
CREATE INDEX self_transfer_open ON self_transfer (treasury_id, instrument_id) WHERE state = 'IN_FLIGHT';
CREATE INDEX self_transfer_by_time ON self_transfer (treasury_id, instrument_id, created_at);

-- A submission serves a withdrawal, an offer or a transfer to ourselves.
ALTER TABLE submission DROP CONSTRAINT submission_purpose_check;
ALTER TABLE submission
  ADD COLUMN self_transfer_id text UNIQUE REFERENCES self_transfer,
  ADD CONSTRAINT submission_purpose_check CHECK (
    num_nonnulls(withdrawal_id, offer_action_id, self_transfer_id) = 1
    AND CASE purpose WHEN 'WITHDRAWAL' THEN withdrawal_id IS NOT NULL WHEN 'OFFER' THEN offer_action_id IS NOT NULL
        WHEN 'SELF_TRANSFER' THEN self_transfer_id IS NOT NULL ELSE false END
  );

-- Somebody else consumed what an open attempt was given: it can not commit any more. The update that did it.
ALTER TABLE reservation ADD COLUMN broken_by text;

-- What may still be submitted: a bucket that fills with time. Shared by all processes, and refilled by whoever looks.
CREATE TABLE submission_budget (
  treasury_id integer NOT NULL REFERENCES treasury_party,
  unit        text NOT NULL CHECK (unit IN ('SUBMISSIONS', 'TRAFFIC_BYTES')),
  level       bigint NOT NULL,                     -- thousandths of a submission, or bytes; below zero after something was dearer than thought
  filled_at   bigint NOT NULL,                     -- wall clock
  PRIMARY KEY (treasury_id, unit)
);

-- The network is overloaded or the participant out of traffic: nothing is submitted until then.
CREATE TABLE submission_pause (
  treasury_id  integer PRIMARY KEY REFERENCES treasury_party,
  code         text NOT NULL,
  detail       text NOT NULL,
  since        bigint NOT NULL,                    -- of the first refusal in a row
  paused_until bigint NOT NULL,
  refusals     integer NOT NULL                    -- in a row
);

-- What the network says of a participant's traffic. The newest is the balance, an older one gives the burn.
CREATE TABLE traffic_reading (
  network_id     smallint NOT NULL REFERENCES network,
  participant    text NOT NULL,
  read_at        bigint NOT NULL,                  -- wall clock
  total_consumed bigint NOT NULL,                  -- bytes of extra traffic, ever
  total_limit    bigint NOT NULL,                  -- bytes of extra traffic bought, ever
  PRIMARY KEY (network_id, participant, read_at)
);
