/** What the accounts of each kind add up to, beside what the books say that treasuries hold: the two are equal, since every posting moves between two accounts. */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';

export type BookSums = {
  /** `admin/id`. */
  readonly instrument: string;
  /** Decimal text: what treasuries hold, by the books. */
  readonly held: string;
  /** Of every other kind of account, by kind; none for what is zero. */
  readonly parts: readonly { readonly kind: string; readonly amount: string }[];
};

/** By instrument. Reads every posting: for people and checks, not for requests. */
export async function readBookSums(db: Database, network: string): Promise<readonly BookSums[]> {
  const { rows } = await sql<{ instrument: string; kind: string; amount: string }>`
    SELECT i.admin || '/' || i.instrument_id AS instrument, a.kind, sum(b.balance)::text AS amount
    FROM network n JOIN account a ON a.network_id = n.id JOIN account_balance b ON b.account_id = a.id
    JOIN instrument i ON i.id = b.instrument_id
    WHERE n.name = ${network} GROUP BY i.id, a.kind HAVING sum(b.balance) <> 0 ORDER BY 1, 2`.execute(db);
  const instruments = [...new Set(rows.map(({ instrument }) => instrument))];
  return instruments.map((instrument) => {
    const own = rows.filter((row) => row.instrument === instrument);
    const treasury = own.find(({ kind }) => kind === 'TREASURY')?.amount ?? '0.0000000000';
    return {
      instrument,
      held: treasury.startsWith('-') ? treasury.slice(1) : treasury === '0.0000000000' ? treasury : `-${treasury}`,
      parts: own.filter(({ kind }) => kind !== 'TREASURY').map(({ kind, amount }) => ({ kind, amount })),
    };
  });
}
