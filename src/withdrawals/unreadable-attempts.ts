/**
 * Withdrawals that nobody can decide by reading: the ledger is past the target of an attempt, what it was to spend is gone, and nobody saw how, behind a gap of history, in an update that is in quarantine, or in
 * one that nothing explains. While a freeze says that the tables may be wrong they wait, since reading again may still tell; after that people have to decide. Their attempt stays open and keeps what is
 * reserved, so that nothing of it is used for anything else meanwhile.
 */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';
import { isInDoubt } from '../ingestion/freezes.ts';
import { IS_PAST, MAY_HAVE_PAID } from '../submissions/attempts.ts';
import { applyWithdrawalEvent } from './withdrawal-store.ts';

const MARKED_MAX = 100; // Per pass; the rest comes with the next.

export const INPUTS_VANISHED = 'INPUTS_VANISHED';

/** @returns how many became UNRESOLVED. */
export async function markUnreadable(db: Database, treasuryId: number, nowMicros: Micros): Promise<number> {
  const { rows } = await sql<{ id: string }>`${unreadable(treasuryId)} LIMIT ${MARKED_MAX}`.execute(db);
  if (rows.length === 0) return 0;
  const ids = rows.map(({ id }) => id);
  return await db.transaction().execute(async (tx) => {
    // Once more under their locks: ingestion may have settled one meanwhile.
    const { rows: locked } = await sql<{ id: string; number: number }>`
      ${unreadable(treasuryId)} AND w.id = ANY (${ids}::text[]) ORDER BY w.id FOR UPDATE OF w SKIP LOCKED`.execute(tx);
    for (const { id, number } of locked) {
      const detail = `What attempt ${number} was to spend is gone, and nobody saw how. It may have been paid by it: look the receiver up, or the inputs at another participant, then call \`resolveWithdrawal\`.`;
      await applyWithdrawalEvent(
        tx,
        id,
        { kind: 'INPUTS_VANISHED' },
        { nowMicros, doubt: { code: INPUTS_VANISHED, detail } },
      );
    }
    return locked.length;
  });
}

const unreadable = (treasuryId: number) => sql`
  SELECT w.id, a.number::int AS number
  FROM withdrawal w JOIN submission s ON s.withdrawal_id = w.id JOIN attempt a ON a.submission_id = s.id AND a.state = 'OPEN'
  WHERE w.treasury_id = ${treasuryId} AND w.state = 'IN_FLIGHT' AND ${IS_PAST} AND ${MAY_HAVE_PAID}
    AND NOT ${isInDoubt(sql`s.treasury_id`, sql`s.instrument_id`)}`;
