/** Withdrawals whose deadline has passed while nothing of them was alive: they fail before anything is signed. */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import { isRestoring } from '../db/database-restore.ts';
import type { Micros } from '../env/clock.ts';
import { formatRecordTime } from '../env/record-time.ts';
import { announceApproval } from '../policy/approval-events.ts';
import { eachIfNotAll, type OnRefused, throwRefused } from '../submissions/isolated.ts';
import { isPaidBefore } from './earlier-payment.ts';
import { isPastDeadline } from './withdrawal-deadline.ts';
import { applyWithdrawalEvent } from './withdrawal-store.ts';

const FAILED_MAX = 100; // Per pass; the rest comes with the next.

/**
 * Queued means that every attempt is proven dead, and what waits for its leave never had one, so what fails here is certainly unpaid. One that the ledger shows as paid before is left to people: by its deadline it was.
 * @param onRefused what to do where one cannot be written; the others are. Default: throw.
 * @returns how many failed.
 */
export async function failOverdue(
  db: Database,
  treasuryId: number,
  nowMicros: Micros,
  onRefused: OnRefused = throwRefused,
): Promise<number> {
  let failed = 0;
  // One after the other: each has an index of its own.
  for (const state of ['QUEUED', 'AWAITING_APPROVAL'] as const) {
    const { rows } = await sql<{ id: string }>`${overdue(treasuryId, state)} LIMIT ${FAILED_MAX}`.execute(db);
    if (rows.length === 0) continue;
    const ids = rows.map(({ id }) => id);
    failed += await eachIfNotAll(ids, async (some) => await failAll(db, treasuryId, state, some, nowMicros), onRefused);
  }
  return failed;
}

async function failAll(
  db: Database,
  treasuryId: number,
  state: Unpaid,
  ids: readonly string[],
  nowMicros: Micros,
): Promise<number> {
  return await db.transaction().execute(async (tx) => {
    // Once more under its lock: somebody may have moved it on.
    const { rows: locked } = await sql<{ id: string; deadline: Micros; verdict: number }>`
      ${overdue(treasuryId, state)} AND w.id = ANY (${[...ids]}::text[]) ORDER BY w.id FOR UPDATE OF w SKIP LOCKED`.execute(
      tx,
    );
    for (const { id, deadline, verdict } of locked) {
      const detail = `The ledger passed its deadline, ${formatRecordTime(deadline)}, before it could be paid.`;
      const failure = { code: 'DEADLINE_PASSED', detail };
      await applyWithdrawalEvent(tx, id, { kind: 'DEADLINE_PASSED' }, { nowMicros, failure });
      // Whoever was asked is asked no longer.
      if (state === 'AWAITING_APPROVAL') {
        await announceApproval(tx, { withdrawalId: id, change: 'EXPIRED', verdict, by: 'policy', nowMicros });
      }
    }
    return locked.length;
  });
}

type Unpaid = 'QUEUED' | 'AWAITING_APPROVAL';

const overdue = (treasuryId: number, state: Unpaid) => sql`
  SELECT w.id, w.deadline, w.verdict::int AS verdict FROM withdrawal w
  WHERE w.treasury_id = ${treasuryId} AND w.state = ${sql.lit(state)} AND w.deadline IS NOT NULL
    AND ${isPastDeadline(sql`w.deadline`, sql`w.treasury_id`)} AND NOT ${isPaidBefore(sql`ARRAY[w.id]`)}
    AND NOT ${isRestoring(sql`w.treasury_id`)}`;
