/** The end that we mean to give an offer, made to us or by us: everything about it that we know from our own tables, and nothing that the node or the registry may choose. */
import type { Value } from '../gen/com/daml/ledger/api/v2/value.ts';
import { demand } from './custody-refusal.ts';
import type { IntentInput, TransferIntent } from './transfer-intent.ts';

export type OfferIntent = Pick<
  TransferIntent,
  | 'implementation'
  | 'sender'
  | 'receiver'
  | 'instrument'
  | 'amount'
  | 'meta'
  | 'requestedAt'
  | 'executeBefore'
  | 'commandId'
  | 'synchronizerId'
  | 'physicalSynchronizerId'
  | 'maxRecordTime'
> & {
  /**
   * ACCEPT: the receiver, who is the treasury party and acts alone, has the amount. REJECT: the sender has it back. WITHDRAW: the sender, who is the treasury party and acts alone, has back what the
   * offer locked. `sender` is whoever made the offer.
   */
  readonly kind: 'ACCEPT' | 'REJECT' | 'WITHDRAW';
  /** Contract id of the offer, as ingestion saw it. The one contract of ours that may be consumed. */
  readonly offer: string;
  /** What the offer would spend, as it says itself: holdings of the sender. */
  readonly inputHoldings: readonly string[];
  /** WITHDRAW: the holdings of ours that the offer locks, as our own table has them; exactly these are consumed, and exactly their sum comes back. None: their lock is gone already. Else empty. */
  readonly locked: readonly IntentInput[];
  /** `extraArgs.context` as the registry gave it: opaque, but what we sent is what must come back. */
  readonly choiceContext: ReadonlyMap<string, Value>;
};

/** Who ends it, and who is on the other side. */
export function sidesOf({ kind, sender, receiver }: Pick<OfferIntent, 'kind' | 'sender' | 'receiver'>): {
  /** The treasury party. */
  readonly us: string;
  readonly other: string;
} {
  return kind === 'WITHDRAW' ? { us: sender, other: receiver } : { us: receiver, other: sender };
}

const CONTRACT_ID_PATTERN = /^(?:[0-9a-f]{2})+$/;
const LOCKED_MAX = 100; // As many as a transfer has inputs.

/** @throws CustodyRefusal INTENT_INVALID when the intent itself makes no sense: then nothing can be compared with it. */
export function demandSaneOffer(intent: OfferIntent): void {
  const { kind, offer, sender, receiver, instrument, amount, inputHoldings, locked } = intent;
  const { us } = sidesOf(intent);
  const check = (condition: boolean, message: string, field: string): void =>
    demand(condition, 'INTENT_INVALID', message, `intent.${field}`);
  check(
    [offer, ...inputHoldings, ...locked.map(({ contractId }) => contractId)].every((id) =>
      CONTRACT_ID_PATTERN.test(id),
    ),
    'Not a contract id.',
    'offer',
  );
  const lockedIds = new Set(locked.map(({ contractId }) => contractId));
  check(locked.length <= LOCKED_MAX && lockedIds.size === locked.length, 'Locked twice, or too much.', 'locked');
  check(!lockedIds.has(offer), 'An offer that locks itself.', 'locked');
  check(
    locked.every((each) => each.amount > 0n),
    'A lock on nothing.',
    'locked',
  );
  check(kind === 'WITHDRAW' || locked.length === 0, 'What others lock is not ours.', 'locked');
  check(!inputHoldings.includes(offer), 'An offer of itself.', 'inputHoldings');
  check(amount > 0n, 'Not a positive amount.', 'amount');
  check(sender !== '' && receiver !== '' && instrument.id !== '', 'A name is missing.', 'sender');
  check(sender !== receiver, 'An offer to oneself.', 'receiver');
  // Every rule rests on the admin being somebody else, whose participants confirm the transaction.
  check(instrument.admin !== '' && instrument.admin !== us, 'We are the admin.', 'instrument.admin');
  check(intent.requestedAt < intent.executeBefore, 'Ends before it begins.', 'executeBefore');
  check(intent.commandId !== '', 'No command id.', 'commandId');
  check(/^[^:]+::[^:]+$/.test(intent.synchronizerId), 'Not a logical synchronizer id.', 'synchronizerId');
}
