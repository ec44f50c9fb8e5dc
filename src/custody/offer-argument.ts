/**
 * The argument of the choice that ends an offer. The command sent for preparation and the comparison before signing use this one function, so they cannot drift apart.
 * @see Canton token standard (CIP-56), Splice.Api.Token.TransferInstructionV1: TransferInstruction_Accept, _Reject and _Withdraw take `extraArgs` alone.
 */
import type { Value } from '../gen/com/daml/ledger/api/v2/value.ts';
import type { OfferIntent } from './offer-intent.ts';
import { extraArgs, record, transferType } from './transfer-argument.ts';

export const OFFER_CHOICES: Readonly<Record<OfferIntent['kind'], string>> = {
  ACCEPT: 'TransferInstruction_Accept',
  REJECT: 'TransferInstruction_Reject',
  WITHDRAW: 'TransferInstruction_Withdraw',
};

export function offerArgument({ kind, choiceContext }: Pick<OfferIntent, 'kind' | 'choiceContext'>): Value {
  return record(transferType(OFFER_CHOICES[kind]), { extraArgs: extraArgs(choiceContext) });
}
