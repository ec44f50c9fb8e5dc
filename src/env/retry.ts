/** Bounded retries with capped, jittered backoff. p-retry counts; the waiting is the Clock's, so that simulated time can pass over it. */
import pRetry from 'p-retry';
import type { Clock } from './clock.ts';
import { RetryableError } from './errors.ts';
import type { Random } from './random.ts';

export type RetryPolicy = {
  /** Tries in all, the first included. */
  readonly attemptsMax: number;
  /** Wait after the first failure; doubles with each further one … */
  readonly delayMsMin: number;
  /** … up to this. The actual wait is drawn from the upper half, so that many waiters do not return at once. */
  readonly delayMsMax: number;
};

/**
 * Runs `attempt` until it succeeds.
 * @throws whatever is not a RetryableError at once; the last RetryableError when the tries are used up or `signal` has aborted.
 */
export async function retry<T>(
  attempt: () => Promise<T>,
  policy: RetryPolicy,
  env: {
    readonly clock: Clock;
    readonly random: Random;
    readonly signal: AbortSignal;
    readonly onFailure?: (error: RetryableError, attemptsLeft: number, delayMs: number) => void;
  },
): Promise<T> {
  return pRetry(attempt, {
    retries: policy.attemptsMax - 1,
    minTimeout: 0,
    shouldRetry: ({ error }) => error instanceof RetryableError && !env.signal.aborted,
    onFailedAttempt: async ({ error, attemptNumber, retriesLeft }) => {
      if (!(error instanceof RetryableError) || retriesLeft === 0) return;
      const ceiling = Math.min(policy.delayMsMax, policy.delayMsMin * 2 ** (attemptNumber - 1));
      const delayMs = Math.round(ceiling * (0.5 + env.random.next() / 2));
      env.onFailure?.(error, retriesLeft, delayMs);
      await env.clock.sleep(delayMs, env.signal);
    },
  });
}
