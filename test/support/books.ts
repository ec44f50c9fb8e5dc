/** Books of customers for tests: a network with two instruments, and calls that a service would make. */
import { sql } from 'kysely';
import type { BooksMode } from '../../src/books/books-mode.ts';
import { checkBooks } from '../../src/books/check-books.ts';
import { houseAccount, postEntries } from '../../src/books/journal.ts';
import type { PostTransferLine } from '../../src/books/post-transfer-lines.ts';
import { createPostTransfers, type PostedTransfer } from '../../src/books/post-transfers.ts';
import type { Database } from '../../src/db/connection.ts';
import { systemClock } from '../../src/env/system.ts';
import { parseAmount } from '../../src/tokens/amount.ts';
import { createTestDatabase, type TestDatabase } from './database.ts';
import { AMULET_ADMIN, createRows, DAY, type Rows } from './rows.ts';

export const AMULET = { admin: AMULET_ADMIN, id: 'Amulet' };
export const BOND = { admin: AMULET_ADMIN, id: 'Bond' };

export type BooksScene = {
  readonly database: TestDatabase;
  readonly rows: Rows;
  setMode(mode: BooksMode): Promise<void>;
  /** Out of nothing that was ever seen, as deposits come. */
  give(account: string, amount: string, instrument?: { readonly id: string }): Promise<void>;
  post(
    idempotencyKey: string,
    lines: readonly PostTransferLine[],
    more?: { readonly client?: string; readonly reference?: string | null; readonly db?: Database },
  ): Promise<PostedTransfer>;
  /** By account and instrument, as the journal has them: `alice Amulet`. */
  balances(): Promise<Record<string, string>>;
  /** Those of balances, as Sluice keeps them. */
  kept(): Promise<Record<string, string>>;
  faults(): Promise<readonly unknown[]>;
};

/** @param owner starting with `@`: an account of the house. */
export function lineOf(owner: string, amount: string, instrument = AMULET): PostTransferLine {
  const house = (['FEES', 'HOUSE', 'SHORTFALL'] as const).find((kind) => `@${kind}` === owner);
  return { account: house === undefined ? { customer: owner } : { house }, instrument, amount: parseAmount(amount) };
}

export async function startBooks(mode: BooksMode = 'INTERNAL'): Promise<BooksScene> {
  const database = await createTestDatabase();
  const { db } = database;
  const rows = createRows(db);
  const keys = new Map([
    ['Amulet', await rows.instrument()],
    ['Bond', await rows.instrument('Bond')],
  ]);
  const networkId = (await db.selectFrom('network').select('id').executeTakeFirstOrThrow()).id;
  let given = 0;

  const setMode = async (wanted: BooksMode): Promise<void> => {
    await sql`INSERT INTO customer_books (network_id, mode, changed_at, changed_by) VALUES (${networkId}, ${wanted}, 0, 'test')
      ON CONFLICT (network_id) DO UPDATE SET mode = excluded.mode`.execute(db);
  };
  await setMode(mode);
  return {
    database,
    rows,
    setMode,
    give: async (account, amount, instrument = AMULET) => {
      given += 1;
      const entry = {
        cause: `test:${given}`,
        description: 'test',
        recordTime: DAY,
        lines: [
          {
            debit: houseAccount('HOUSE'),
            credit: { kind: 'CUSTOMER' as const, owner: account },
            instrumentKey: keys.get(instrument.id) ?? 0,
            amount: parseAmount(amount),
          },
        ],
      };
      await db.transaction().execute(async (tx) => await postEntries(tx, networkId, [entry]));
    },
    post: async (idempotencyKey, lines, { client = 'service', reference = null, db: other = db } = {}) =>
      await createPostTransfers({ db: other, clock: systemClock, network: 'testnet' }).post({
        client,
        idempotencyKey,
        reference,
        lines,
      }),
    balances: async () => {
      const { rows: found } = await sql<{ name: string; balance: string }>`
        SELECT concat_ws(' ', coalesce(nullif(a.owner, ''), '@' || a.kind), i.instrument_id) AS name, b.balance::text AS balance
        FROM account_balance b JOIN account a ON a.id = b.account_id JOIN instrument i ON i.id = b.instrument_id
        WHERE a.kind IN ('CUSTOMER', 'FEES', 'HOUSE', 'SHORTFALL') ORDER BY 1`.execute(db);
      return Object.fromEntries(found.map(({ name, balance }) => [name, balance]));
    },
    kept: async () => {
      const { rows: found } = await sql<{ name: string; balance: string }>`
        SELECT a.owner || ' ' || i.instrument_id AS name, k.balance::text AS balance FROM customer_balance k
        JOIN account a ON a.id = k.account_id JOIN instrument i ON i.id = k.instrument_id ORDER BY 1`.execute(db);
      return Object.fromEntries(found.map(({ name, balance }) => [name, balance]));
    },
    faults: async () => await checkBooks(db),
  };
}
