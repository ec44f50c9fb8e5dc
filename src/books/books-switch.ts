/**
 * Changes who keeps the balances of customers (books-mode.ts). Postings stand still for the moment it takes: those before it belong to the old books, those after it to the new ones, and what Sluice
 * keeps from then on is what the journal says of that moment.
 */
import { sql } from 'kysely';
import { actByCommand } from '../db/acting.ts';
import type { Database, Transaction } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';
import { PermanentError } from '../env/errors.ts';
import { type BooksMode, readBooksMode } from './books-mode.ts';

export type NegativeCustomer = { readonly account: string; readonly instrument: string; readonly balance: string };

/** Shown of those in the way; the count tells of the rest. */
const NAMED_MAX = 20;

/** The balances that Sluice would have to keep are not balances. */
export class NegativeCustomersError extends PermanentError {
  readonly customers: readonly NegativeCustomer[];
  readonly count: number;
  constructor(customers: readonly NegativeCustomer[], count: number) {
    super(
      'CUSTOMERS_NEGATIVE',
      `${count} balances of customers are below zero. Open the books (\`sluice books switch opening\`), post what everybody has, and try again.`,
      { count },
    );
    this.customers = customers;
    this.count = count;
  }
}

export type BooksSwitch = {
  readonly network: string;
  readonly to: BooksMode;
  /** Who wants it; kept in the audit log. */
  readonly by: string;
  readonly nowMicros: Micros;
};

/**
 * @returns what was in force before; the same as wanted: nothing was changed.
 * @throws PermanentError NETWORK_UNKNOWN, BOOKS_SWITCH_IMPOSSIBLE; {@link NegativeCustomersError}. Nothing is changed then.
 */
export async function switchBooks(db: Database, wanted: BooksSwitch): Promise<BooksMode> {
  return await actByCommand(
    wanted.by,
    async () => await db.transaction().execute(async (tx) => await turn(tx, wanted)),
  );
}

async function turn(tx: Transaction, { network, to, by, nowMicros }: BooksSwitch): Promise<BooksMode> {
  const found = await tx.selectFrom('network').select('id').where('name', '=', network).executeTakeFirst();
  if (found === undefined) throw new PermanentError('NETWORK_UNKNOWN', `No network is called ${network} here.`);
  await sql`LOCK TABLE posting IN SHARE ROW EXCLUSIVE MODE`.execute(tx);
  const from = await readBooksMode(tx, found.id);
  if (from === to) return from;
  if (from === 'INTERNAL' && to === 'OPENING') {
    throw new PermanentError(
      'BOOKS_SWITCH_IMPOSSIBLE',
      'Books that are internal are open already: there is nothing to open.',
    );
  }
  await sql`
    INSERT INTO customer_books (network_id, mode, changed_at, changed_by) VALUES (${found.id}, ${to}, ${nowMicros}::bigint, ${by})
    ON CONFLICT (network_id) DO UPDATE SET mode = excluded.mode, changed_at = excluded.changed_at, changed_by = excluded.changed_by`.execute(
    tx,
  );
  await sql`
    DELETE FROM customer_balance k USING account a WHERE a.id = k.account_id AND a.network_id = ${found.id}`.execute(
    tx,
  );
  if (to === 'INTERNAL') await keepBalances(tx, found.id);
  return from;
}

async function keepBalances(tx: Transaction, networkId: number): Promise<void> {
  const { rows } = await sql<NegativeCustomer & { count: number }>`
    SELECT a.owner AS account, i.admin || '/' || i.instrument_id AS instrument, b.balance::text AS balance, (count(*) OVER ())::int AS count
    FROM account a JOIN account_balance b ON b.account_id = a.id JOIN instrument i ON i.id = b.instrument_id
    WHERE a.network_id = ${networkId} AND a.kind = 'CUSTOMER' AND b.balance < 0
    ORDER BY 1, 2 LIMIT ${NAMED_MAX}`.execute(tx);
  const [first] = rows;
  if (first !== undefined) {
    throw new NegativeCustomersError(
      rows.map(({ account, instrument, balance }) => ({ account, instrument, balance })),
      first.count,
    );
  }
  await sql`
    INSERT INTO customer_balance (account_id, instrument_id, balance)
    SELECT a.id, b.instrument_id, b.balance FROM account a JOIN account_balance b ON b.account_id = a.id
    WHERE a.network_id = ${networkId} AND a.kind = 'CUSTOMER'`.execute(tx);
}

/**
 * Somebody says that every post transfer which a restored database had lost was sent again. What the house laid out meanwhile has to be settled by then: whoever's payment it covered has it once more now.
 * @throws PermanentError BOOKS_NOT_INTERNAL, SHORTFALL_OPEN.
 */
export async function confirmPosts(db: Database, wanted: Omit<BooksSwitch, 'to'>): Promise<void> {
  await actByCommand(wanted.by, async () => await db.transaction().execute(async (tx) => await confirm(tx, wanted)));
}

async function confirm(tx: Transaction, { network, by, nowMicros }: Omit<BooksSwitch, 'to'>): Promise<void> {
  const { rows } = await sql`
    UPDATE customer_books b SET posts_whole_at = ${nowMicros}::bigint, changed_by = ${by}
    FROM network n WHERE n.id = b.network_id AND n.name = ${network} AND b.mode = 'INTERNAL' RETURNING b.mode`.execute(
    tx,
  );
  if (rows.length === 0)
    throw new PermanentError('BOOKS_NOT_INTERNAL', 'Only internal books have post transfers that can be lost.');
  const open = await readOpenShortfalls(tx, network);
  if (open.length > 0) {
    throw new PermanentError(
      'SHORTFALL_OPEN',
      `The house laid out ${open.join(', ')} for payments that their customers could not cover. Post it from them to SHORTFALL, or from HOUSE where it is lost, and confirm again; the log tells of each with books.shortfall.`,
      { count: open.length },
    );
  }
}

/** What the house laid out and nobody settled, as text: amount and instrument. */
async function readOpenShortfalls(tx: Transaction, network: string): Promise<readonly string[]> {
  const { rows } = await sql<{ text: string }>`
    SELECT -sum(line.amount) || ' of ' || i.admin || '/' || i.instrument_id AS text
    FROM account a JOIN network n ON n.id = a.network_id
    CROSS JOIN LATERAL (
      SELECT instrument_id, amount::numeric AS amount FROM posting WHERE credit_account_id = a.id
      UNION ALL SELECT instrument_id, -(amount::numeric) FROM posting WHERE debit_account_id = a.id
    ) AS line
    JOIN instrument i ON i.id = line.instrument_id
    WHERE n.name = ${network} AND a.kind = 'SHORTFALL' GROUP BY i.id HAVING sum(line.amount) < 0 ORDER BY 1`.execute(
    tx,
  );
  return rows.map(({ text }) => text);
}
