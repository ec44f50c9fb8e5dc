/** The id of what we do about an offer: a function of the transfer and the choice, so that whoever finds it first makes the one row. */
import { createHash } from 'node:crypto';

export type OfferChoice = 'ACCEPT' | 'REJECT';

export function offerActionId(transferId: string, choice: OfferChoice): string {
  return `oa_${createHash('sha256').update(`${transferId}/${choice}`).digest('hex').slice(0, 40)}`;
}
