/** How often others may be asked for the sake of a look ahead. Nobody waits for his turn: whoever comes too often is told so, and what the database knows he gets all the same. */
import type { Clock, Micros } from '../env/clock.ts';

export type AskingBudget = {
  /**
   * @param customer who asks for himself; null: a service. Customers are many: they leave half of it to the services that ask for all of them, and each of them nearly all of the rest to the others.
   * @returns null: ask; else why not.
   */
  take(customer?: string | null): string | null;
};

const MICROS_PER_SECOND = 1_000_000;
const BURST_SECONDS = 2;
/** Of all looks in the long run, one customer has a tenth, and three at once after a pause. */
const OWN_SHARE = 10n;
const OWN_BURST = 3n;
/** Customers that are remembered before those are forgotten whose looks are paid back: some seconds of them. */
const REMEMBERED_MAX = 1_000;

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
  /** The same, of each customer's own. */
  const ownFullAt = new Map<string, Micros>();
  const own = interval * OWN_SHARE;
  return {
    take: (customer = null) => {
      const now = clock.nowMicros();
      const later = (at: Micros): Micros => (at > now ? at : now);
      const next = later(fullAt) + interval;
      const ownNext = customer === null ? now : later(ownFullAt.get(customer) ?? 0n) + own;
      if (next - now > (customer === null ? burst : burst / 2n) || ownNext - now > own * OWN_BURST)
        return `More than ${perSecond} looks ahead a second, or too many of one customer: ask again in a moment.`;
      fullAt = next;
      if (customer === null) return null;
      if (ownFullAt.size >= REMEMBERED_MAX) for (const [name, at] of ownFullAt) if (at <= now) ownFullAt.delete(name);
      ownFullAt.set(customer, ownNext);
      return null;
    },
  };
}
