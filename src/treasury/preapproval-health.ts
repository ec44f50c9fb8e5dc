/** What is to be thought of a treasury's preapproval: pure, so that the log, the API and the command line say the same. */
import type { Micros } from '../env/clock.ts';

/**
 * - `VALID`: deposits arrive at once, and will go on to.
 * - `EXPIRING`: it ends soon, and its provider has not renewed it.
 * - `EXPIRED`: deposits come as offers now.
 * - `NONE`: as well; there never was one, or it was cancelled.
 * - `UNKNOWN`: the participant could not be asked for longer than a look should take.
 */
export type PreapprovalState = 'VALID' | 'EXPIRING' | 'EXPIRED' | 'NONE' | 'UNKNOWN';

export type PreapprovalHealth = {
  readonly state: PreapprovalState;
  /** For people; null where all is well. */
  readonly alarm: string | null;
};

const DAY_MICROS = 86_400_000_000n;
/**
 * A validator renews 30 days before the end. With less than 14 left its automation has failed for two weeks, or has no money for the fee, and there is still time to do something.
 */
export const ALARM_MICROS: Micros = 14n * DAY_MICROS;
/** A look that is older says nothing any more: six rounds of the monitor. */
const LOOK_AGE_MAX: Micros = 3_600_000_000n;

/** @param nowMicros wall clock: expiry is days away, seconds do not matter. */
export function healthOf(
  look: { readonly checkedAt: Micros | null; readonly trouble: string | null; readonly expiresAt: Micros | null },
  nowMicros: Micros,
): PreapprovalHealth {
  const { checkedAt, trouble, expiresAt } = look;
  if (checkedAt === null || nowMicros - checkedAt > LOOK_AGE_MAX) {
    return { state: 'UNKNOWN', alarm: `The participant was not asked for long: ${trouble ?? 'nobody looks'}.` };
  }
  if (expiresAt === null) {
    return { state: 'NONE', alarm: 'There is no preapproval: deposits come as offers, which have to be accepted.' };
  }
  const left = expiresAt - nowMicros;
  if (left <= 0n) {
    return {
      state: 'EXPIRED',
      alarm: 'The preapproval has expired: deposits come as offers, which have to be accepted.',
    };
  }
  if (left > ALARM_MICROS) return { state: 'VALID', alarm: null };
  const days = left / DAY_MICROS;
  return {
    state: 'EXPIRING',
    alarm: `The preapproval ends in ${days === 0n ? 'less than a day' : `${days} days`}, and its provider's validator has not renewed it.`,
  };
}
