/** Customers' accounts and what the books say is on them. */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import { customerSumsOf, isKeptIn } from './account-sums.ts';
import type { Instrument } from './instruments.ts';
import { keysetOf, type Page, type PageKey, type PageRequest, pageOf } from './page.ts';
import { type Reach, withinReach } from './reach.ts';

/** @property owner the customer's account at the exchange. */
export type Account = { readonly network: string; readonly owner: string };

export type AccountBalance = {
  readonly account: Account;
  readonly instrument: Instrument;
  /** Decimal text; credits less debits. */
  readonly amount: string;
};

export const keyOfAccount = (account: Account): PageKey => [account.network, account.owner];

/** By network and owner. */
export async function listAccounts(db: Database, reach: Reach, page: PageRequest): Promise<Page<Account>> {
  const keyset = keysetOf([sql`network.name`, sql`account.owner`], 'ascending', page);
  const { rows } = await sql<Account>`
    SELECT network.name AS network, account.owner
    FROM account JOIN network ON network.id = account.network_id
    WHERE account.kind = 'CUSTOMER' AND ${withinReach(reach, sql`account.id`)} AND ${keyset.where}
    ORDER BY ${keyset.orderBy} LIMIT ${keyset.limit}
  `.execute(db);
  return pageOf(rows, page);
}

/** One result per key, in the order of `keys`; null where there is none. */
export async function readAccounts(db: Database, keys: readonly Account[]): Promise<(Account | null)[]> {
  const { rows } = await sql<Account>`
    SELECT DISTINCT network.name AS network, account.owner
    FROM unnest(${keys.map((key) => key.network)}::text[], ${keys.map((key) => key.owner)}::text[]) AS wanted (network, owner)
    JOIN network ON network.name = wanted.network
    JOIN account ON account.network_id = network.id AND account.kind = 'CUSTOMER' AND account.owner = wanted.owner
  `.execute(db);
  return keys.map((key) => rows.find((row) => row.network === key.network && row.owner === key.owner) ?? null);
}

/**
 * Of all given accounts in one statement; an instrument without a posting has no row.
 * @param kind `HELD`: what came for the account and is not its own before a verdict.
 */
export async function readAccountBalances(
  db: Database,
  accounts: readonly Account[],
  kind: 'CUSTOMER' | 'HELD' = 'CUSTOMER',
): Promise<AccountBalance[]> {
  const { rows } = await sql<Account & Omit<Instrument, 'name'> & { instrumentName: string; amount: string }>`
    SELECT DISTINCT network.name AS network, account.owner, instrument.admin, instrument.instrument_id AS "instrumentId",
      instrument.name AS "instrumentName", instrument.is_accepted AS "isAccepted", account_balance.balance AS amount
    FROM unnest(
      ${accounts.map((account) => account.network)}::text[],
      ${accounts.map((account) => account.owner)}::text[]
    ) AS wanted (network, owner)
    JOIN network ON network.name = wanted.network
    JOIN account ON account.network_id = network.id AND account.kind = ${kind} AND account.owner = wanted.owner
    JOIN LATERAL ${customerSumsOf(sql`account.id`, sql<boolean>`(${kind} = 'CUSTOMER' AND ${isKeptIn(sql`network.id`)})`)} AS account_balance ON true
    JOIN instrument ON instrument.id = account_balance.instrument_id
    ORDER BY network.name, account.owner, instrument.admin, instrument.instrument_id
  `.execute(db);
  return rows.map(({ network, owner, admin, instrumentId, instrumentName, isAccepted, amount }) => ({
    account: { network, owner },
    instrument: { network, admin, instrumentId, name: instrumentName, isAccepted },
    amount,
  }));
}
