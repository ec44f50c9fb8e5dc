/** The one synchronizer that this version follows a treasury on. */
import { type RawBuilder, sql } from 'kysely';
import type { Transaction } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';

/** As an expression: the synchronizer of the first update that was stored for a treasury, for good; NULL before there is one. */
export function homeSynchronizerOf(treasuryId: RawBuilder<unknown>): RawBuilder<string | null> {
  return sql<string | null>`(
    SELECT synchronizer_id FROM ledger_update WHERE treasury_id = ${treasuryId} ORDER BY epoch, ledger_offset LIMIT 1
  )`;
}

/**
 * As an expression: the record time up to which all of a treasury's history is here, microseconds: that of its own synchronizer, whatever others of the same participant say; before its first update of all that were
 * heard. NULL where nothing was.
 */
export function recordTimePassed(treasuryId: RawBuilder<unknown>): RawBuilder<Micros | null> {
  return sql<Micros | null>`(
    SELECT min(passed.record_time) FROM synchronizer_time AS passed
    WHERE passed.treasury_id = ${treasuryId} AND passed.synchronizer_id = coalesce(${homeSynchronizerOf(treasuryId)}, passed.synchronizer_id)
  )`;
}

/** {@link homeSynchronizerOf}, read. */
export async function homeSynchronizer(tx: Transaction, treasuryId: number): Promise<string | null> {
  const { rows } = await sql<{
    id: string | null;
  }>`SELECT ${homeSynchronizerOf(sql`${treasuryId}::int`)} AS id`.execute(tx);
  return rows[0]?.id ?? null;
}
