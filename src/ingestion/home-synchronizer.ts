/** The one synchronizer that this version follows a treasury on. */
import { type RawBuilder, sql } from 'kysely';
import type { Transaction } from '../db/connection.ts';

/** As an expression: the synchronizer of the first update that was stored for a treasury, for good; NULL before there is one. */
export function homeSynchronizerOf(treasuryId: RawBuilder<unknown>): RawBuilder<string | null> {
  return sql<string | null>`(
    SELECT synchronizer_id FROM ledger_update WHERE treasury_id = ${treasuryId} ORDER BY epoch, ledger_offset LIMIT 1
  )`;
}

/** {@link homeSynchronizerOf}, read. */
export async function homeSynchronizer(tx: Transaction, treasuryId: number): Promise<string | null> {
  const { rows } = await sql<{
    id: string | null;
  }>`SELECT ${homeSynchronizerOf(sql`${treasuryId}::int`)} AS id`.execute(tx);
  return rows[0]?.id ?? null;
}
