/**
 * Double entry. A line moves an amount from one account to another, so no entry can fail to sum to zero; the unique cause of an entry is what makes
 * booking the same thing twice impossible: the second attempt violates a constraint and takes its whole transaction (or savepoint) with it.
 */
import { sql } from 'kysely';
import type { Transaction } from '../db/connection.ts';
import { relationOf } from '../db/row-arrays.ts';
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
  | 'HELD' // deposits that wait for a verdict, or were denied; owner: the customer's account they are for
  | 'REFUNDS' // what is on its way back to a sender; owner: the id of the transfer that brought it
  | 'SHORTFALL' // what the house laid out for payments that their customers' balances do not cover
  | 'FEES'
  | 'HOUSE'; // mints and rewards, and what the exchange itself has

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

export const houseAccount = (kind: Exclude<AccountKind, 'CUSTOMER' | 'TREASURY' | 'HELD' | 'REFUNDS'>): AccountRef => ({
  kind,
  owner: '',
});

/**
 * Books `entries`; those without lines are left out. A few statements, whatever their number.
 * @param known the numbers of their accounts, where the caller has opened them all.
 * @throws PermanentError DB_CONSTRAINT when a cause is booked already.
 */
export async function postEntries(
  tx: Transaction,
  networkId: number,
  entries: readonly JournalEntry[],
  known?: (account: AccountRef) => bigint,
): Promise<void> {
  const booked = entries.filter((entry) => entry.lines.length > 0);
  if (booked.length === 0) return;
  const accounts =
    known ??
    (await openAccounts(
      tx,
      networkId,
      booked.flatMap(({ lines }) => lines.flatMap(({ debit, credit }) => [debit, credit])),
    ));

  const headings = booked.map(({ cause, description, recordTime }) => ({
    cause,
    description,
    record_time: recordTime,
  }));
  const postings = booked.flatMap(({ cause, lines }) =>
    lines.map(({ debit, credit, instrumentKey, amount }, line) => {
      assert(amount > 0n, 'A posting moves more than nothing.', { cause, amount });
      return {
        cause,
        line,
        debit_account_id: accounts(debit),
        credit_account_id: accounts(credit),
        instrument_id: instrumentKey,
        amount: formatAmount(amount),
      };
    }),
  );
  await sql`
    WITH booked AS (
      INSERT INTO journal_entry (cause, description, record_time) SELECT * FROM ${relationOf(ENTRY_COLUMNS, headings)} AS heading
      RETURNING id, cause
    )
    INSERT INTO posting (entry_id, line, debit_account_id, credit_account_id, instrument_id, amount)
    SELECT booked.id, line, debit_account_id, credit_account_id, instrument_id, amount
    FROM ${relationOf(POSTING_COLUMNS, postings)} AS leg JOIN booked USING (cause)`.execute(tx);
}

const ENTRY_COLUMNS = { cause: 'text', description: 'text', record_time: 'bigint' } as const;
const POSTING_COLUMNS = {
  cause: 'text',
  line: 'smallint',
  debit_account_id: 'bigint',
  credit_account_id: 'bigint',
  instrument_id: 'integer',
  amount: 'numeric',
} as const;

/** Finds the accounts of `wanted`, opening those that do not exist yet. @returns the number of each. */
export async function openAccounts(
  tx: Transaction,
  networkId: number,
  wanted: readonly AccountRef[],
): Promise<(account: AccountRef) => bigint> {
  // Few accounts stand in many lines: the treasury's in all of them.
  const once = [...new Map(wanted.map((account) => [keyOf(account), account])).values()];
  const kinds = once.map((account) => account.kind);
  const owners = once.map((account) => account.owner);
  const find = () =>
    sql<AccountRef & { id: bigint }>`
      SELECT id, kind, owner FROM account
      WHERE network_id = ${networkId} AND (kind, owner) IN (SELECT * FROM unnest(${kinds}::text[], ${owners}::text[]))`.execute(
      tx,
    );
  let { rows } = await find();
  if (rows.length < once.length) {
    // Sorted, so that two transactions that open the same accounts wait for each other and do not deadlock.
    await sql`
      INSERT INTO account (network_id, kind, owner)
      SELECT DISTINCT ${networkId}::smallint, kind, owner FROM unnest(${kinds}::text[], ${owners}::text[]) AS wanted (kind, owner)
      ORDER BY kind, owner
      ON CONFLICT DO NOTHING`.execute(tx);
    ({ rows } = await find());
  }
  const ids = new Map(rows.map((row) => [keyOf(row), row.id]));
  return (account) => {
    const id = ids.get(keyOf(account));
    assert(id !== undefined, 'An account was not opened.', account);
    return id;
  };
}

function keyOf({ kind, owner }: AccountRef): string {
  return `${kind}/${owner}`;
}
