/** What the log is told of a change of a deposit. Pure. */
import type { EventDraft } from '../db/event-log.ts';
import type { TransferChange, Treasury } from '../ingestion/effect-sink.ts';
import { formatAmount } from '../tokens/amount.ts';
import { eventId } from '../tokens/ids.ts';
import { type Decision, gainOf, isCredit } from './deposit-decision.ts';
import {
  DEPOSIT_CREDITED,
  DEPOSIT_DENIED,
  DEPOSIT_HELD,
  DEPOSIT_UNATTRIBUTED,
  type DepositCredited,
  type DepositDenied,
  type DepositFacts,
  type DepositUnattributed,
  OFFER_ENDED,
  OFFER_RECEIVED,
  type OfferPayload,
} from './deposit-events.ts';
import type { Owner } from './deposit-owner.ts';

export function announceDeposit(
  change: TransferChange,
  decision: Decision,
  treasury: Treasury,
): Omit<EventDraft, 'recordedAt'>[] {
  const event = (type: string, payload: EventDraft['payload']) => [
    { eventId: eventId(type, change.transferId, change.updateId), type, subject: change.transferId, payload },
  ];
  const common: DepositFacts = {
    transferId: change.transferId,
    treasuryParty: treasury.party,
    instrument: { admin: change.instrument.admin, id: change.instrument.id },
    amount: formatAmount(isCredit(change) ? gainOf(change) : change.amount),
    memo: change.memo,
    sender: change.counterparty,
    updateId: change.updateId,
    recordTime: change.recordTime.toString(),
  };
  if (change.status === 'PENDING') {
    return change.isNew ? event(OFFER_RECEIVED, { ...common, status: change.status } satisfies OfferPayload) : [];
  }
  if (!isCredit(change)) return event(OFFER_ENDED, { ...common, status: change.status } satisfies OfferPayload);
  switch (decision.kind) {
    case 'CREDITED':
      return event(DEPOSIT_CREDITED, { ...common, ...ownedBy(decision.owner) } satisfies DepositCredited);
    case 'HELD':
      return decision.isDenied
        ? event(DEPOSIT_DENIED, { ...common, ...ownedBy(decision.owner), caseId: null } satisfies DepositDenied)
        : event(DEPOSIT_HELD, { ...common, ...ownedBy(decision.owner) } satisfies DepositCredited);
    case 'UNATTRIBUTED':
      return event(DEPOSIT_UNATTRIBUTED, { ...common, why: decision.why } satisfies DepositUnattributed);
    case 'INTERNAL':
      return [];
  }
}

function ownedBy({ name, depositAccountId }: Owner) {
  return { account: name, depositAccountId };
}
