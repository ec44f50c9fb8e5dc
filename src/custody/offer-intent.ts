/** The end that we mean to give an offer made to us: everything about it that we know from our own tables, and nothing that the node or the registry may choose. */
import type { Value } from '../gen/com/daml/ledger/api/v2/value.ts';
import { demand } from './custody-refusal.ts';
import type { TransferIntent } from './transfer-intent.ts';

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
  /** ACCEPT: the receiver, who is the treasury party and acts alone, has the amount. REJECT: the sender has it back. `sender` is whoever made the offer. */
  readonly kind: 'ACCEPT' | 'REJECT';
  /** Contract id of the offer, as ingestion saw it. The one contract of ours that may be consumed. */
  readonly offer: string;
  /** What the offer would spend, as it says itself: holdings of the sender. */
  readonly inputHoldings: readonly string[];
  /** `extraArgs.context` as the registry gave it: opaque, but what we sent is what must come back. */
  readonly choiceContext: ReadonlyMap<string, Value>;
};

const CONTRACT_ID_PATTERN = /^(?:[0-9a-f]{2})+$/;

/** @throws CustodyRefusal INTENT_INVALID when the intent itself makes no sense: then nothing can be compared with it. */
export function demandSaneOffer(intent: OfferIntent): void {
  const { offer, sender, receiver, instrument, amount, inputHoldings } = intent;
  const check = (condition: boolean, message: string, field: string): void =>
    demand(condition, 'INTENT_INVALID', message, `intent.${field}`);
  check(
    [offer, ...inputHoldings].every((id) => CONTRACT_ID_PATTERN.test(id)),
    'Not a contract id.',
    'offer',
  );
  check(!inputHoldings.includes(offer), 'An offer of itself.', 'inputHoldings');
  check(amount > 0n, 'Not a positive amount.', 'amount');
  check(sender !== '' && receiver !== '' && instrument.id !== '', 'A name is missing.', 'sender');
  check(sender !== receiver, 'An offer to oneself.', 'receiver');
  // Every rule rests on the admin being somebody else, whose participants confirm the transaction.
  check(instrument.admin !== '' && instrument.admin !== receiver, 'We are the admin.', 'instrument.admin');
  check(intent.requestedAt < intent.executeBefore, 'Ends before it begins.', 'executeBefore');
  check(intent.commandId !== '', 'No command id.', 'commandId');
  check(/^[^:]+::[^:]+$/.test(intent.synchronizerId), 'Not a logical synchronizer id.', 'synchronizerId');
}
