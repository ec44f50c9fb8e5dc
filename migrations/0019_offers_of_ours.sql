-- Offers that we make: what their return costs, and taking back what nobody accepted.

-- Kept from the customer when an offer to him comes back; at most what he asked for.
ALTER TABLE token ADD COLUMN return_fee ledger_amount NOT NULL DEFAULT 0 CHECK (return_fee >= 0);

-- Taking an offer of ours back. Owned: never deleted. Locked by the lock of its withdrawal; what the ledger made of the offer is in transfer_instruction.
CREATE TABLE offer_return (
  withdrawal_id text PRIMARY KEY REFERENCES withdrawal,
  treasury_id   integer NOT NULL REFERENCES treasury_party,
  instrument_id integer NOT NULL REFERENCES instrument,
  reason        text NOT NULL CHECK (reason IN ('CANCELLED', 'EXPIRED')), -- somebody asked for it, or nobody accepted in time
  state         text NOT NULL CHECK (state IN ('QUEUED', 'IN_FLIGHT', 'PARKED', 'DONE', 'ENDED')), -- DONE: taken back by us; ENDED: something else ended the offer
  trouble_code  text CHECK (trouble_code ~ '^[A-Z][A-Z0-9_]*$'), -- what the last attempt came to; of a parked one, why it is
  trouble       text,                              -- for people
  tries         smallint NOT NULL DEFAULT 0,       -- attempts that the offer itself made fail, since a person last looked
  waits         smallint NOT NULL DEFAULT 0,       -- attempts that came to nothing because something was away; they only put the next one off
  next_try_at   bigint NOT NULL,                   -- wall clock
  created_at    bigint NOT NULL,
  changed_at    bigint NOT NULL
);
CREATE INDEX offer_return_queued ON offer_return (treasury_id, next_try_at) WHERE state = 'QUEUED';

-- Offers of ours that stand: few beside all the withdrawals there ever were.
CREATE INDEX withdrawal_offered ON withdrawal (treasury_id) WHERE state = 'OFFERED';

-- A submission serves a withdrawal, the end of an offer made to us, a transfer to ourselves, or the end of an offer made by us.
ALTER TABLE submission DROP CONSTRAINT submission_purpose_check;
ALTER TABLE submission
  ADD COLUMN offer_return_id text UNIQUE REFERENCES offer_return,
  ADD CONSTRAINT submission_purpose_check CHECK (
    num_nonnulls(withdrawal_id, offer_action_id, self_transfer_id, offer_return_id) = 1
    AND CASE purpose WHEN 'WITHDRAWAL' THEN withdrawal_id IS NOT NULL WHEN 'OFFER' THEN offer_action_id IS NOT NULL
        WHEN 'SELF_TRANSFER' THEN self_transfer_id IS NOT NULL WHEN 'OFFER_WITHDRAW' THEN offer_return_id IS NOT NULL ELSE false END
  );
