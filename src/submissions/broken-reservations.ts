/**
 * What happens to an attempt when somebody else consumes one of its inputs, as the DSO does with dust. The holding is gone from the ledger and the attempt did not do it: one of its own transactions settles it in the
 * commit that archives its inputs. So it can not commit any more, unless it did, in a way that nobody could read. That is written down and shown, and nothing is tried any more; without a signature it ends at once and is planned anew, with one only the
 * proof of its last record time ends it, as always.
 */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';
import { giveUpUnsigned, MAY_HAVE_PAID } from './attempts.ts';
import type { Purpose } from './submission-purpose.ts';

/** Why such an attempt was given up. */
export const INPUT_ARCHIVED = 'INPUT_ARCHIVED';

const NEVER: Micros = 253_402_300_799_000_000n; // The end of the year 9999, which can still be printed.

/** @returns how many attempts ended by it. */
export async function breakReservations(
  db: Database,
  purpose: Purpose,
  treasuryId: number,
  nowMicros: Micros,
): Promise<number> {
  await sql`
    WITH broken AS (
      UPDATE reservation r SET broken_by = h.archived_update_id
      FROM holding h, attempt a, submission s
      WHERE r.treasury_id = ${treasuryId} AND r.is_open AND r.broken_by IS NULL
        AND h.treasury_id = r.treasury_id AND h.contract_id = r.contract_id AND h.archived_update_id IS NOT NULL
        AND a.submission_id = r.submission_id AND a.number = r.number AND a.state = 'OPEN'
        AND s.id = r.submission_id AND s.purpose = ${purpose.name}
      RETURNING r.submission_id, r.number, r.contract_id, r.broken_by, ${MAY_HAVE_PAID} AS is_unread
    ), told AS (
      SELECT submission_id, number, min(CASE WHEN is_unread
        THEN 'The input ' || contract_id || ' went with ' || broken_by || ', where nobody could read how: it may have been this transfer.'
        ELSE 'The input ' || contract_id || ' was consumed by the update ' || broken_by || ', which is not this transfer.' END) AS detail
      FROM broken GROUP BY submission_id, number
    )
    UPDATE attempt t SET last_error = told.detail, next_try_at = ${NEVER}
    FROM told WHERE t.submission_id = told.submission_id AND t.number = told.number AND t.state = 'OPEN'`.execute(db);
  let ended = 0;
  // Read again rather than taken from above: a crash may have come between marking and ending.
  for (const { detail, ...attempt } of await brokenUnsigned(db, purpose, treasuryId)) {
    const failure = { code: INPUT_ARCHIVED, detail, isPassing: true, isReleased: true };
    if (await giveUpUnsigned(db, purpose, attempt, failure, nowMicros)) ended += 1;
  }
  return ended;
}

async function brokenUnsigned(db: Database, purpose: Purpose, treasuryId: number) {
  const { rows } = await sql<{ submissionId: string; number: number; subjectId: string; detail: string }>`
    SELECT DISTINCT a.submission_id AS "submissionId", a.number::int AS number, ${purpose.subject} AS "subjectId", coalesce(a.last_error, '') AS detail
    FROM reservation r JOIN attempt a ON a.submission_id = r.submission_id AND a.number = r.number
    JOIN submission s ON s.id = a.submission_id
    WHERE r.treasury_id = ${treasuryId} AND r.is_open AND r.broken_by IS NOT NULL AND a.state = 'OPEN' AND a.sign_requested_at IS NULL
      AND s.purpose = ${purpose.name}`.execute(db);
  return rows;
}
