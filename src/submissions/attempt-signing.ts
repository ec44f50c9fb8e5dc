/**
 * What is written down before the signer is asked, and before what he signed is sent. Each of it for one attempt, or for several at once in one statement: those that somebody else holds are left out of it, so
 * that whoever settles attempts in another order never waits for a set of them.
 */
import { sql } from 'kysely';
import type { Database, Transaction } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';
import { isFrozen } from '../ingestion/freezes.ts';
import { IS_PAST, type OpenAttempt } from './attempts.ts';
import { isHalted } from './halts.ts';
import type { Purpose } from './submission-purpose.ts';

type Attempt = Pick<OpenAttempt, 'submissionId' | 'number'>;

export type SignatureRequest = {
  readonly hash: Uint8Array;
  readonly scheme: 'V2' | 'V3';
  readonly nowMicros: Micros;
};

/** Over a submission `s`: neither a halt nor a freeze covers what it would spend. */
export const MAY_MOVE = sql<boolean>`(NOT ${isHalted(sql`s.treasury_id`, sql`s.instrument_id`)} AND NOT ${isFrozen(sql`s.treasury_id`, sql`s.instrument_id`)})`;

/**
 * Writes down, before the signer is asked, that a signature of `hash` may exist from now on. In the same statement it is asked whether there may be one: a halt, a freeze, or whatever the purpose has against
 * it, is heeded by every process from the moment it is committed.
 * @returns false where the attempt is no longer open, may not be signed, or could not commit any more: nothing may be signed.
 */
export async function recordSignatureRequest(
  db: Database,
  purpose: Purpose,
  attempt: Attempt,
  request: SignatureRequest,
): Promise<boolean> {
  return db.transaction().execute(async (tx) => {
    // First its lock, then the question: a statement that waited for the row would answer by what was committed before it began to wait.
    await lockAttempt(tx, attempt);
    const [isMarked = false] = await recordSignatureRequests(tx, purpose, [{ attempt, request }]);
    return isMarked;
  });
}

/** As {@link recordSignatureRequest}, for several. @returns true for those that were, in their order; false also for one that somebody else holds: it is to be asked by itself. */
export async function recordSignatureRequests(
  db: Database,
  purpose: Purpose,
  asked: readonly { readonly attempt: Attempt; readonly request: SignatureRequest }[],
): Promise<readonly boolean[]> {
  const { rows } = await sql<{ place: number }>`
    WITH asked AS (
      SELECT * FROM unnest(
        ${asked.map(({ attempt }) => attempt.submissionId)}::text[], ${asked.map(({ attempt }) => attempt.number)}::int[],
        ${asked.map(({ request }) => Buffer.from(request.hash))}::bytea[], ${asked.map(({ request }) => (request.scheme === 'V3' ? 3 : 2))}::smallint[],
        ${asked.map(({ request }) => request.nowMicros)}::bigint[]
      ) WITH ORDINALITY AS asked (submission_id, number, hash, scheme, requested_at, place)
    ), held AS (
      SELECT a.submission_id, a.number FROM attempt a JOIN asked USING (submission_id, number)
      WHERE a.state = 'OPEN' ORDER BY a.submission_id, a.number FOR UPDATE OF a SKIP LOCKED
    ), marked AS (
      UPDATE attempt a SET sign_requested_at = coalesce(a.sign_requested_at, asked.requested_at),
        sign_requests = CASE WHEN a.sign_requested_at IS NULL THEN 1 ELSE a.sign_requests + 1 END
      FROM held JOIN asked USING (submission_id, number) JOIN submission s ON s.id = held.submission_id
      WHERE a.submission_id = held.submission_id AND a.number = held.number AND a.state = 'OPEN'
        AND ${purpose.mayBeSigned} AND ${MAY_MOVE} AND NOT ${IS_PAST}
      RETURNING asked.*
    ), hashed AS (
      INSERT INTO signed_hash (hash, submission_id, number, scheme, requested_at)
      SELECT hash, submission_id, number, scheme, requested_at FROM marked ON CONFLICT DO NOTHING
    )
    SELECT place::int AS place FROM marked`.execute(db);
  return placesOf(asked, rows);
}

/**
 * Writes down, before `execute` is called, that it may have been.
 * @returns false where the attempt is no longer open or could not commit any more, or a halt or a freeze covers it: what was signed is not sent, and ends with its target.
 */
export async function recordTry(db: Database, attempt: Attempt, nextTryAt: Micros): Promise<boolean> {
  return db.transaction().execute(async (tx) => {
    // As above: whoever waits for the row must not answer by what stood before he began to wait.
    await lockAttempt(tx, attempt);
    const [isCounted = false] = await recordTries(tx, [{ attempt, nextTryAt }]);
    return isCounted;
  });
}

async function lockAttempt(tx: Transaction, { submissionId, number }: Attempt): Promise<void> {
  await sql`SELECT FROM attempt WHERE submission_id = ${submissionId} AND number = ${number} FOR UPDATE`.execute(tx);
}

/** As {@link recordTry}, for several. @returns true for those that were, in their order; false also for one that somebody else holds: it is to be asked by itself. */
export async function recordTries(
  db: Database,
  asked: readonly { readonly attempt: Attempt; readonly nextTryAt: Micros }[],
): Promise<readonly boolean[]> {
  const { rows } = await sql<{ place: number }>`
    WITH asked AS (
      SELECT * FROM unnest(
        ${asked.map(({ attempt }) => attempt.submissionId)}::text[], ${asked.map(({ attempt }) => attempt.number)}::int[],
        ${asked.map(({ nextTryAt }) => nextTryAt)}::bigint[]
      ) WITH ORDINALITY AS asked (submission_id, number, next_try_at, place)
    ), held AS (
      SELECT a.submission_id, a.number FROM attempt a JOIN asked USING (submission_id, number)
      WHERE a.state = 'OPEN' ORDER BY a.submission_id, a.number FOR UPDATE OF a SKIP LOCKED
    )
    UPDATE attempt a SET tries = a.tries + 1, next_try_at = asked.next_try_at
    FROM held JOIN asked USING (submission_id, number) JOIN submission s ON s.id = held.submission_id
    WHERE a.submission_id = held.submission_id AND a.number = held.number AND a.state = 'OPEN' AND ${MAY_MOVE} AND NOT ${IS_PAST}
    RETURNING asked.place::int AS place`.execute(db);
  return placesOf(asked, rows);
}

function placesOf(asked: readonly unknown[], rows: readonly { readonly place: number }[]): readonly boolean[] {
  const places = new Set(rows.map(({ place }) => place));
  return asked.map((_one, index) => places.has(index + 1));
}
