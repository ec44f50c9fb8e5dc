/**
 * A loop that does its work in passes: woken by a hint, made correct by a poll, and patient with a database that is away for a while.
 */
import type { Clock } from '../env/clock.ts';
import { messageOf, RetryableError } from '../env/errors.ts';
import type { Logger } from '../env/logger.ts';
import type { Random } from '../env/random.ts';

/** Remembers one wake-up, however many come: what a loop waits on between passes. */
export type WakeUp = {
  wake(): void;
  /** Resolves on the next (or a remembered) wake-up, after `timeoutMs`, or when `signal` aborts. One waiter at a time. @returns whether there was a wake-up. */
  wait(timeoutMs: number, signal: AbortSignal): Promise<boolean>;
};

export function createWakeUp(clock: Clock): WakeUp {
  let isPending = false;
  let endWait: (() => void) | null = null;
  return {
    wake: () => {
      isPending = true;
      endWait?.();
    },
    wait: async (timeoutMs, signal) => {
      if (!isPending && !signal.aborted) {
        const waiting = new AbortController();
        const { promise, resolve: end, reject: fail } = Promise.withResolvers<void>();
        const abort = () => end();
        endWait = end;
        signal.addEventListener('abort', abort, { once: true });
        clock.sleep(timeoutMs, waiting.signal).then(end, fail);
        await promise;
        signal.removeEventListener('abort', abort);
        endWait = null;
        // After whoever was woken has begun: to end a sleep takes longer than anything else of waking.
        setImmediate(() => waiting.abort());
      }
      const isWoken = isPending;
      isPending = false;
      return isWoken;
    },
  };
}

export type PollingLoopOptions = {
  /** For log lines, e.g. `event sequencer`. */
  readonly name: string;
  /** One pass over the work. @returns true when more may be waiting, so that the next pass starts at once. */
  readonly pass: () => Promise<boolean>;
  readonly wakeUp: WakeUp;
  /** Milliseconds between passes when no hint comes. */
  readonly pollMs: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly signal: AbortSignal;
};

const BACKOFF_MS_MIN = 100;
const BACKOFF_MS_MAX = 5_000; // A database that comes back is noticed within five seconds.
/** With the backoff above about two minutes: longer than a failover of PostgreSQL, shorter than an operator's patience. */
export const LOOP_FAILURES_MAX = 30;

/**
 * Runs passes until `signal` aborts, then resolves. A pass must leave nothing half-done when it throws: it is simply repeated, after a
 * growing, jittered wait.
 *
 * @throws RetryableError LOOP_EXHAUSTED after {@link LOOP_FAILURES_MAX} failed passes in a row: the process is to be restarted with fresh
 * connections. The cause is the last failure. Errors that name themselves permanent end the loop at once.
 */
export async function runPollingLoop(options: PollingLoopOptions): Promise<void> {
  const { name, pass, wakeUp, pollMs, clock, random, logger, signal } = options;
  let failures = 0;
  while (!signal.aborted) {
    try {
      const isMore = await pass();
      if (failures > 0) logger.info('Loop works again.', { loop: name, failures });
      failures = 0;
      if (!isMore) await wakeUp.wait(pollMs, signal);
    } catch (error) {
      if (signal.aborted) return;
      if (isPermanent(error)) throw error;
      failures++;
      if (failures >= LOOP_FAILURES_MAX) {
        throw new RetryableError('LOOP_EXHAUSTED', `The ${name} failed too often.`, { failures }, { cause: error });
      }
      const ceilingMs = Math.min(BACKOFF_MS_MAX, BACKOFF_MS_MIN * 2 ** Math.min(failures, 10));
      const delayMs = ceilingMs * (0.5 + random.next() / 2);
      logger.warn('Loop failed and tries again.', { loop: name, failures, delayMs, error: messageOf(error) });
      await clock.sleep(delayMs, signal);
    }
  }
}

function isPermanent(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'retryable' in error && error.retryable === false;
}
