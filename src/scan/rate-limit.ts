/** A token bucket: so many exchanges a second in the long run, a burst at once, and whoever comes then waits his turn, up to a limit. */
import { type Clock, type Micros, microsToMillis } from '../env/clock.ts';
import { retryable } from './registry-http.ts';

export type TokenBucket = {
  /** @throws RegistryRetryableError REGISTRY_RATE_LIMITED when the turn would come too late; nothing was used up. */
  take(url: string, signal?: AbortSignal): Promise<void>;
};

const WAIT_MS_MAX = 5_000; // Longer, and the transfer that waits is better served by a later try.
const MICROS_PER_SECOND = 1_000_000;

export function createTokenBucket(options: {
  readonly clock: Clock;
  readonly perSecond: number;
  readonly burst: number;
}): TokenBucket {
  const { clock, perSecond, burst } = options;
  const interval: Micros = BigInt(Math.ceil(MICROS_PER_SECOND / perSecond));
  // When the bucket will be full again; each exchange moves it on by its share.
  let fullAt: Micros = 0n;
  return {
    take: async (url, signal) => {
      const now = clock.nowMicros();
      const next = (fullAt > now ? fullAt : now) + interval;
      const waitMs = microsToMillis(next - now - interval * BigInt(burst));
      if (waitMs > WAIT_MS_MAX) throw retryable('REGISTRY_RATE_LIMITED', 'Asked too often.', { url, waitMs });
      fullAt = next;
      if (waitMs > 0) await clock.sleep(waitMs, signal);
    },
  };
}
