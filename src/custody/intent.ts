/** What may be signed: a transfer of ours, or the end of an offer made to us or by us. */
import type { OfferIntent } from './offer-intent.ts';
import type { TransferIntent } from './transfer-intent.ts';

export type Intent = TransferIntent | OfferIntent;

export function isOfferIntent(intent: Intent): intent is OfferIntent {
  return intent.kind === 'ACCEPT' || intent.kind === 'REJECT' || intent.kind === 'WITHDRAW';
}

/** Contract ids of what it consumes of ours, in order: two that share one cannot both commit. */
export function inputsOf(intent: Intent): readonly string[] {
  return isOfferIntent(intent) ? [intent.offer] : intent.inputs.map(({ contractId }) => contractId);
}
