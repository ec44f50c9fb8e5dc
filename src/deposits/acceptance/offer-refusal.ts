/** Why nothing was done about an offer: expected answers, not faults. */
import { PermanentError } from '../../env/errors.ts';

const MESSAGES = {
  OFFER_NOT_OPEN: 'There is no such offer, or it has ended.',
  OFFER_IN_FLIGHT: 'It is being accepted or rejected at this moment: wait for what comes of it.',
  OFFER_NOT_PARKED: 'It is not parked.',
  OFFER_PARKED: 'It is parked already.',
  REASON_INVALID: 'A reason of 1 to 1,000 bytes is needed.',
} as const;

export type OfferRefusalCode = keyof typeof MESSAGES;

export class OfferRefusal extends PermanentError {
  constructor(code: OfferRefusalCode) {
    super(code, MESSAGES[code]);
  }
}
