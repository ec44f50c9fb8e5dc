-- The first tables: what we serve, what the ledger said, what follows from it, the books, and the event log.
--
-- Three kinds of table (docs/architecture.md, "Derived and owned"):
--   received  ledger_update: the ledger's own words, insert-only.
--   derived   holding, transfer, transfer_instruction: a function of ledger_update; may be dropped and rebuilt.
--   owned     everything else: never rebuilt, never deleted; refers to derived rows by ledger ids, never by our surrogate keys.
--
-- Times are microseconds since 1970 (bigint), because record times are and a timestamp type invites rounding.

-- One amount of one instrument. A numeric(38,10) column would round an eleventh decimal in silence; this refuses it. 28 integer digits is
-- the limit of a Daml Decimal. NaN sorts above everything and so fails the range check as infinity does.
CREATE DOMAIN ledger_amount AS numeric CHECK (scale(VALUE) <= 10 AND abs(VALUE) < 1e28);

-- ---------------------------------------------------------------------------------------------------------------- what we serve

CREATE TABLE network (
  id   smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text NOT NULL UNIQUE
);

CREATE TABLE treasury_party (
  id         integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  network_id smallint NOT NULL REFERENCES network,
  party      text NOT NULL,
  name       text NOT NULL,
  UNIQUE (network_id, party),
  UNIQUE (network_id, name)
);

-- Every instrument we have seen or were told of. Deposits of an instrument are credited only where it is accepted; the others are kept,
-- counted and shown, so that the holdings stay complete.
CREATE TABLE instrument (
  id            integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  network_id    smallint NOT NULL REFERENCES network,
  admin         text NOT NULL,
  instrument_id text NOT NULL,
  name          text NOT NULL,
  is_accepted   boolean NOT NULL,
  UNIQUE (network_id, admin, instrument_id)
);

-- ---------------------------------------------------------------------------------------------------------------- position

-- Who works on what. The token grows with every change of hands and fences off a holder that was paused and wakes up again.
CREATE TABLE lease (
  name       text PRIMARY KEY,
  holder     text NOT NULL,
  token      bigint NOT NULL,
  expires_at bigint NOT NULL
);

-- One row per treasury party: how far its history is in this database. Changed only in the transaction that writes the effects, and only
-- under the fencing token (src/ingestion/position.ts).
CREATE TABLE ingestion_stream (
  treasury_id        integer PRIMARY KEY REFERENCES treasury_party,
  epoch              integer NOT NULL DEFAULT 1,   -- of the offset space: another participant or a restored one starts a new epoch
  participant_id     text,                         -- whose offsets these are; null before the first connection
  ledger_offset      bigint NOT NULL DEFAULT 0,    -- everything up to and including it is in the database; 0 = nothing yet
  verified_update_id text,                         -- the newest update stored ...
  verified_offset    bigint,                       -- ... and its offset: where a stream resumes, never at a checkpoint
  updates_count      bigint NOT NULL DEFAULT 0,
  fencing_token      bigint NOT NULL DEFAULT 0,
  status             text NOT NULL DEFAULT 'STARTING' CHECK (status IN ('STARTING', 'RUNNING', 'HALTED')),
  status_reason      text,
  observed_at        bigint                        -- wall clock of the last message received, update or checkpoint
);

-- The record time each synchronizer is known to have passed, per stream. Grows only.
CREATE TABLE synchronizer_time (
  treasury_id     integer NOT NULL REFERENCES treasury_party,
  synchronizer_id text NOT NULL,
  record_time     bigint NOT NULL,
  PRIMARY KEY (treasury_id, synchronizer_id)
);

-- ---------------------------------------------------------------------------------------------------------------- received

-- Each update as a treasury party saw it, once. The unique update id is what makes a replay harmless.
CREATE TABLE ledger_update (
  treasury_id     integer NOT NULL REFERENCES treasury_party,
  update_id       text NOT NULL,
  epoch           integer NOT NULL,
  ledger_offset   bigint NOT NULL,
  record_time     bigint NOT NULL,
  synchronizer_id text NOT NULL,
  effective_at    bigint,
  kind            text NOT NULL CHECK (kind IN ('TRANSACTION', 'REASSIGNMENT', 'TOPOLOGY')),
  trace_parent    text,
  received        bytea NOT NULL,                  -- the GetUpdatesResponse bytes, compressed (src/ingestion/received-update.ts)
  PRIMARY KEY (treasury_id, update_id),
  UNIQUE (treasury_id, epoch, ledger_offset)
);

