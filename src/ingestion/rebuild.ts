/**
 * Derives the holdings, transfers and offers of a treasury once more from the updates as received, and compares. What the stream wrote in any batching, through any
 * crash and restart, must equal what reading the stored updates in one go gives, row for row.
 */
import { sql } from 'kysely';
import type { Database, Transaction } from '../db/connection.ts';
import { createInstrumentBook } from './catalog.ts';
import { deriveUpdates } from './derive-updates.ts';
import type { Treasury } from './effect-sink.ts';
import { restoreUpdate } from './received-update.ts';

export const DERIVED_TABLES = ['holding', 'transfer', 'transfer_instruction'] as const;
export type DerivedTable = (typeof DERIVED_TABLES)[number];

export type Difference = {
  readonly table: DerivedTable;
  /** Rows that are stored but do not follow from the updates, as JSON text. */
  readonly onlyStored: readonly string[];
  /** Rows that follow from the updates but are not stored. */
  readonly onlyRebuilt: readonly string[];
};

export type RebuildResult = { readonly updatesRead: number; readonly differences: readonly Difference[] };

const PAGE_UPDATES = 500;
const DIFFERENCES_SHOWN_MAX = 20; // Rows per table and side; one is enough to alarm, twenty to see a pattern.

/**
 * @returns what was read and every difference; none means that the tables are right. Changes nothing: the rebuilt rows live in temporary tables of one
 * read-only-in-effect transaction, which also gives it a consistent view beside a running stream.
 */
export async function compareWithRebuild(db: Database, treasury: Treasury): Promise<RebuildResult> {
  return db
    .transaction()
    .setIsolationLevel('repeatable read')
    .execute(async (tx) => {
      for (const table of DERIVED_TABLES) {
        // Temporary tables of the same names hide the stored ones from the code that writes derived rows.
        await sql`CREATE TEMPORARY TABLE ${sql.table(table)} (LIKE ${sql.table(`public.${table}`)} INCLUDING ALL) ON COMMIT DROP`.execute(
          tx,
        );
      }
      const updatesRead = await derive(tx, treasury);
      const differences: Difference[] = [];
      for (const table of DERIVED_TABLES) differences.push(await compare(tx, treasury, table));
      return {
        updatesRead,
        differences: differences.filter(({ onlyStored, onlyRebuilt }) => onlyStored.length + onlyRebuilt.length > 0),
      };
    });
}

async function derive(tx: Transaction, treasury: Treasury): Promise<number> {
  const instruments = createInstrumentBook(treasury.networkId);
  let updatesRead = 0;
  let after = { epoch: 0, offset: 0n };
  for (;;) {
    const page = await tx
      .selectFrom('ledger_update')
      .select(['epoch', 'ledger_offset', 'received'])
      .where('treasury_id', '=', treasury.id)
      .where(({ eb, refTuple, tuple }) => eb(refTuple('epoch', 'ledger_offset'), '>', tuple(after.epoch, after.offset)))
      .orderBy('epoch')
      .orderBy('ledger_offset')
      .limit(PAGE_UPDATES)
      .execute();
    const last = page.at(-1);
    if (last === undefined) return updatesRead;

    const updates = page.map((row) => restoreUpdate(row.received));
    // What is refused was quarantined when it came, for the same reasons: it has no derived rows.
    await deriveUpdates({ tx, treasury, instruments, onAnomaly: () => undefined }, updates);
    updatesRead += page.length;
    after = { epoch: last.epoch, offset: last.ledger_offset };
  }
}

async function compare(tx: Transaction, treasury: Treasury, table: DerivedTable): Promise<Difference> {
  const rowsIn = async (left: string, right: string) => {
    const { rows } = await sql<{ row: string }>`
      SELECT to_jsonb(difference)::text AS row FROM (
        SELECT * FROM ${sql.table(`${left}.${table}`)} WHERE treasury_id = ${treasury.id}
        EXCEPT
        SELECT * FROM ${sql.table(`${right}.${table}`)} WHERE treasury_id = ${treasury.id}
      ) AS difference LIMIT ${DIFFERENCES_SHOWN_MAX}`.execute(tx);
    return rows.map(({ row }) => row);
  };
  return { table, onlyStored: await rowsIn('public', 'pg_temp'), onlyRebuilt: await rowsIn('pg_temp', 'public') };
}
