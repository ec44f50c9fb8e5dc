/** The loops of a process and what becomes of it when one of them ends: the first failure is kept, for whoever waits to end the process over it. */
import type { Clock } from '../env/clock.ts';
import { messageOf, RetryableError } from '../env/errors.ts';
import type { Logger } from '../env/logger.ts';

export type ServiceLoops = {
  /** Runs until `stop`. A failure is final: it is what `failed` resolves with. */
  run(name: string, loop: (signal: AbortSignal) => Promise<void>): void;
  /** The first failure. Never settles while all is well. */
  readonly failed: Promise<unknown>;
  /** Aborted by `stop`. */
  readonly signal: AbortSignal;
  /** Resolves when every loop has ended. */
  stop(): Promise<void>;
};

export function createServiceLoops({ logger }: { readonly logger: Logger }): ServiceLoops {
  const ending = new AbortController();
  const { promise: failed, resolve: fail } = Promise.withResolvers<unknown>();
  const running: Promise<void>[] = [];

  async function guarded(name: string, loop: (signal: AbortSignal) => Promise<void>): Promise<void> {
    try {
      await loop(ending.signal);
    } catch (error) {
      if (ending.signal.aborted) return;
      logger.error('A loop has ended.', { loop: name, why: messageOf(error) });
      fail(error);
    }
  }

  return {
    run: (name, loop) => {
      running.push(guarded(name, loop));
    },
    failed,
    signal: ending.signal,
    stop: async () => {
      ending.abort();
      await Promise.all(running);
    },
  };
}

/**
 * A loop that an API replica does not die of: while the database is away for longer than the loop's own patience, it begins again. Reads answer
 * 503 meanwhile.
 */
export function persistently(
  loop: () => Promise<void>,
  { clock, logger }: { readonly clock: Clock; readonly logger: Logger },
): (signal: AbortSignal) => Promise<void> {
  return async (signal) => {
    while (!signal.aborted) {
      try {
        return await loop();
      } catch (error) {
        if (!(error instanceof RetryableError)) throw error;
        logger.error('A loop gave up and begins again.', { code: error.code, why: error.message });
        await clock.sleep(BEGIN_AGAIN_MS, signal);
      }
    }
  };
}

const BEGIN_AGAIN_MS = 1_000; // The loop has waited for minutes by itself; this only keeps a defect from spinning.
