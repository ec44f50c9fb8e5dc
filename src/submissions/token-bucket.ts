/** A bucket that fills with time: what may be spent now. Pure. In whole units, which may be thousandths of something. */
import type { Micros } from '../env/clock.ts';

export type BucketRate = {
  /** Units that come back in a second. */
  readonly perSecond: bigint;
  /** More than this it never holds. */
  readonly capacity: bigint;
};

export type Bucket = {
  /** Below zero where something was dearer than thought: then it has to fill up first. */
  readonly level: bigint;
  readonly filledAt: Micros;
};

const SECOND_MICROS = 1_000_000n;
/** Clocks that are right are not further apart. Whoever filled it by one that was ahead by more is not waited for: nothing would be let go until all clocks have come as far. */
const AHEAD_MICROS_MAX = 10n * SECOND_MICROS;

export function fullBucket({ capacity }: BucketRate, now: Micros): Bucket {
  return { level: capacity, filledAt: now };
}

/** What it holds at `now`. A clock that goes back fills nothing and takes nothing away; far back, it begins to fill anew from there. */
export function filled({ level, filledAt }: Bucket, { perSecond, capacity }: BucketRate, now: Micros): Bucket {
  if (now <= filledAt) {
    const isFar = filledAt - now > AHEAD_MICROS_MAX;
    return { level: level > capacity ? capacity : level, filledAt: isFar ? now : filledAt };
  }
  const added = ((now - filledAt) * perSecond) / SECOND_MICROS;
  if (level + added >= capacity) return { level: capacity, filledAt: now };
  // Only as much time is used up as whole units came of it, or a bucket that is looked at often would never fill.
  const usedMicros = perSecond === 0n ? 0n : (added * SECOND_MICROS + perSecond - 1n) / perSecond;
  const reached = filledAt + usedMicros;
  return { level: level + added, filledAt: reached > now ? now : reached };
}
