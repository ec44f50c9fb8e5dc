/** Whether a record of the standard is the transfer that was offered. */
import type { Value } from '../gen/com/daml/ledger/api/v2/value.ts';
import { readTransfer } from '../tokens/transfer-record.ts';
import { CustodyRefusal, demand } from './custody-refusal.ts';
import type { OfferIntent } from './offer-intent.ts';
import { transferValue } from './transfer-argument.ts';
import { understood } from './understood.ts';
import { differenceOf } from './value-difference.ts';

/** @throws CustodyRefusal INTENT_OFFER unless `value` is the transfer that ingestion saw offered, to the last field. */
export function demandOfferedTransfer(value: Value | undefined, intent: OfferIntent, at: string): void {
  const { inputHoldings } = understood('INTENT_OFFER', at, () => readTransfer(value));
  const areSame =
    inputHoldings.length === intent.inputHoldings.length &&
    inputHoldings.every((contractId, index) => contractId === intent.inputHoldings[index]);
  demand(areSame, 'INTENT_OFFER', 'Offers other holdings.', `${at}.inputHoldingCids`);
  const difference = differenceOf(transferValue(intent, inputHoldings), value, at);
  if (difference !== null) throw new CustodyRefusal('INTENT_OFFER', 'Offers something else.', difference);
}
