/**
 * Refunds that count no longer. After a restore the case of a deposit takes the refund that the ledger shows as paid; one before it may still be open in the database, as it was in the backup. In the life before it had ended
 * unpaid, or there would have been no other: it is paid no more, and cancelled.
 */
import { type RawBuilder, sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import { isRestoring } from '../db/database-restore.ts';
import type { Micros } from '../env/clock.ts';
import { cancelIn } from './cancellation.ts';

/** Whose the withdrawals are that send deposits back. No principal has a name like it, so nobody's idempotency keys are among the desk's. */
export const DESK_CLIENT = 'sluice:desk';
const BY = 'sluice:restored';

/** Whether a withdrawal `w` is to send back what its deposit has another refund for. */
export const IS_SUPERSEDED: RawBuilder<boolean> = sql<boolean>`EXISTS (
  SELECT FROM account payer JOIN desk_case c ON c.transfer_id = payer.owner
  WHERE payer.id = w.account_id AND payer.kind = 'REFUNDS' AND c.withdrawal_id IS DISTINCT FROM w.id
)`;

/**
 * Looked for again and again, since the refund that was paid may be made anew at any time after the restore. What nobody can read is left to people until somebody can, and nothing ends while something that is lost may still commit.
 * @returns how many are cancelled, or will be once they cannot be paid any more. @throws DatabaseRestoredError where the database went back this moment.
 */
export async function cancelSuperseded(db: Database, treasuryId: number, nowMicros: Micros): Promise<number> {
  const { rows: found } = await superseded(treasuryId).execute(db);
  if (found.length === 0) return 0;
  return await db.transaction().execute(async (tx) => {
    const { rows } = await sql<{ id: string }>`${superseded(treasuryId)} FOR UPDATE OF w SKIP LOCKED`.execute(tx);
    for (const { id } of rows) await cancelIn(tx, id, { by: BY, nowMicros });
    return rows.length;
  });
}

// What a database has that never went back is none of it, and nothing is looked for.
const superseded = (treasuryId: number) => sql<{ id: string }>`
  SELECT w.id FROM withdrawal w
  WHERE EXISTS (SELECT FROM database_restore) AND NOT ${isRestoring(sql`${treasuryId}::int`)}
    AND w.treasury_id = ${treasuryId}::int AND w.client = ${DESK_CLIENT} AND NOT w.is_cancel_requested
    AND w.state IN ('REQUESTED', 'AWAITING_APPROVAL', 'QUEUED', 'IN_FLIGHT') AND ${IS_SUPERSEDED}
  ORDER BY w.id`;
