/**
 * The loop that executes withdrawals. It holds no state: each pass reads from the database what there is to do, and any number of these loops may run at once, in any number of processes. What keeps two
 * of them, or a paused one that wakes up, from paying twice is not this loop but the ledger (the same inputs, one last record time) and the constraints of the database.
 *
 *   lapse   attempts whose target the ledger has passed end; their withdrawals go back to the queue or fail.
 *   fund    queued withdrawals get inputs, a target and an attempt.
 *   try     attempts that are due are prepared, checked, signed and executed, several at a time.
 */
import type { WakeUp } from '../db/polling-loop.ts';
import { runPollingLoop } from '../db/polling-loop.ts';
import { millisToMicros } from '../env/clock.ts';
import { messageOf } from '../env/errors.ts';
import type { Logger } from '../env/logger.ts';
import type { Treasury } from '../ingestion/effect-sink.ts';
import { openAttempts } from './attempt-funding.ts';
import { type TryOptions, tryAttempt } from './attempt-try.ts';
import { viewOf } from './attempt-view.ts';
import { type AttemptLimits, lapseAttempts, type OpenAttempt, recordTrouble, takeDueAttempts } from './attempts.ts';

export type AutomationOptions = TryOptions & {
  readonly treasury: Treasury;
  readonly limits: AttemptLimits;
  readonly logger: Logger;
  readonly wakeUp: WakeUp;
  readonly signal: AbortSignal;
};

/** What is not configured. */
export const DEFAULT_LIMITS: Omit<AttemptLimits, 'ttlMs' | 'attemptsMax'> = {
  recordTimeAgeMsMax: 35 * 60_000, // Record time of a quiet ledger moves at least every half hour.
  triesMax: 8,
  tryHoldMs: 20_000, // Longer than the deadlines of one try together.
};

const POLL_MS = 500;
const TRIES_AT_ONCE_MAX = 8;
const RETRY_MS_MIN = 2_000; // What was executed is usually seen within a second; trying again sooner would only cost traffic.
const RETRY_MS_MAX = 15_000;

/** Runs until `signal` aborts. @throws as {@link runPollingLoop} does. */
export async function runAutomation(options: AutomationOptions): Promise<void> {
  const { treasury, clock, random, logger, wakeUp, signal } = options;
  await runPollingLoop({
    name: `withdrawals of ${treasury.name}`,
    pass: () => passOver(options),
    wakeUp,
    pollMs: POLL_MS,
    clock,
    random,
    logger,
    signal,
  });
}

/** One pass. @returns true when there may be more to do at once. */
export async function passOver(options: AutomationOptions): Promise<boolean> {
  const { db, treasury, limits, clock, failpoint } = options;
  const lapsed = await lapseAttempts(db, treasury.id, limits, clock.nowMicros());
  if (lapsed > 0) await failpoint('withdrawals.afterLapse');
  const opened = await openAttempts(db, treasury.id, limits, clock.nowMicros());
  if (opened > 0) await failpoint('withdrawals.afterFunding');
  const due = await takeDueAttempts(db, treasury.id, limits, {
    nowMicros: clock.nowMicros(),
    countMax: TRIES_AT_ONCE_MAX,
  });
  await Promise.all(due.map((attempt) => tryOnce(options, attempt)));
  return due.length === TRIES_AT_ONCE_MAX || opened > 0;
}

async function tryOnce(options: AutomationOptions, attempt: OpenAttempt): Promise<void> {
  const { db, clock, random, logger } = options;
  const delayMs = Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** attempt.tries) * (0.5 + random.next() / 2);
  const nextTryAt = clock.nowMicros() + millisToMicros(delayMs);
  const facts = { withdrawalId: attempt.withdrawalId, attempt: attempt.number };
  try {
    const outcome = await tryAttempt(options, attempt, await viewOf(db, attempt), nextTryAt);
    logger.info('Tried to execute a withdrawal.', { ...facts, outcome });
  } catch (error) {
    // Whatever it was: a hint for people. What became of the transaction, the ledger will tell.
    logger.info('A try at a withdrawal came to nothing that we know of.', { ...facts, why: messageOf(error) });
    await recordTrouble(db, attempt, { message: messageOf(error), nextTryAt });
  }
}
