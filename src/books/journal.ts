/**
 * Double entry. A line moves an amount from one account to another, so no entry can fail to sum to zero; the unique cause of an entry is what makes
 * booking the same thing twice impossible: the second attempt violates a constraint and takes its whole transaction (or savepoint) with it.
 */
import { sql } from 'kysely';
import type { Transaction } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';
import { assert } from '../env/errors.ts';
import { type Amount, formatAmount } from '../tokens/amount.ts';

export type AccountKind =
  | 'CUSTOMER' // owner: the customer's account at the exchange
  | 'TREASURY' // owner: the treasury party; its balance is the negative of what it holds
  | 'UNATTRIBUTED' // deposits that belong to nobody yet
  | 'UNEXPLAINED' // changes of holdings that no transfer explains, and outgoing transfers that nobody asked for
  | 'IN_TRANSIT' // what left the holdings for an offer that has not ended
  | 'BETWEEN_TREASURIES' // transfers between our own treasuries: zero once both sides are in
  | 'OPENING' // what a treasury held when we began to follow it
  | 'WITHDRAWALS' // what customers asked for and the ledger has not decided yet
  | 'FEES'
  | 'HOUSE'; // mints and rewards

export type AccountRef = { readonly kind: AccountKind; readonly owner: string };

export type JournalLine = {
  readonly debit: AccountRef;
  readonly credit: AccountRef;
  /** The database's number of the instrument. */
  readonly instrumentKey: number;
  /** Greater than zero. */
  readonly amount: Amount;
};

export type JournalEntry = {
  /** What this entry follows from; unique for ever. */
  readonly cause: string;
  readonly description: string;
  readonly recordTime: Micros;
  readonly lines: readonly JournalLine[];
};

export const houseAccount = (kind: Exclude<AccountKind, 'CUSTOMER' | 'TREASURY'>): AccountRef => ({ kind, owner: '' });

/**
 * Books `entries`; those without lines are left out. Three statements, whatever their number.
 * @throws PermanentError DB_CONSTRAINT when a cause is booked already.
 */
export async function postEntries(tx: Transaction, networkId: number, entries: readonly JournalEntry[]): Promise<void> {
  const booked = entries.filter((entry) => entry.lines.length > 0);
  if (booked.length === 0) return;
  const accounts = await openAccounts(
    tx,
    networkId,
    booked.flatMap(({ lines }) => lines.flatMap(({ debit, credit }) => [debit, credit])),
  );

  const { rows } = await sql<{ id: bigint; cause: string }>`
    INSERT INTO journal_entry (cause, description, record_time)
    SELECT * FROM unnest(${booked.map((entry) => entry.cause)}::text[], ${booked.map((entry) => entry.description)}::text[],
                         ${booked.map((entry) => entry.recordTime)}::bigint[])
    RETURNING id, cause`.execute(tx);
  const entryIds = new Map(rows.map(({ id, cause }) => [cause, id]));

  const postings = booked.flatMap(({ cause, lines }) =>
    lines.map(({ debit, credit, instrumentKey, amount }, line) => {
      assert(amount > 0n, 'A posting moves more than nothing.', { cause, amount });
      return {
        entry_id: String(entryIds.get(cause)),
        line,
        debit_account_id: String(accounts(debit)),
        credit_account_id: String(accounts(credit)),
        instrument_id: instrumentKey,
        amount: formatAmount(amount),
      };
    }),
  );
  await sql`INSERT INTO posting SELECT * FROM json_populate_recordset(NULL::posting, ${JSON.stringify(postings)}::json)`.execute(
    tx,
  );
}

/** Finds the accounts of `wanted`, opening those that do not exist yet. @returns the number of each. */
export async function openAccounts(
  tx: Transaction,
  networkId: number,
  wanted: readonly AccountRef[],
): Promise<(account: AccountRef) => bigint> {
  const kinds = wanted.map((account) => account.kind);
  const owners = wanted.map((account) => account.owner);
  // Sorted, so that two transactions that open the same accounts wait for each other and do not deadlock.
  await sql`
    INSERT INTO account (network_id, kind, owner)
    SELECT DISTINCT ${networkId}::smallint, kind, owner FROM unnest(${kinds}::text[], ${owners}::text[]) AS wanted (kind, owner)
    ORDER BY kind, owner
    ON CONFLICT DO NOTHING`.execute(tx);
  const { rows } = await sql<AccountRef & { id: bigint }>`
    SELECT id, kind, owner FROM account
    WHERE network_id = ${networkId} AND (kind, owner) IN (SELECT * FROM unnest(${kinds}::text[], ${owners}::text[]))`.execute(
    tx,
  );
  const ids = new Map(rows.map((row) => [`${row.kind}/${row.owner}`, row.id]));
  return ({ kind, owner }) => {
    const id = ids.get(`${kind}/${owner}`);
    assert(id !== undefined, 'An account was not opened.', { kind, owner });
    return id;
  };
}
