/** What the books say a treasury holds, per instrument: the negative of its account, which owes the ledger's assets to everybody else. */
import { sql } from 'kysely';
import type { Transaction } from '../db/connection.ts';
import type { Treasury } from '../ingestion/effect-sink.ts';

/** @returns decimal text by the database's number of the instrument; none for what was never booked. */
export async function bookedBalances(tx: Transaction, treasury: Treasury): Promise<ReadonlyMap<number, string>> {
  const { rows } = await sql<{ instrumentKey: number; amount: string }>`
    WITH own AS (
      SELECT id FROM account WHERE network_id = ${treasury.networkId} AND kind = 'TREASURY' AND owner = ${treasury.party}
    )
    SELECT instrument_id AS "instrumentKey", sum(amount)::text AS amount FROM (
      SELECT p.instrument_id, p.amount::numeric AS amount FROM posting p JOIN own ON p.debit_account_id = own.id
      UNION ALL
      SELECT p.instrument_id, -(p.amount::numeric) FROM posting p JOIN own ON p.credit_account_id = own.id
    ) AS line GROUP BY 1`.execute(tx);
  return new Map(rows.map(({ instrumentKey, amount }) => [instrumentKey, amount]));
}
