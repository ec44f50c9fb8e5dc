-- What reading withdrawals needs, where they are many: nearly all of them are COMPLETED, and people ask for the others.
-- Built in one transaction: writers of these tables wait meanwhile, about a second per million rows.

CREATE INDEX withdrawal_by_treasury ON withdrawal (treasury_id, created_at, id);
CREATE INDEX withdrawal_open ON withdrawal (created_at, id)
  WHERE state IN ('REQUESTED', 'AWAITING_APPROVAL', 'QUEUED', 'IN_FLIGHT', 'OFFERED', 'UNRESOLVED');
CREATE INDEX withdrawal_unpaid ON withdrawal (created_at, id) WHERE state IN ('REJECTED', 'CANCELLED', 'FAILED', 'RETURNED');

-- For whoever follows one withdrawal from a cursor of long ago. Partial: deposits, which are most of the log, pay nothing for it.
CREATE INDEX event_of_withdrawal ON event (subject, position) WHERE type = 'withdrawal.changed';

-- Which withdrawal a transfer paid.
CREATE INDEX withdrawal_by_transfer ON withdrawal (transfer_id) WHERE transfer_id IS NOT NULL;
