-- Deposits with no loose ends: what became of a memo, what waits for a person and what he decided, and what a screening service has said.

-- What a memo stands for never changes; how it is treated may. RETIRED: another one is shown instead, deposits still credit. DISABLED: deposits wait at the desk.
ALTER TABLE deposit_account
  ADD COLUMN state text NOT NULL DEFAULT 'ACTIVE' CHECK (state IN ('ACTIVE', 'RETIRED', 'DISABLED')),
  ADD COLUMN metadata jsonb CHECK (jsonb_typeof(metadata) = 'object'),
  ADD COLUMN replaced_by text REFERENCES deposit_account,
  ADD COLUMN changed_at bigint,
  ADD COLUMN changed_by text;

-- HELD: what came for a customer and is not his before the verdict (owner: the customer's account). REFUNDS: what goes back to a sender (owner: the transfer's id).
ALTER TABLE account DROP CONSTRAINT account_kind_check;
ALTER TABLE account ADD CONSTRAINT account_kind_check CHECK (kind IN ('CUSTOMER', 'TREASURY', 'UNATTRIBUTED', 'UNEXPLAINED', 'FEES', 'HOUSE',
  'IN_TRANSIT', 'BETWEEN_TREASURIES', 'WITHDRAWALS', 'OPENING', 'HELD', 'REFUNDS'));

-- A deposit or an offer that nobody could be credited with. Owned: a rebuild leaves it as it is. Its facts are those of the update that brought it.
CREATE TABLE desk_case (
  transfer_id      text PRIMARY KEY,
  treasury_id      integer NOT NULL REFERENCES treasury_party,
  instrument_id    integer NOT NULL REFERENCES instrument,
  state            text NOT NULL CHECK (state IN ('OFFERED', 'OPEN', 'ASSIGNED', 'REFUNDED', 'ENDED')),
  why              text NOT NULL CHECK (why IN ('NO_MEMO', 'UNKNOWN_MEMO', 'MEMO_DISABLED', 'INSTRUMENT_NOT_ACCEPTED', 'DENIED')),
  amount           ledger_amount NOT NULL CHECK (amount > 0),
  memo             text,
  sender           text,
  update_id        text NOT NULL,
  record_time      bigint NOT NULL,
  named_account_id bigint REFERENCES account,        -- whose memo it was, where that is known and is not enough
  account_id       bigint REFERENCES account,        -- ASSIGNED: whose it is
  decided_by       text,                             -- ASSIGNED: who said so
  funds_account_id bigint REFERENCES account,        -- on which account the money waits; null: none has come, or none is left here
  withdrawal_id    text UNIQUE REFERENCES withdrawal, -- REFUNDED: what pays it back. One per deposit
  CHECK ((state = 'ASSIGNED') = (account_id IS NOT NULL)),
  CHECK ((state = 'ASSIGNED') = (decided_by IS NOT NULL)),
  CHECK ((state = 'REFUNDED') = (withdrawal_id IS NOT NULL)),
  CHECK (state <> 'OPEN' OR funds_account_id IS NOT NULL),
  CHECK (state NOT IN ('OFFERED', 'ENDED') OR funds_account_id IS NULL)
);
CREATE INDEX desk_case_by_state ON desk_case (state, record_time, transfer_id);
CREATE INDEX desk_case_by_time ON desk_case (record_time, transfer_id);
CREATE INDEX desk_case_by_sender ON desk_case (sender, record_time, transfer_id);
-- Wrong case and blanks around it are what support looks for; a memo may be longer than an index takes.
CREATE INDEX desk_case_by_memo ON desk_case (left(lower(btrim(memo)), 64) text_pattern_ops, record_time, transfer_id);

-- Who decided what about a case, who agreed, and why. Never deleted.
CREATE TABLE desk_decision (
  id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  transfer_id    text NOT NULL REFERENCES desk_case,
  kind           text NOT NULL CHECK (kind IN ('ASSIGN', 'REFUND', 'REJECT')),
  state          text NOT NULL CHECK (state IN ('AWAITING_APPROVAL', 'DONE', 'REFUSED')),
  account_id     bigint REFERENCES account,
  needs_approval boolean NOT NULL,
  reason         text NOT NULL,
  withdrawal_id  text UNIQUE REFERENCES withdrawal,
  requested_by   text NOT NULL,
  requested_at   bigint NOT NULL,
  decided_by     text,
  decided_at     bigint,
  decided_reason text,
  CHECK ((kind = 'ASSIGN') = (account_id IS NOT NULL)),
  CHECK ((state = 'AWAITING_APPROVAL') = (decided_by IS NULL) AND (decided_by IS NULL) = (decided_at IS NULL)),
  -- Four eyes.
  CHECK (NOT (needs_approval AND state = 'DONE' AND decided_by = requested_by))
);
CREATE UNIQUE INDEX desk_decision_one_open ON desk_decision (transfer_id) WHERE state = 'AWAITING_APPROVAL';
CREATE INDEX desk_decision_by_case ON desk_decision (transfer_id, id);

