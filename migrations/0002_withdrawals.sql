-- Withdrawals: the request, the ledger action that executes it, its attempts, and the holdings an attempt may spend.

-- What a customer's request became. Owned: never rebuilt, never deleted. The id is a keyed hash of (client, idempotency key), so that a client's retry meets its
-- withdrawal again even where this row was lost and re-created from the ledger.
CREATE TABLE withdrawal (
  id                  text PRIMARY KEY,
  network_id          smallint NOT NULL REFERENCES network,
  client              text NOT NULL,
  idempotency_key     text NOT NULL CHECK (octet_length(idempotency_key) BETWEEN 1 AND 255),
  request_hash        bytea NOT NULL,               -- of the whole input: the same key with another input is refused
  account_id          bigint NOT NULL REFERENCES account,
  treasury_id         integer NOT NULL REFERENCES treasury_party,
  instrument_id       integer NOT NULL REFERENCES instrument,
  receiver            text NOT NULL,
  amount              ledger_amount NOT NULL CHECK (amount > 0),
  memo                text,
  state               text NOT NULL CHECK (state IN ('REQUESTED', 'AWAITING_APPROVAL', 'QUEUED', 'IN_FLIGHT', 'OFFERED', 'UNRESOLVED',
                                                     'REJECTED', 'CANCELLED', 'FAILED', 'RETURNED', 'COMPLETED')),
  is_cancel_requested boolean NOT NULL DEFAULT false,
  failure_code        text,
  failure_detail      text,
  transfer_id         text,                         -- the transfer that ingestion saw: the evidence of COMPLETED
  update_id           text,
  created_at          bigint NOT NULL,
  changed_at          bigint NOT NULL,
  UNIQUE (client, idempotency_key)
);
CREATE INDEX withdrawal_queued ON withdrawal (treasury_id, created_at, id) WHERE state = 'QUEUED';
CREATE INDEX withdrawal_by_account ON withdrawal (account_id, created_at, id);
CREATE INDEX withdrawal_by_time ON withdrawal (created_at, id);

-- One action of ours on the ledger. Whatever we want done there (pay out, accept an offer, merge) goes this one way.
CREATE TABLE submission (
  id            text PRIMARY KEY,
  treasury_id   integer NOT NULL REFERENCES treasury_party,
  instrument_id integer NOT NULL REFERENCES instrument,
  purpose       text NOT NULL CHECK (purpose IN ('WITHDRAWAL')),
  withdrawal_id text UNIQUE REFERENCES withdrawal,
  created_at    bigint NOT NULL
);

-- One try at a submission with fixed inputs and a fixed end. At most one is open; the next opens only after this one is proven dead.
CREATE TABLE attempt (
  submission_id      text NOT NULL REFERENCES submission,
  number             smallint NOT NULL CHECK (number > 0),
  state              text NOT NULL CHECK (state IN ('OPEN', 'SETTLED', 'LAPSED', 'GIVEN_UP')),
  synchronizer_id    text NOT NULL,
  target_record_time bigint NOT NULL,               -- inclusive: at exactly this record time it may still commit
  transfer_object    jsonb NOT NULL,                -- the Transfer that is to be signed, requestedAt and executeBefore included
  sign_requested_at  bigint,                        -- null: no signature can exist
  tries              smallint NOT NULL DEFAULT 0,
  next_try_at        bigint NOT NULL,
  last_error         text,
  opened_at          bigint NOT NULL,
  closed_at          bigint,
  lapsed_by          bigint,                        -- the record time that proved it dead
  PRIMARY KEY (submission_id, number),
  CHECK ((state = 'OPEN') = (closed_at IS NULL)),
  CHECK ((state = 'LAPSED') = (lapsed_by IS NOT NULL)),
  CHECK (lapsed_by IS NULL OR lapsed_by > target_record_time),
  CHECK (state <> 'GIVEN_UP' OR sign_requested_at IS NULL)
);
CREATE UNIQUE INDEX attempt_one_open ON attempt (submission_id) WHERE state = 'OPEN';
CREATE INDEX attempt_due ON attempt (next_try_at) WHERE state = 'OPEN';

-- Every hash we asked a signature for: how a transfer of ours is recognised when it is seen.
CREATE TABLE signed_hash (
  hash          bytea PRIMARY KEY,
  submission_id text NOT NULL,
  number        smallint NOT NULL,
  scheme        smallint NOT NULL,
  requested_at  bigint NOT NULL,
  FOREIGN KEY (submission_id, number) REFERENCES attempt
);

-- Which holdings an attempt may spend. A holding is in at most one open reservation.
CREATE TABLE reservation (
  submission_id text NOT NULL,
  number        smallint NOT NULL,
  treasury_id   integer NOT NULL REFERENCES treasury_party,
  contract_id   text NOT NULL,
  is_open       boolean NOT NULL,
  PRIMARY KEY (submission_id, number, contract_id),
  FOREIGN KEY (submission_id, number) REFERENCES attempt
);
CREATE UNIQUE INDEX reservation_exclusive ON reservation (treasury_id, contract_id) WHERE is_open;

ALTER TABLE account DROP CONSTRAINT account_kind_check;
ALTER TABLE account ADD CONSTRAINT account_kind_check CHECK (kind IN ('CUSTOMER', 'TREASURY', 'UNATTRIBUTED', 'UNEXPLAINED', 'FEES', 'HOUSE',
  'IN_TRANSIT', 'BETWEEN_TREASURIES', 'WITHDRAWALS'));
