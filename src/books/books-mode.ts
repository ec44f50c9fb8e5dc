/**
 * Who keeps the balances of customers, per network:
 *
 *   EXTERNAL   the exchange: Sluice counts per account what crossed the ledger, and refuses nobody for funds
 *   OPENING    still the exchange, while it tells Sluice by post transfers what everybody has; nobody is refused yet
 *   INTERNAL   Sluice: nobody pays out or away what he has not
 *
 * The row in the database decides, not the configuration of a process: a switch holds at once, everywhere, in one commit. The configuration says what its operator believes, and a process that was
 * told otherwise does not start.
 */
import { sql } from 'kysely';
import type { Database, Transaction } from '../db/connection.ts';
import { knowNetwork } from '../db/known-network.ts';
import type { Micros } from '../env/clock.ts';
import { PermanentError } from '../env/errors.ts';

export type BooksMode = 'EXTERNAL' | 'OPENING' | 'INTERNAL';

/** As `SLUICE_CUSTOMER_BOOKS` has it. */
export type ConfiguredBooks = 'external' | 'internal';

/** Who decided, where a process did at its start. */
export const BY_START = 'sluice:start';

/** @returns `EXTERNAL` where nothing was decided yet. */
export async function readBooksMode(db: Database | Transaction, networkId: number): Promise<BooksMode> {
  const row = await db
    .selectFrom('customer_books')
    .select('mode')
    .where('network_id', '=', networkId)
    .executeTakeFirst();
  return row?.mode ?? 'EXTERNAL';
}

/**
 * At the start of a process: the first one decides for the network, every other one has to agree. What has booked customers already without a decision is external.
 * @throws PermanentError CUSTOMER_BOOKS_DIFFER.
 */
export async function agreeOnBooks(
  db: Database,
  wanted: { readonly network: string; readonly configured: ConfiguredBooks; readonly nowMicros: Micros },
): Promise<BooksMode> {
  const { network, configured, nowMicros } = wanted;
  const decided = (await readDecided(db, network)) ?? (await decide(db, network, configured, nowMicros));
  const isAgreed = decided === 'OPENING' || decided === (configured === 'internal' ? 'INTERNAL' : 'EXTERNAL');
  if (!isAgreed) {
    throw new PermanentError(
      'CUSTOMER_BOOKS_DIFFER',
      `SLUICE_CUSTOMER_BOOKS is ${configured}, and the books of ${network} in the database are ${decided}. Set SLUICE_CUSTOMER_BOOKS=${decided.toLowerCase()}, or switch them with \`sluice books switch\` (docs/guides/books.md).`,
      { network, configured, decided },
    );
  }
  return decided;
}

async function readDecided(db: Database, network: string): Promise<BooksMode | null> {
  const row = await db
    .selectFrom('customer_books as b')
    .innerJoin('network as n', 'n.id', 'b.network_id')
    .select('b.mode')
    .where('n.name', '=', network)
    .executeTakeFirst();
  return row?.mode ?? null;
}

async function decide(
  db: Database,
  network: string,
  configured: ConfiguredBooks,
  nowMicros: Micros,
): Promise<BooksMode> {
  return await db.transaction().execute(async (tx) => {
    await knowNetwork(tx, network);
    // Nobody books a customer between the look and the commit: what is not there when the lock is held was not booked before the decision either.
    await sql`SELECT hold_postings()`.execute(tx);
    const { rows } = await sql<{ mode: BooksMode }>`
      WITH decided AS (
        INSERT INTO customer_books (network_id, mode, changed_at, changed_by)
        SELECT n.id, CASE WHEN ${configured} = 'internal' AND NOT EXISTS (
            SELECT FROM account a WHERE a.network_id = n.id AND a.kind = 'CUSTOMER' AND (
              EXISTS (SELECT FROM posting p WHERE p.credit_account_id = a.id) OR EXISTS (SELECT FROM posting p WHERE p.debit_account_id = a.id)
            )
          ) THEN 'INTERNAL' ELSE 'EXTERNAL' END, ${nowMicros}::bigint, ${BY_START}
        FROM network n WHERE n.name = ${network}
        ON CONFLICT DO NOTHING RETURNING mode
      )
      SELECT mode FROM decided`.execute(tx);
    // A rival was faster: what he decided holds.
    const mode = rows[0]?.mode;
    if (mode !== undefined) return mode;
    const { id } = await tx.selectFrom('network').select('id').where('name', '=', network).executeTakeFirstOrThrow();
    return await readBooksMode(tx, id);
  });
}