-- What a screening service was asked about a deposit or an offer, and what it said. One row per transfer for ever: a verdict is given once.
CREATE TABLE screening (
  transfer_id        text PRIMARY KEY,
  treasury_id        integer NOT NULL REFERENCES treasury_party,
  instrument_id      integer NOT NULL REFERENCES instrument,
  is_offer           boolean NOT NULL,
  state              text NOT NULL CHECK (state IN ('WAITING', 'PARKED', 'ALLOWED', 'DENIED', 'ENDED')),
  account_id         bigint NOT NULL REFERENCES account, -- the customer it is for
  deposit_account_id text REFERENCES deposit_account,
  owner_decided_by   text NOT NULL,                  -- 'memo', or the principal who assigned it
  amount             ledger_amount NOT NULL CHECK (amount > 0),
  memo               text,
  sender             text,
  update_id          text NOT NULL,
  record_time        bigint NOT NULL,
  held               ledger_amount CHECK (held > 0), -- what came and was booked as held; null: nothing
  tries              integer NOT NULL DEFAULT 0,     -- without an answer, in a row
  next_try_at        bigint,                         -- wall clock; null: it is not asked again by itself
  last_error         text,
  case_id            text,                           -- the service's own
  reason             text,
  opened_at          bigint NOT NULL,                -- wall clock
  decided_at         bigint,
  decided_by         text,
  CHECK ((state IN ('ALLOWED', 'DENIED', 'ENDED')) = (decided_at IS NOT NULL)),
  CHECK ((state = 'WAITING') = (next_try_at IS NOT NULL))
);
CREATE INDEX screening_due ON screening (next_try_at) WHERE state = 'WAITING';
CREATE INDEX screening_by_state ON screening (state, opened_at, transfer_id);
CREATE INDEX screening_by_time ON screening (opened_at, transfer_id);

-- What waits already: money on the unattributed account ...
INSERT INTO desk_case (transfer_id, treasury_id, instrument_id, state, why, amount, memo, sender, update_id, record_time, funds_account_id)
SELECT t.id, t.treasury_id, t.instrument_id, 'OPEN',
  CASE WHEN NOT i.is_accepted THEN 'INSTRUMENT_NOT_ACCEPTED' WHEN coalesce(t.memo, '') = '' THEN 'NO_MEMO' ELSE 'UNKNOWN_MEMO' END,
  booked.amount, t.memo, t.counterparty, t.concluded_update_id, t.concluded_record_time, booked.account_id
FROM (
  SELECT split_part(e.cause, ':', 2) AS transfer_id, a.id AS account_id, sum(p.amount::numeric) AS amount
  FROM account a JOIN posting p ON p.credit_account_id = a.id JOIN journal_entry e ON e.id = p.entry_id
  WHERE a.kind = 'UNATTRIBUTED' AND e.cause LIKE 'transfer:%' GROUP BY 1, 2
) AS booked
JOIN transfer t ON t.id = booked.transfer_id
JOIN instrument i ON i.id = t.instrument_id
WHERE t.status = 'COMPLETED';

-- ... and offers that name nobody.
INSERT INTO desk_case (transfer_id, treasury_id, instrument_id, state, why, amount, memo, sender, update_id, record_time)
SELECT t.id, t.treasury_id, t.instrument_id, 'OFFERED',
  CASE WHEN NOT i.is_accepted THEN 'INSTRUMENT_NOT_ACCEPTED' WHEN coalesce(t.memo, '') = '' THEN 'NO_MEMO' ELSE 'UNKNOWN_MEMO' END,
  t.amount, t.memo, t.counterparty, t.update_id, t.record_time
FROM transfer t
JOIN treasury_party p ON p.id = t.treasury_id
JOIN instrument i ON i.id = t.instrument_id
WHERE t.status = 'PENDING' AND t.direction = 'IN' AND t.kind = 'OFFER' AND t.amount > 0
  AND NOT EXISTS (SELECT FROM treasury_party own WHERE own.network_id = p.network_id AND own.party = t.counterparty)
  AND (NOT i.is_accepted OR NOT EXISTS (SELECT FROM deposit_account d WHERE d.network_id = p.network_id AND d.memo = t.memo));