-- An update we stored but could not turn into effects. The position moved on; the bytes wait in ledger_update.
CREATE TABLE quarantine (
  treasury_id    integer NOT NULL,
  update_id      text NOT NULL,
  reason         text NOT NULL,
  detail         text NOT NULL,
  quarantined_at bigint NOT NULL,
  PRIMARY KEY (treasury_id, update_id),
  FOREIGN KEY (treasury_id, update_id) REFERENCES ledger_update
);

-- ---------------------------------------------------------------------------------------------------------------- derived

-- One UTXO: a contract with a Holding view whose owner is the treasury party.
CREATE TABLE holding (
  treasury_id          integer NOT NULL REFERENCES treasury_party,
  contract_id          text NOT NULL,
  instrument_id        integer NOT NULL REFERENCES instrument,
  amount               ledger_amount NOT NULL CHECK (amount > 0),
  template             text NOT NULL,              -- package name, module and entity, joined by ':'
  lock_holders         text[],                     -- null: not locked
  lock_expires_at      bigint,
  lock_expires_after   bigint,                     -- microseconds after the lock's creation
  lock_context         text,
  created_update_id    text NOT NULL,
  created_record_time  bigint NOT NULL,
  archived_update_id   text,
  archived_record_time bigint,
  PRIMARY KEY (treasury_id, contract_id)
);
CREATE INDEX holding_active ON holding (treasury_id, instrument_id, contract_id) INCLUDE (amount, lock_holders)
  WHERE archived_update_id IS NULL;
CREATE INDEX holding_history ON holding (treasury_id, created_record_time, contract_id);

-- One economic transfer over its whole life, as one treasury party sees it. Its id is a function of (party, update id, rank), so every
-- installation gives the same transfer the same id.
CREATE TABLE transfer (
  treasury_id           integer NOT NULL REFERENCES treasury_party,
  update_id             text NOT NULL,             -- where it was first seen
  rank                  smallint NOT NULL,         -- among this treasury's movements in that update, from 0
  id                    text NOT NULL UNIQUE,
  kind                  text NOT NULL CHECK (kind IN ('DIRECT', 'OFFER', 'MERGE', 'MINT', 'BURN', 'UNEXPLAINED')),
  direction             text NOT NULL CHECK (direction IN ('IN', 'OUT', 'SELF')),
  status                text NOT NULL CHECK (status IN ('PENDING', 'COMPLETED', 'REJECTED', 'WITHDRAWN', 'EXPIRED', 'FAILED')),
  instrument_id         integer NOT NULL REFERENCES instrument,
  amount                ledger_amount NOT NULL CHECK (amount >= 0),
  holdings_delta        ledger_amount NOT NULL,    -- what the treasury's holdings gained or lost by it so far
  counterparty          text,
  memo                  text,
  transfer_object       jsonb,                     -- the standard's Transfer record: half of a proof of transfer, the update id is the other
  record_time           bigint NOT NULL,
  concluded_update_id   text,
  concluded_record_time bigint,
  PRIMARY KEY (treasury_id, update_id, rank),
  CHECK ((status = 'PENDING') = (concluded_update_id IS NULL))
);
CREATE INDEX transfer_by_time ON transfer (record_time, id);
CREATE INDEX transfer_by_treasury ON transfer (treasury_id, record_time, id);
CREATE INDEX transfer_pending ON transfer (record_time, id) WHERE status = 'PENDING';

-- Every contract of every offer, ours and theirs. A registry may replace an instruction by its successor; all of them point at one transfer.
CREATE TABLE transfer_instruction (
  treasury_id          integer NOT NULL REFERENCES treasury_party,
  contract_id          text NOT NULL,
  original_contract_id text NOT NULL,
  transfer_id          text NOT NULL,
  direction            text NOT NULL CHECK (direction IN ('IN', 'OUT', 'SELF')),
  status               text NOT NULL CHECK (status IN ('OPEN', 'ACCEPTED', 'REJECTED', 'WITHDRAWN', 'EXPIRED', 'REPLACED', 'FAILED')),
  instrument_id        integer NOT NULL REFERENCES instrument,
  amount               ledger_amount NOT NULL,
  sender               text NOT NULL,
  receiver             text NOT NULL,
  memo                 text,
  requested_at         bigint NOT NULL,
  execute_before       bigint NOT NULL,
  created_update_id    text NOT NULL,
  created_record_time  bigint NOT NULL,
  ended_update_id      text,
  ended_record_time    bigint,
  PRIMARY KEY (treasury_id, contract_id),
  CHECK ((status = 'OPEN') = (ended_update_id IS NULL))
);
CREATE INDEX transfer_instruction_by_transfer ON transfer_instruction (transfer_id);
CREATE INDEX transfer_instruction_open ON transfer_instruction (treasury_id, execute_before) WHERE ended_update_id IS NULL;

-- ---------------------------------------------------------------------------------------------------------------- books

