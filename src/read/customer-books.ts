/** Who keeps the balances of customers, and what the house's own accounts say. */
import { sql } from 'kysely';
import { areBooksBehind } from '../books/books-behind.ts';
import type { Database } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';
import { sumsOf } from './account-sums.ts';
import type { Instrument } from './instruments.ts';

export type CustomerBooks = {
  readonly network: string;
  readonly mode: 'EXTERNAL' | 'OPENING' | 'INTERNAL';
  /** Null: nothing was decided yet. */
  readonly changedAt: Micros | null;
  readonly changedBy: string | null;
  /** Restored, and nobody said since that lost post transfers were sent again. */
  readonly isBehind: boolean;
};

export type HouseBalance = { readonly account: string; readonly instrument: Instrument; readonly amount: string };

/** @returns null where nothing of the network is known yet. */
export async function readCustomerBooks(db: Database, network: string): Promise<CustomerBooks | null> {
  const { rows } = await sql<CustomerBooks>`
    SELECT n.name AS network, coalesce(b.mode, 'EXTERNAL') AS mode, b.changed_at AS "changedAt", b.changed_by AS "changedBy",
      ${areBooksBehind(sql`n.id`)} AS "isBehind"
    FROM network n LEFT JOIN customer_books b ON b.network_id = n.id WHERE n.name = ${network}`.execute(db);
  return rows[0] ?? null;
}

/** By account and instrument. */
export async function readHouseBalances(db: Database, network: string): Promise<HouseBalance[]> {
  const { rows } = await sql<Omit<Instrument, 'name'> & { account: string; instrumentName: string; amount: string }>`
    SELECT a.kind AS account, n.name AS network, i.admin, i.instrument_id AS "instrumentId", i.name AS "instrumentName",
      i.is_accepted AS "isAccepted", s.balance::text AS amount
    FROM network n JOIN account a ON a.network_id = n.id AND a.kind IN ('FEES', 'HOUSE', 'SHORTFALL')
    CROSS JOIN LATERAL ${sumsOf(sql`a.id`)} AS s JOIN instrument i ON i.id = s.instrument_id
    WHERE n.name = ${network} ORDER BY a.kind, i.admin, i.instrument_id`.execute(db);
  return rows.map(({ account, network: of, admin, instrumentId, instrumentName, isAccepted, amount }) => ({
    account,
    instrument: { network: of, admin, instrumentId, name: instrumentName, isAccepted },
    amount,
  }));
}
