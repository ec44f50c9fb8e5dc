/** Withdrawals whose deadline has passed while nothing of them was alive: they fail before anything is signed. */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import { isRestoring } from '../db/database-restore.ts';
import type { Micros } from '../env/clock.ts';
import { formatRecordTime } from '../env/record-time.ts';
import { eachIfNotAll, type OnRefused, throwRefused } from '../submissions/isolated.ts';
import { isPaidBefore } from './earlier-payment.ts';
import { isPastDeadline } from './withdrawal-deadline.ts';
import { applyWithdrawalEvent } from './withdrawal-store.ts';

const FAILED_MAX = 100; // Per pass; the rest comes with the next.

/**
 * Queued means that every attempt is proven dead, so what fails here is certainly unpaid. One that the ledger shows as paid before is left to people: by its deadline it was.
 * @param onRefused what to do where one cannot be written; the others are. Default: throw.
 * @returns how many failed.
 */
export async function failOverdue(
  db: Database,
  treasuryId: number,
  nowMicros: Micros,
  onRefused: OnRefused = throwRefused,
): Promise<number> {
  const { rows } = await sql<{ id: string }>`${overdue(treasuryId)} LIMIT ${FAILED_MAX}`.execute(db);
  if (rows.length === 0) return 0;
  const fail = async (ids: readonly string[]): Promise<number> =>
    await db.transaction().execute(async (tx) => {
      // Once more under its lock: somebody may have moved it on.
      const { rows: locked } = await sql<{ id: string; deadline: Micros }>`
        ${overdue(treasuryId)} AND w.id = ANY (${[...ids]}::text[]) ORDER BY w.id FOR UPDATE OF w SKIP LOCKED`.execute(
        tx,
      );
      for (const { id, deadline } of locked) {
        const detail = `The ledger passed its deadline, ${formatRecordTime(deadline)}, before it could be paid.`;
        const failure = { code: 'DEADLINE_PASSED', detail };
        await applyWithdrawalEvent(tx, id, { kind: 'DEADLINE_PASSED' }, { nowMicros, failure });
      }
      return locked.length;
    });
  return await eachIfNotAll(
    rows.map(({ id }) => id),
    fail,
    onRefused,
  );
}

const overdue = (treasuryId: number) => sql`
  SELECT w.id, w.deadline FROM withdrawal w
  WHERE w.treasury_id = ${treasuryId} AND w.state = 'QUEUED' AND w.deadline IS NOT NULL
    AND ${isPastDeadline(sql`w.deadline`, sql`w.treasury_id`)} AND NOT ${isPaidBefore(sql`ARRAY[w.id]`)}
    AND NOT ${isRestoring(sql`w.treasury_id`)}`;
