/** What the choice that ends an offer says came of it. */
import type { Value } from '../gen/com/daml/ledger/api/v2/value.ts';
import { field, readContractId, readRecord, readVariant, required } from '../tokens/value.ts';
import { CustodyRefusal, demand } from './custody-refusal.ts';
import { contractIds } from './intent-root.ts';

export type OfferResult =
  | { readonly kind: 'COMPLETED'; readonly holdings: readonly string[] }
  /** The registry goes on by itself, with this contract in the offer's place. */
  | { readonly kind: 'PENDING'; readonly instruction: string }
  | {
      readonly kind: 'FAILED';
      /** What the sender has back: contract ids of holdings. */
      readonly returned: readonly string[];
    };

/** Far more than any registry makes of one transfer. */
const HOLDINGS_MAX = 10;

/** @throws DecodeError, CustodyRefusal INTENT_RESULT. */
export function readOfferResult(value: Value | undefined, at: string): OfferResult {
  const record = required(readRecord(value), 'result');
  const output = required(readVariant(field(record, 'output')), 'output');
  const change = contractIds(field(record, 'senderChangeCids'), 'senderChangeCids');
  switch (output.constructor) {
    case 'TransferInstructionResult_Completed': {
      const holdings = contractIds(field(readRecord(output.value), 'receiverHoldingCids'), 'receiverHoldingCids');
      const isSane =
        holdings.length > 0 && holdings.length <= HOLDINGS_MAX && new Set(holdings).size === holdings.length;
      demand(isSane, 'INTENT_RESULT', 'No holding for us, or one named twice.', `${at} exerciseResult.output`);
      return { kind: 'COMPLETED', holdings };
    }
    case 'TransferInstructionResult_Pending': {
      const instruction = required(
        readContractId(field(readRecord(output.value), 'transferInstructionCid')),
        'transferInstructionCid',
      );
      return { kind: 'PENDING', instruction };
    }
    case 'TransferInstructionResult_Failed':
      demand(
        change.length <= HOLDINGS_MAX && new Set(change).size === change.length,
        'INTENT_RESULT',
        'Too much comes back, or something twice.',
        `${at} exerciseResult.senderChangeCids`,
      );
      return { kind: 'FAILED', returned: change };
    default:
      throw new CustodyRefusal('INTENT_RESULT', 'Not a result of the standard.', `${at} exerciseResult.output`);
  }
}