-- Double entry. Whose: a customer's (owner = the customer's account at the exchange), a treasury's (owner = the party), or one of the house's.
CREATE TABLE account (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  network_id smallint NOT NULL REFERENCES network,
  kind       text NOT NULL CHECK (kind IN ('CUSTOMER', 'TREASURY', 'UNATTRIBUTED', 'UNEXPLAINED', 'FEES', 'HOUSE', 'IN_TRANSIT', 'BETWEEN_TREASURIES')),
  owner      text NOT NULL,                        -- '' for the house's accounts
  UNIQUE (network_id, kind, owner)
);

-- Why something was booked. The unique cause is what makes a second booking impossible.
CREATE TABLE journal_entry (
  id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  cause       text NOT NULL UNIQUE,                -- e.g. transfer:<transfer id>
  description text NOT NULL,
  record_time bigint NOT NULL
);

-- A posting moves one amount from one account to another, so an entry cannot fail to sum to zero: there is no row for half of it.
CREATE TABLE posting (
  entry_id          bigint NOT NULL REFERENCES journal_entry,
  line              smallint NOT NULL,
  debit_account_id  bigint NOT NULL REFERENCES account,
  credit_account_id bigint NOT NULL REFERENCES account,
  instrument_id     integer NOT NULL REFERENCES instrument,
  amount            ledger_amount NOT NULL CHECK (amount > 0),
  PRIMARY KEY (entry_id, line),
  CHECK (debit_account_id <> credit_account_id)
);
CREATE INDEX posting_debit ON posting (debit_account_id, instrument_id) INCLUDE (amount);
CREATE INDEX posting_credit ON posting (credit_account_id, instrument_id) INCLUDE (amount);

-- Credits less debits. A treasury's balance is negative by what it holds: it owes the ledger's assets to everybody else.
CREATE VIEW account_balance AS
  SELECT account_id, instrument_id, sum(amount) AS balance
  FROM (
    SELECT credit_account_id AS account_id, instrument_id, amount::numeric AS amount FROM posting
    UNION ALL
    SELECT debit_account_id, instrument_id, -(amount::numeric) FROM posting
  ) AS line
  GROUP BY account_id, instrument_id;

-- ---------------------------------------------------------------------------------------------------------------- deposits

-- A deposit address is a treasury party and a memo. The memo is opaque, case-sensitive text; which account it stands for never changes.
CREATE TABLE deposit_account (
  id         text PRIMARY KEY,                     -- a function of (network, memo)
  network_id smallint NOT NULL REFERENCES network,
  memo       text NOT NULL CHECK (octet_length(memo) BETWEEN 1 AND 256),
  account_id bigint NOT NULL REFERENCES account,
  created_at bigint NOT NULL,
  created_by text NOT NULL,
  UNIQUE (network_id, memo)
);
CREATE INDEX deposit_account_by_account ON deposit_account (account_id);

-- The one decision to whom a transfer belongs. No row: nobody yet, the amount waits on the unattributed account.
CREATE TABLE attribution (
  transfer_id        text PRIMARY KEY,
  account_id         bigint NOT NULL REFERENCES account,
  deposit_account_id text REFERENCES deposit_account,
  decided_by         text NOT NULL,                -- 'memo', or the principal who decided
  record_time        bigint NOT NULL
);
CREATE INDEX attribution_by_account ON attribution (account_id, record_time, transfer_id);

-- ---------------------------------------------------------------------------------------------------------------- event log

-- Events are written in two steps. A writer inserts into the outbox in its own transaction; a sequencer moves committed rows to `event` and
-- numbers them without gaps. A sequence value alone would not do: it is handed out before commit, so a reader that follows it skips what
-- commits late (docs/decisions/0002-event-log.md).
CREATE TABLE event_outbox (
  seq         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  event_id    text NOT NULL UNIQUE,                -- a function of ledger ids, or of the owned row it tells about
  type        text NOT NULL,
  subject     text NOT NULL,
  payload     jsonb NOT NULL,
  recorded_at bigint NOT NULL                      -- wall clock, for people
);

CREATE TABLE event (
  position    bigint PRIMARY KEY CHECK (position > 0),
  event_id    text NOT NULL UNIQUE,
  type        text NOT NULL,
  subject     text NOT NULL,
  payload     jsonb NOT NULL,
  recorded_at bigint NOT NULL
);
CREATE INDEX event_by_type ON event (type, position);

-- One row. The epoch is part of every cursor: one from another log, or from before a restore, is refused and not misread.
CREATE TABLE event_log (
  only_row      boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  epoch         text NOT NULL,
  last_position bigint NOT NULL
);
INSERT INTO event_log (epoch, last_position) VALUES (replace(gen_random_uuid()::text, '-', ''), 0);
