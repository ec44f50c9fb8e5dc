/** What a customer has of each instrument, and where it is. */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import { customerSumsOf, isKeptIn, sumsOf } from './account-sums.ts';
import type { Account } from './accounts.ts';
import type { Instrument } from './instruments.ts';

/** Decimal text. `total` = `available` + `inWithdrawals`; `held` is in none of them. */
export type AccountFunds = {
  readonly account: Account;
  readonly instrument: Instrument;
  readonly available: string;
  /** Debited, and neither paid nor given back yet. */
  readonly inWithdrawals: string;
  readonly total: string;
  /** Not his before a verdict. */
  readonly held: string;
};

/** Of all given accounts in one statement, by instrument; an instrument that never touched an account has no row. */
export async function readAccountFunds(db: Database, accounts: readonly Account[]): Promise<AccountFunds[]> {
  const { rows } = await sql<
    Account & Omit<Instrument, 'name'> & Omit<AccountFunds, 'account' | 'instrument'> & { instrumentName: string }
  >`
    WITH wanted AS (
      SELECT DISTINCT a.id, n.id AS network_id, n.name AS network, a.owner, ${isKeptIn(sql`n.id`)} AS is_kept,
        (SELECT h.id FROM account h WHERE h.network_id = n.id AND h.kind = 'HELD' AND h.owner = a.owner) AS held_id
      FROM unnest(
        ${accounts.map((account) => account.network)}::text[], ${accounts.map((account) => account.owner)}::text[]
      ) AS asked (network, owner)
      JOIN network n ON n.name = asked.network
      JOIN account a ON a.network_id = n.id AND a.kind = 'CUSTOMER' AND a.owner = asked.owner
    ), part AS (
      SELECT w.id, s.instrument_id, s.balance AS available, 0 AS in_withdrawals, 0 AS held
      FROM wanted w CROSS JOIN LATERAL ${customerSumsOf(sql`w.id`, sql<boolean>`w.is_kept`)} AS s
      UNION ALL
      SELECT w.id, s.instrument_id, 0, 0, s.balance FROM wanted w CROSS JOIN LATERAL ${sumsOf(sql`w.held_id`)} AS s
      UNION ALL
      SELECT w.id, d.instrument_id, 0, d.amount::numeric, 0 FROM wanted w JOIN withdrawal d ON d.account_id = w.id
      WHERE d.state NOT IN ('REJECTED', 'CANCELLED', 'FAILED', 'RETURNED', 'COMPLETED')
    )
    SELECT w.network, w.owner, i.admin, i.instrument_id AS "instrumentId", i.name AS "instrumentName", i.is_accepted AS "isAccepted",
      sum(p.available)::text AS available, sum(p.in_withdrawals)::text AS "inWithdrawals",
      (sum(p.available) + sum(p.in_withdrawals))::text AS total, sum(p.held)::text AS held
    FROM part p JOIN wanted w ON w.id = p.id JOIN instrument i ON i.id = p.instrument_id
    GROUP BY w.network, w.owner, i.id ORDER BY w.network, w.owner, i.admin, i.instrument_id`.execute(db);
  return rows.map(({ network, owner, admin, instrumentId, instrumentName, isAccepted, ...sums }) => ({
    ...sums,
    account: { network, owner },
    instrument: { network, admin, instrumentId, name: instrumentName, isAccepted },
  }));
}
