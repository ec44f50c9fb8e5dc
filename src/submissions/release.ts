/**
 * Attempts that nobody asked a signature for, and that may not be signed now: they give back what they reserve, and whom they serve waits without an attempt. Otherwise a hold, or a halt that stands for a
 * while, would use attempts up and keep funds from others. Where a signature may exist nothing is given back: only the ledger ends that.
 */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';
import { MAY_MOVE } from './attempt-signing.ts';
import { giveUpUnsigned } from './attempts.ts';
import type { Failure, Purpose } from './submission-purpose.ts';

const RELEASED_MAX = 100; // Per pass; the rest comes with the next.

const RELEASED: Failure = {
  code: 'NOT_LET',
  detail: 'It may not be signed at the moment.',
  isPassing: true,
  isReleased: true,
};

/** @returns how many were given back. Those that somebody else works on, and those that are just being tried, wait for the next time. */
export async function releaseNotLet(
  db: Database,
  purpose: Purpose,
  treasuryId: number,
  nowMicros: Micros,
): Promise<number> {
  const { rows } = await sql<{ submissionId: string; number: number; subjectId: string }>`
    SELECT a.submission_id AS "submissionId", a.number::int AS number, ${purpose.subject} AS "subjectId"
    FROM attempt a JOIN submission s ON s.id = a.submission_id
    WHERE a.state = 'OPEN' AND a.sign_requested_at IS NULL AND s.treasury_id = ${treasuryId} AND s.purpose = ${purpose.name}
      AND a.next_try_at <= ${nowMicros} AND NOT (${purpose.mayBeSigned} AND ${MAY_MOVE})
    ORDER BY a.opened_at, a.submission_id LIMIT ${RELEASED_MAX}`.execute(db);
  let released = 0;
  for (const attempt of rows) if (await giveUpUnsigned(db, purpose, attempt, RELEASED, nowMicros)) released += 1;
  return released;
}
