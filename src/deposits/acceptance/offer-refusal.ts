/** Why nothing was done about an offer, and what to do about that: expected answers, not faults. */
import { PermanentError } from '../../env/errors.ts';

type Advice = { readonly why: string; readonly fix: string };

const REFUSALS = {
  OFFER_NOT_OPEN: [
    'There is no such offer, or it has ended.',
    'An offer that was accepted, given back, taken back or replaced cannot be decided about any more.',
    'Look it up with `offer`: its status says what became of it.',
  ],
  OFFER_IN_FLIGHT: [
    'It is being accepted or given back at this moment.',
    'What may have been signed only the ledger ends.',
    'Wait for what comes of it, a minute or so, and look again.',
  ],
  OFFER_NOT_PARKED: [
    'It is not parked.',
    'Only what is parked can be put back.',
    'Look it up with `offer`; `retryOfferNow` tries one at once that waits for its turn.',
  ],
  OFFER_PARKED: ['It is parked already.', 'Nothing is done about it.', 'Put it back with `unparkOffer`.'],
  REASON_INVALID: [
    'A reason of 1 to 1,000 bytes is needed.',
    'Every decision is kept with its reason.',
    'Say in a sentence why.',
  ],
} as const;

export type OfferRefusalCode = keyof typeof REFUSALS;

/** Stable: clients branch on them. */
export const OFFER_REFUSAL_CODES: readonly string[] = Object.keys(REFUSALS);

export class OfferRefusal extends PermanentError {
  readonly advice: Advice;

  constructor(code: OfferRefusalCode) {
    const [message, why, fix] = REFUSALS[code];
    super(code, message);
    this.advice = { why, fix };
  }
}
