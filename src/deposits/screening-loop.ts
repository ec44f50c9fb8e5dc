/**
 * The loop that asks the screening service. It holds no state: what is to be asked, how often it was and when it is next stand in the database, so any number of
 * these loops may run, and one that dies between question and answer is followed by another that asks again.
 *
 *   WAITING   asked when it is due. Each try is counted before the service is called; a verdict ends it (screening-verdict.ts).
 *   PARKED    as many tries as are configured brought no answer. It stays held, and somebody must say that it is to be asked again.
 *
 * No answer is a no: nothing but a signed `allow` credits anything.
 */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import { runPollingLoop, type WakeUp } from '../db/polling-loop.ts';
import { type Clock, millisToMicros } from '../env/clock.ts';
import { messageOf } from '../env/errors.ts';
import type { Failpoint } from '../env/failpoint.ts';
import type { Logger } from '../env/logger.ts';
import type { Random } from '../env/random.ts';
import type { ScreeningAnswer, ScreeningClient, ScreeningQuestion } from './screening-client.ts';
import { recordVerdict } from './screening-verdict.ts';

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
  const { db, clock } = options;
  let catchUpAt = clock.nowMicros();
  await runPollingLoop({
    ...options,
    name: 'screening',
    pollMs: POLL_MS,
    pass: async () => {
      const nowMicros = clock.nowMicros();
      if (nowMicros >= catchUpAt) {
        await openForPendingOffers(db, nowMicros);
        catchUpAt = nowMicros + CATCH_UP_MICROS;
      }
      return await screenOnce(options);
    },
  });
}

/** One pass. @returns true when there may be more to do at once. */
export async function screenOnce(options: ScreeningLoopOptions): Promise<boolean> {
  const { db, limits, clock } = options;
  await park(db, limits, clock.nowMicros());
  const due = await takeDue(db, limits, clock.nowMicros());
  await Promise.all(due.map((question) => askOne(options, question)));
  return due.length === ASKED_AT_ONCE_MAX;
}

type Due = ScreeningQuestion & { readonly tries: number };

/** Counts the try and puts the next turn off, before anybody is called. */
async function takeDue(db: Database, limits: ScreeningLimits, nowMicros: bigint): Promise<readonly Due[]> {
  const { rows } = await sql<
    Omit<Due, 'instrument' | 'recordTime'> & { admin: string; instrumentId: string; recordTime: bigint }
  >`
    WITH due AS (
      SELECT transfer_id FROM screening WHERE state = 'WAITING' AND next_try_at <= ${nowMicros}
      ORDER BY next_try_at LIMIT ${ASKED_AT_ONCE_MAX} FOR UPDATE SKIP LOCKED
    ), taken AS (
      UPDATE screening s SET tries = tries + 1, next_try_at = ${nowMicros + millisToMicros(limits.holdMs)}
      FROM due WHERE s.transfer_id = due.transfer_id RETURNING s.*
    )
    SELECT t.transfer_id AS "transferId", CASE WHEN t.is_offer AND t.held IS NULL THEN 'OFFER' ELSE 'DEPOSIT' END AS kind,
      n.name AS network, p.party AS "treasuryParty", i.admin, i.instrument_id AS "instrumentId",
      coalesce(t.held, t.amount)::text AS amount, t.sender, t.memo, a.owner AS account, t.update_id AS "updateId",
      t.record_time AS "recordTime", t.tries
    FROM taken t JOIN treasury_party p ON p.id = t.treasury_id JOIN network n ON n.id = p.network_id
    JOIN instrument i ON i.id = t.instrument_id JOIN account a ON a.id = t.account_id`.execute(db);
  return rows.map(({ admin, instrumentId, recordTime, ...row }) => ({
    ...row,
    instrument: { admin, id: instrumentId },
    recordTime: recordTime.toString(),
  }));
}

async function askOne(options: ScreeningLoopOptions, { tries, ...question }: Due): Promise<void> {
  const { db, client, limits, clock, random, logger, failpoint, signal } = options;
  const { transferId } = question;
  await failpoint('screening.beforeCall');
  let answer: ScreeningAnswer;
  try {
    answer = await client.ask(question, signal);
  } catch (error) {
    if (signal.aborted) return;
    logger.warn('The screening service gave no answer.', { transferId, tries, why: messageOf(error) });
    const delayMs =
      Math.min(limits.delayMsMax, limits.delayMsMin * 2 ** Math.min(tries, 30)) * (0.5 + random.next() / 2);
    await sql`
      UPDATE screening SET last_error = ${messageOf(error).slice(0, ERROR_TEXT_MAX)}, next_try_at = ${clock.nowMicros() + millisToMicros(delayMs)}
      WHERE transfer_id = ${transferId} AND state = 'WAITING'`.execute(db);
    return;
  }
  await failpoint('screening.afterAnswer');
  if (answer.kind === 'PENDING') {
    await sql`
      UPDATE screening SET tries = 0, last_error = NULL, next_try_at = ${clock.nowMicros() + millisToMicros(limits.pendingDelayMs)}
      WHERE transfer_id = ${transferId} AND state = 'WAITING'`.execute(db);
    return;
  }
  const verdict = answer;
  const { account } = question;
  const recorded = await db.transaction().execute(
    async (tx) =>
      await recordVerdict(tx, transferId, verdict, {
        account,
        by: 'screening',
        nowMicros: clock.nowMicros(),
      }),
  );
  const facts = { transferId, verdict: verdict.kind, caseId: verdict.caseId };
  if (recorded === 'RECORDED') logger.info('The screening service decided.', facts);
  if (recorded === 'PARKED') logger.error('The screening service allowed what the ledger does not show.', facts);
  await failpoint('screening.afterVerdict');
}

async function park(db: Database, { triesMax }: ScreeningLimits, nowMicros: bigint): Promise<void> {
  await sql`
    UPDATE screening SET state = 'PARKED', next_try_at = NULL
    WHERE state = 'WAITING' AND next_try_at <= ${nowMicros} AND tries >= ${triesMax}`.execute(db);
}

/** Offers that were here before anybody screened: an offer without a verdict is not accepted, so each gets its question. */
async function openForPendingOffers(db: Database, nowMicros: bigint): Promise<void> {
  await sql`
    INSERT INTO screening (transfer_id, treasury_id, instrument_id, is_offer, state, account_id, deposit_account_id, owner_decided_by,
      amount, memo, sender, update_id, record_time, next_try_at, opened_at)
    SELECT t.id, t.treasury_id, t.instrument_id, true, 'WAITING', coalesce(c.account_id, d.account_id),
      CASE WHEN c.account_id IS NULL THEN d.id END, coalesce(c.decided_by, 'memo'), t.amount, t.memo, t.counterparty, t.update_id, t.record_time,
      ${nowMicros}::bigint, ${nowMicros}::bigint
    FROM transfer t
    JOIN treasury_party p ON p.id = t.treasury_id
    JOIN instrument i ON i.id = t.instrument_id AND i.is_accepted
    LEFT JOIN desk_case c ON c.transfer_id = t.id
    LEFT JOIN deposit_account d ON d.network_id = p.network_id AND d.memo = t.memo AND d.state <> 'DISABLED'
    WHERE t.status = 'PENDING' AND t.direction = 'IN' AND t.kind = 'OFFER' AND t.amount > 0
      AND coalesce(c.account_id, d.account_id) IS NOT NULL
      AND NOT EXISTS (SELECT FROM treasury_party own WHERE own.network_id = p.network_id AND own.party = t.counterparty)
    ON CONFLICT (transfer_id) DO NOTHING`.execute(db);
}
