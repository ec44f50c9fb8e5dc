/** How far the automation goes for an offer, and what it may cost. */
import type { RawBuilder } from 'kysely';
import type { AttemptLimits } from '../../submissions/attempts.ts';

export type OfferRules = {
  /** Of one attempt. `attemptsMax` is not heeded: `triesMax` below bounds an offer. */
  readonly limits: AttemptLimits;
  /** Attempts that the offer itself makes fail; then it is parked. What fails because a service is away only waits. */
  readonly triesMax: number;
  /** The wait after the first attempt that came to nothing; it doubles from one to the next. */
  readonly backoffMsMin: number;
  readonly backoffMsMax: number;
  /** Tries per window of {@link BUDGET_WINDOW_MS}, each of which may cost the traffic of one transaction. */
  readonly budget: OfferBudget;
  /** Whether screening lets the offer of a transfer be accepted, as a condition of the statement that picks offers. @param offer expressions of that statement. */
  readonly isCleared: (offer: {
    readonly transferId: RawBuilder<unknown>;
    readonly networkId: RawBuilder<unknown>;
  }) => RawBuilder<boolean>;
};

export type OfferBudget = {
  /** Of one treasury party. */
  readonly all: number;
  readonly perInstrument: number;
  /**
   * Of one sender to one deposit account. What all senders to one account may use up together is half of what its instrument has: whoever floods his own holds up nobody else, and no stranger
   * alone holds up somebody else's.
   */
  readonly perAccount: number;
  readonly perSender: number;
};

/** An hour: long enough that a burst of customers fits, short enough that what a flood uses up is soon back. */
export const BUDGET_WINDOW_MS = 3_600_000;
