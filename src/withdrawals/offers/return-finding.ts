/** Finds offers of ours that are to be taken back: somebody asked for it, or the ledger has passed their deadline and nobody accepted. */
import { sql } from 'kysely';
import type { Database } from '../../db/connection.ts';
import { type Micros, millisToMicros } from '../../env/clock.ts';
import { homeSynchronizerOf } from '../../ingestion/home-synchronizer.ts';
import { MAY_BE_RETURNED } from './return-purpose.ts';
import type { ReturnRules } from './return-rules.ts';

const FOUND_MAX = 200; // The next pass goes on.

/**
 * Notes each of them once. A return that was parked while somebody had only asked for it is taken up again when the deadline passes: then the funds are ours to take back, whatever stood against it before.
 * The withdrawals are locked, so that none ends between the look at it and its row; one that somebody works on is left for the next look.
 * @returns how many were found.
 */
export async function findReturns(
  db: Database,
  treasuryId: number,
  { reclaimAfterMs }: Pick<ReturnRules, 'reclaimAfterMs'>,
  nowMicros: Micros,
): Promise<number> {
  return await db.transaction().execute(async (tx) => {
    const { rows } = await sql<{ id: string }>`
      WITH ledger AS (
        SELECT t.record_time - ${millisToMicros(reclaimAfterMs)}::bigint AS passed FROM synchronizer_time t
        WHERE t.treasury_id = ${treasuryId} AND t.synchronizer_id = ${homeSynchronizerOf(sql`${treasuryId}::int`)}
      ), due AS (
        SELECT w.id, w.instrument_id, i.execute_before <= (SELECT passed FROM ledger) AS is_expired
        FROM withdrawal w
        JOIN LATERAL (
          SELECT execute_before FROM transfer_instruction x
          WHERE x.transfer_id = w.transfer_id AND x.treasury_id = w.treasury_id AND x.direction = 'OUT' AND x.ended_update_id IS NULL
          ORDER BY x.created_record_time DESC, x.contract_id LIMIT 1
        ) AS i ON true
        LEFT JOIN offer_return r ON r.withdrawal_id = w.id
        WHERE w.treasury_id = ${treasuryId} AND ${MAY_BE_RETURNED}
          AND (w.is_cancel_requested OR i.execute_before <= (SELECT passed FROM ledger))
          AND (r.withdrawal_id IS NULL OR (r.state = 'PARKED' AND r.reason = 'CANCELLED' AND i.execute_before <= (SELECT passed FROM ledger)))
        ORDER BY w.created_at, w.id LIMIT ${FOUND_MAX} FOR UPDATE OF w SKIP LOCKED
      )
      INSERT INTO offer_return (withdrawal_id, treasury_id, instrument_id, reason, state, next_try_at, created_at, changed_at)
      SELECT id, ${treasuryId}, instrument_id, CASE WHEN coalesce(is_expired, false) THEN 'EXPIRED' ELSE 'CANCELLED' END, 'QUEUED',
             ${nowMicros}, ${nowMicros}, ${nowMicros} FROM due
      ON CONFLICT (withdrawal_id) DO UPDATE SET reason = excluded.reason, state = 'QUEUED', tries = 0, waits = 0,
        next_try_at = excluded.next_try_at, changed_at = excluded.changed_at
      WHERE offer_return.state = 'PARKED'
      RETURNING withdrawal_id AS id`.execute(tx);
    return rows.length;
  });
}
