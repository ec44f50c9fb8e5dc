/**
 * Keeps the working side of a process going beside its API: when it has given up (a participant that is away for minutes, a database that stays read-only) it is taken down and
 * started anew, after a pause that grows while it keeps failing. Requests are answered throughout. A process that has no API ends instead, and is started anew by whoever started it.
 */
import { type Clock, millisToMicros } from '../env/clock.ts';
import { messageOf, RetryableError } from '../env/errors.ts';
import type { Logger } from '../env/logger.ts';
import type { Measures } from '../env/measures.ts';
import type { Workers } from './service-workers.ts';

const PAUSE_MS_MIN = 1_000;
const PAUSE_MS_MAX = 30_000;
const LASTING_MS = 10 * 60_000; // Workers that ran for so long had recovered.

/**
 * @param first running already: the first start is the caller's, whose failure is its own.
 * @param start starts them again; retryable failures are treated like one of the workers.
 * @returns workers whose `failed` resolves only with what no restart mends.
 */
export function superviseWorkers(
  first: Workers,
  start: () => Promise<Workers>,
  { clock, logger, measures }: { readonly clock: Clock; readonly logger: Logger; readonly measures?: Measures },
): Workers {
  const ending = new AbortController();
  const { promise: failed, resolve: fail } = Promise.withResolvers<unknown>();
  const over = Promise.withResolvers<null>();
  ending.signal.addEventListener('abort', () => over.resolve(null), { once: true });
  let present: Workers | null = first;

  /** Returns when it is told to end, or has failed for good. */
  async function supervise(): Promise<void> {
    let restarts = 0;
    for (;;) {
      const startedAt = clock.nowMicros();
      const error = await Promise.race([present?.failed ?? over.promise, over.promise]);
      if (ending.signal.aborted) return;
      if (clock.nowMicros() - startedAt > millisToMicros(LASTING_MS)) restarts = 0;
      await present?.stop();
      present = null;
      if (!(error instanceof RetryableError)) return fail(error);
      for (let isStarted = false; !isStarted; ) {
        const pauseMs = Math.min(PAUSE_MS_MAX, PAUSE_MS_MIN * 2 ** Math.min(restarts, 10));
        restarts += 1;
        measures?.retried({ work: 'workers', code: error.code });
        logger.warn('The workers have ended and are started anew.', { restarts, pauseMs, code: error.code });
        await clock.sleep(pauseMs, ending.signal);
        if (ending.signal.aborted) return;
        try {
          present = await start();
          isStarted = true;
        } catch (refusal) {
          if (!(refusal instanceof RetryableError)) return fail(refusal);
          logger.error('The workers cannot be started.', { code: refusal.code, why: messageOf(refusal) });
        }
      }
    }
  }
  const supervising = supervise();

  return {
    failed,
    stop: async () => {
      ending.abort();
      await supervising;
      await present?.stop();
    },
    stopping: () => present?.stopping() ?? null,
  };
}
