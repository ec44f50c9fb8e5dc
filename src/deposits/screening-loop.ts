/**
 * The loop that asks the screening service. It holds no state: what is to be asked, how often it was and when it is next stand in the database, so any number of
 * these loops may run, and one that dies between question and answer is followed by another that asks again.
 *
 *   WAITING   asked when it is due. Each try is counted before the service is called; a verdict ends it (of a deposit: screening-verdict.ts).
 *   PARKED    as many tries as are configured brought no answer. It stays as it is, and somebody must say that it is to be asked again.
 *
 * No answer is a no: nothing but a signed `allow` credits anything, or lets anything be paid.
 */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import { DatabaseRestoredError } from '../db/database-restore.ts';
import { runPollingLoop, type WakeUp } from '../db/polling-loop.ts';
import { type Clock, millisToMicros } from '../env/clock.ts';
import { messageOf } from '../env/errors.ts';
import type { Failpoint } from '../env/failpoint.ts';
import type { Logger } from '../env/logger.ts';
import type { Random } from '../env/random.ts';
import type { ScreeningAnswer, ScreeningClient, ScreeningQuestion } from './screening-client.ts';
import type { DueQuestion, ScreeningKind } from './screening-kind.ts';
import type { RecordedVerdict } from './screening-verdict.ts';

export type ScreeningLimits = {
  /** Tries in a row without an answer, before it is parked. */
  readonly triesMax: number;
  readonly delayMsMin: number;
  readonly delayMsMax: number;
  /** When a question is asked again that the service works on. */
  readonly pendingDelayMs: number;
  /** Longer than a call with all its deadlines: meanwhile nobody else asks the same. One that died is followed after it. */
  readonly holdMs: number;
};

/** What is not configured. */
export const SCREENING_LIMITS: Omit<ScreeningLimits, 'triesMax'> = {
  delayMsMin: 1_000,
  delayMsMax: 300_000, // A service that is away for a day is asked some three hundred times less than a deposit that is parked would cost people.
  pendingDelayMs: 60_000,
  holdMs: 30_000,
};

export type ScreeningLoopOptions = {
  readonly db: Database;
  readonly kind: ScreeningKind;
  readonly client: ScreeningClient;
  readonly limits: ScreeningLimits;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly failpoint: Failpoint;
  readonly wakeUp: WakeUp;
  readonly signal: AbortSignal;
};

const POLL_MS = 500;
const ASKED_AT_ONCE_MAX = 8;
const CATCH_UP_MICROS = 60_000_000n; // A memo may be registered after the offer that names it.
const ERROR_TEXT_MAX = 300;

/** Runs until `signal` aborts. @throws as {@link runPollingLoop} does. */
export async function runScreening(options: ScreeningLoopOptions): Promise<void> {
  const { db, kind, clock } = options;
  let catchUpAt = clock.nowMicros();
  await runPollingLoop({
    ...options,
    name: kind.name,
    pollMs: POLL_MS,
    pass: async () => {
      const nowMicros = clock.nowMicros();
      if (nowMicros >= catchUpAt) {
        await kind.catchUp?.(db, nowMicros);
        catchUpAt = nowMicros + CATCH_UP_MICROS;
      }
      return await screenOnce(options);
    },
  });
}

/** One pass. @returns true when there may be more to do at once. */
async function screenOnce(options: ScreeningLoopOptions): Promise<boolean> {
  await park(options, options.clock.nowMicros());
  const due = await takeDue(options, options.clock.nowMicros());
  await Promise.all(due.map((one) => askOne(options, one)));
  return due.length === ASKED_AT_ONCE_MAX;
}

type Due = DueQuestion<ScreeningQuestion>;

/** Counts the try and puts the next turn off, before anybody is called. What was asked meanwhile about somebody else is told by its verdict. */
async function takeDue({ db, kind, limits }: ScreeningLoopOptions, nowMicros: bigint): Promise<readonly Due[]> {
  const { rows } = await sql<{ id: string; tries: number }>`
    WITH due AS (
      SELECT ${kind.key} AS id FROM ${kind.table} WHERE state = 'WAITING' AND next_try_at <= ${nowMicros}
      ORDER BY next_try_at LIMIT ${ASKED_AT_ONCE_MAX} FOR UPDATE SKIP LOCKED
    )
    UPDATE ${kind.table} s SET tries = tries + 1, next_try_at = ${nowMicros + millisToMicros(limits.holdMs)}
    FROM due WHERE s.${kind.key} = due.id RETURNING due.id, s.tries`.execute(db);
  if (rows.length === 0) return [];
  const tries = new Map(rows.map((row) => [row.id, row.tries]));
  const questions = await kind.questionsOf(db, [...tries.keys()]);
  return questions.map(({ id, question }) => ({ id, question, tries: tries.get(id) ?? 0 }));
}

async function askOne(options: ScreeningLoopOptions, { id, question, tries }: Due): Promise<void> {
  const { db, kind, client, limits, clock, random, logger, failpoint, signal } = options;
  await failpoint('screening.beforeCall');
  let answer: ScreeningAnswer;
  try {
    answer = await client.ask(question, signal);
  } catch (error) {
    if (signal.aborted) return;
    logger.warn('The screening service gave no answer.', { id, tries, why: messageOf(error) });
    const delayMs =
      Math.min(limits.delayMsMax, limits.delayMsMin * 2 ** Math.min(tries, 30)) * (0.5 + random.next() / 2);
    await sql`
      UPDATE ${kind.table} SET last_error = ${messageOf(error).slice(0, ERROR_TEXT_MAX)}, next_try_at = ${clock.nowMicros() + millisToMicros(delayMs)}
      WHERE ${kind.key} = ${id} AND state = 'WAITING'`.execute(db);
    return;
  }
  await failpoint('screening.afterAnswer');
  const askLater = async (why: string | null): Promise<void> => {
    await sql`
      UPDATE ${kind.table} SET tries = 0, last_error = ${why}, next_try_at = ${clock.nowMicros() + millisToMicros(limits.pendingDelayMs)}
      WHERE ${kind.key} = ${id} AND state = 'WAITING'`.execute(db);
  };
  if (answer.kind === 'PENDING') return await askLater(null);
  const verdict = answer;
  let recorded: RecordedVerdict;
  try {
    recorded = await db
      .transaction()
      .execute(async (tx) => await kind.record(tx, { id, question }, verdict, clock.nowMicros()));
  } catch (error) {
    // Only the ledger can tell what an answer does to it, and it will: that is no fault of the service's.
    if (!(error instanceof DatabaseRestoredError)) throw error;
    logger.warn('What the screening service said waits for the ledger.', {
      id,
      verdict: verdict.kind,
      why: error.message,
    });
    return await askLater(error.message);
  }
  const facts = { id, verdict: verdict.kind, caseId: verdict.caseId };
  if (recorded === 'RECORDED') logger.info('The screening service decided.', facts);
  if (recorded === 'PARKED') logger.error('The screening service allowed what is not as it was asked about.', facts);
  await failpoint('screening.afterVerdict');
}

async function park({ db, kind, limits }: ScreeningLoopOptions, nowMicros: bigint): Promise<void> {
  await sql`
    UPDATE ${kind.table} SET state = 'PARKED', next_try_at = NULL
    WHERE state = 'WAITING' AND next_try_at <= ${nowMicros} AND tries >= ${limits.triesMax}`.execute(db);
}
