/** Waiting for a condition with a deadline, instead of sleeping and hoping. */
import type { Clock } from '../../src/env/clock.ts';
import { systemClock } from '../../src/env/system.ts';

export type EventuallyOptions = {
  /** Default 5 s. */
  readonly deadlineMs?: number;
  /** Default 20 ms, and longer the longer it takes: a tenth of what was waited, at most 100 ms. */
  readonly intervalMs?: number;
  readonly clock?: Clock;
};

/**
 * Repeats `attempt` until it no longer throws.
 *
 * @returns what the successful attempt returned.
 * @throws the last attempt's error once the deadline has passed; at least one attempt is made.
 */
export async function eventually<T>(attempt: () => T | Promise<T>, options: EventuallyOptions = {}): Promise<T> {
  const { deadlineMs = 5_000, intervalMs, clock = systemClock } = options;
  const start = clock.nowMicros();
  const deadline = start + BigInt(deadlineMs) * 1_000n;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (clock.nowMicros() >= deadline) throw error;
    }
    const waitedMs = Number((clock.nowMicros() - start) / 1_000n);
    await clock.sleep(intervalMs ?? Math.min(100, Math.max(20, waitedMs / 10)));
  }
}
