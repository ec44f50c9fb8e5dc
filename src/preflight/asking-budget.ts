/** How often others may be asked for the sake of a look ahead. Nobody waits for his turn: whoever comes too often is told so, and what the database knows he gets all the same. */
import type { Clock, Micros } from '../env/clock.ts';

export type AskingBudget = {
  /**
   * @param isForCustomer customers are many, and leave half of it to the services that ask for all of them.
   * @returns null: ask; else why not.
   */
  take(isForCustomer?: boolean): string | null;
};

const MICROS_PER_SECOND = 1_000_000;
const BURST_SECONDS = 2;

/** @param perSecond in the long run, twice as many at once; 0: never. */
export function createAskingBudget({
  clock,
  perSecond,
}: {
  readonly clock: Clock;
  readonly perSecond: number;
}): AskingBudget {
  if (perSecond <= 0) return { take: () => 'This installation asks nobody for a look ahead.' };
  const interval: Micros = BigInt(Math.ceil(MICROS_PER_SECOND / perSecond));
  const burst = interval * BigInt(Math.max(1, Math.round(perSecond * BURST_SECONDS)));
  // When the bucket will be full again; each question moves it on by its share.
  let fullAt: Micros = 0n;
  return {
    take: (isForCustomer = false) => {
      const now = clock.nowMicros();
      const next = (fullAt > now ? fullAt : now) + interval;
      if (next - now > (isForCustomer ? burst / 2n : burst))
        return `More than ${perSecond} looks ahead a second: ask again in a moment.`;
      fullAt = next;
      return null;
    },
  };
}
