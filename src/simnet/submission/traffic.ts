/**
 * What a participant may send: a base rate that fills linearly and is used first, then extra traffic that somebody bought. Off until it is metered: then nothing is counted and nothing refused.
 * @see Splice: synchronizer traffic fees; Scan's `traffic-status`, which counts extra traffic alone.
 */
import type { Clock, Micros } from '../../env/clock.ts';

export type TrafficMeter = {
  /** Bytes that the base rate holds when full, and gives in `windowSeconds`. It starts full. */
  readonly baseBytes: bigint;
  readonly windowSeconds: bigint;
  /** Bytes of extra traffic that are there from the start. */
  readonly extraBytes: bigint;
};

/** Bytes, ever. */
export type TrafficStatus = { readonly totalConsumed: bigint; readonly totalLimit: bigint };

export type TrafficControls = {
  /** Begins to count, from nothing. */
  meter(settings: TrafficMeter): void;
  /** Counts no more. */
  unmeter(): void;
  /** Adds extra traffic, as a top-up does. Harmless where nothing is metered. */
  buy(bytes: bigint): void;
  /** Somebody else on the node uses up all but so many bytes of extra traffic, and the base rate. */
  drain(leftBytes: bigint): void;
  /** Of extra traffic; null: nothing is metered. */
  status(): TrafficStatus | null;
};

export type Traffic = TrafficControls & {
  isEnough(bytes: bigint): boolean;
  /** Takes it where it is there. @returns how much was charged, 0 where nothing is metered; null: it is not there, and nothing was taken. */
  charge(bytes: bigint): bigint | null;
};

const SECOND_MICROS = 1_000_000n;

type Metered = TrafficMeter & { base: bigint; filledAt: Micros; consumed: bigint; limit: bigint };

export function createTraffic({ clock }: { readonly clock: Pick<Clock, 'nowMicros'> }): Traffic {
  let metered: Metered | null = null;

  const fill = (of: Metered): Metered => {
    const now = clock.nowMicros();
    const windowMicros = of.windowSeconds * SECOND_MICROS;
    const added = windowMicros === 0n ? 0n : ((now - of.filledAt) * of.baseBytes) / windowMicros;
    if (added <= 0n) return of;
    const base = of.base + added;
    of.base = base > of.baseBytes ? of.baseBytes : base;
    of.filledAt = now;
    return of;
  };

  const isEnough = (bytes: bigint): boolean => {
    if (metered === null) return true;
    const { base, limit, consumed } = fill(metered);
    return base + limit - consumed >= bytes;
  };

  return {
    meter: (settings) => {
      const filledAt = clock.nowMicros();
      metered = { ...settings, base: settings.baseBytes, filledAt, consumed: 0n, limit: settings.extraBytes };
    },
    unmeter: () => {
      metered = null;
    },
    buy: (bytes) => {
      if (metered !== null) metered.limit += bytes;
    },
    drain: (leftBytes) => {
      if (metered === null) return;
      const of = fill(metered);
      of.base = 0n;
      if (of.limit - of.consumed > leftBytes) of.consumed = of.limit - leftBytes;
    },
    status: () => metered && { totalConsumed: metered.consumed, totalLimit: metered.limit },
    isEnough,
    charge: (bytes) => {
      if (metered === null) return 0n;
      if (!isEnough(bytes)) return null;
      const left = metered.base - bytes;
      metered.base = left < 0n ? 0n : left;
      if (left < 0n) metered.consumed -= left;
      return bytes;
    },
  };
}
