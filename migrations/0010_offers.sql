-- Offers made to us: what we do about each of them, through the same submissions that pay withdrawals; what that may cost; and who decided otherwise.

-- Accepting or rejecting one offer. Owned: never deleted. At most one is under way per offer. Its row is what a try of it is decided by; what the ledger made of the offer is in
-- transfer_instruction.
CREATE TABLE offer_action (
  id                 text PRIMARY KEY,             -- a function of the transfer's id and the choice
  treasury_id        integer NOT NULL REFERENCES treasury_party,
  instrument_id      integer NOT NULL REFERENCES instrument,
  transfer_id        text NOT NULL,                -- of the offer: it stays, whatever contracts a registry replaces the offer by
  choice             text NOT NULL CHECK (choice IN ('ACCEPT', 'REJECT')),
  sender             text NOT NULL,
  deposit_account_id text REFERENCES deposit_account, -- whose memo it carried when it was found; null: a person asked for it
  state              text NOT NULL CHECK (state IN ('QUEUED', 'IN_FLIGHT', 'PARKED', 'DONE', 'ENDED')),
  reason             text CHECK (reason ~ '^[A-Z][A-Z0-9_]*$'), -- why it is parked or ended, or what the last try came to
  detail             text,                         -- for people
  is_forced          boolean NOT NULL DEFAULT false, -- a person wants it whatever its amount
  is_park_requested  boolean NOT NULL DEFAULT false, -- heeded when nothing signed can commit any more
  tries              smallint NOT NULL DEFAULT 0,  -- attempts that the offer itself made fail, since a person last looked
  waits              smallint NOT NULL DEFAULT 0,  -- attempts that came to nothing because something was away; they only put the next one off
  next_try_at        bigint NOT NULL,              -- wall clock
  ended_update_id    text,                         -- the update that ended the offer
  requested_by       text NOT NULL,                -- `memo`, or a principal
  created_at         bigint NOT NULL,
  changed_at         bigint NOT NULL,
  UNIQUE (transfer_id, choice),
  CHECK (state <> 'PARKED' OR reason IS NOT NULL)
);
CREATE UNIQUE INDEX offer_action_one_open ON offer_action (transfer_id) WHERE state IN ('QUEUED', 'IN_FLIGHT', 'PARKED');
CREATE INDEX offer_action_queued ON offer_action (treasury_id, next_try_at) WHERE state = 'QUEUED';

-- What has been spent of a budget in one window of time. A window that is over is deleted.
CREATE TABLE offer_budget (
  treasury_id  integer NOT NULL REFERENCES treasury_party,
  scope        text NOT NULL,                      -- all, instrument:<number>, sender:<party>
  window_start bigint NOT NULL,                    -- wall clock
  spent        integer NOT NULL,
  PRIMARY KEY (treasury_id, scope, window_start)
);

-- Who decided what about an offer, and why. Insert-only.
CREATE TABLE offer_decision (
  id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  offer_action_id text NOT NULL REFERENCES offer_action,
  decision        text NOT NULL CHECK (decision IN ('ACCEPT', 'REJECT', 'RETRY_NOW', 'PARK', 'UNPARK')),
  decided_at      bigint NOT NULL,                 -- wall clock
  decided_by      text NOT NULL,
  why             text NOT NULL,
  state_before    text                             -- null: nothing was done about it before
);
CREATE INDEX offer_decision_by_action ON offer_decision (offer_action_id, id);

-- A submission serves a withdrawal or an offer.
ALTER TABLE submission DROP CONSTRAINT submission_purpose_check;
ALTER TABLE submission
  ADD COLUMN offer_action_id text UNIQUE REFERENCES offer_action,
  ADD CONSTRAINT submission_purpose_check CHECK (
    (purpose = 'WITHDRAWAL' AND withdrawal_id IS NOT NULL AND offer_action_id IS NULL)
    OR (purpose = 'OFFER' AND offer_action_id IS NOT NULL AND withdrawal_id IS NULL)
  );
