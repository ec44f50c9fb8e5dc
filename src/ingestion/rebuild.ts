/**
 * Derives the holdings, transfers and offers of a treasury once more from the updates as received, and compares. What the stream wrote in any batching, through any
 * crash and restart, must equal what reading the stored updates in one go gives, row for row.
 */
import { sql } from 'kysely';
import type { Database, Transaction } from '../db/connection.ts';
import { createInstrumentBook } from './catalog.ts';
import { deriveUpdates } from './derive-updates.ts';
import type { Treasury } from './effect-sink.ts';
import { BEFORE_ALL, readStoredPage, type StoredPage } from './stored-updates.ts';

export const DERIVED_TABLES = ['holding', 'transfer', 'transfer_instruction'] as const;
export type DerivedTable = (typeof DERIVED_TABLES)[number];

export type Difference = {
  /** `ledger_update`: stored bytes that are damaged, or updates that are gone. */
  readonly table: DerivedTable | 'ledger_update';
  /** Rows that are stored but do not follow from the updates, as JSON text. */
  readonly onlyStored: readonly string[];
  /** Rows that follow from the updates but are not stored. */
  readonly onlyRebuilt: readonly string[];
};

export type RebuildResult = { readonly updatesRead: number; readonly differences: readonly Difference[] };

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
      const { updatesRead, damaged } = await derive(tx, treasury);
      const differences = await compareTables(tx, treasury, { stored: 'public', rebuilt: 'pg_temp' });
      const missing = await missingUpdates(tx, treasury, updatesRead);
      return { updatesRead, differences: [...damagedRows(damaged), ...missing, ...differences] };
    });
}

type Damaged = StoredPage['damaged'];

async function derive(
  tx: Transaction,
  treasury: Treasury,
): Promise<{ readonly updatesRead: number; readonly damaged: Damaged }> {
  const instruments = createInstrumentBook(treasury.networkId);
  const damaged: Damaged[number][] = [];
  let updatesRead = 0;
  let after = BEFORE_ALL;
  for (;;) {
    const page = await readStoredPage(tx, treasury, after);
    if (page === null) return { updatesRead, damaged };
    // What is refused was quarantined when it came, for the same reasons: it has no derived rows.
    await deriveUpdates({ tx, treasury, instruments, onAnomaly: () => undefined }, page.updates);
    damaged.push(...page.damaged);
    updatesRead += page.count;
    after = page.last;
  }
}

/** @param schemas where the two sides are. @returns the tables that differ, with the first rows of each side. */
export async function compareTables(
  tx: Transaction,
  treasury: Treasury,
  { stored, rebuilt }: { readonly stored: string; readonly rebuilt: string },
): Promise<readonly Difference[]> {
  const differences: Difference[] = [];
  for (const table of DERIVED_TABLES) {
    const rowsIn = async (left: string, right: string) => {
      const { rows } = await sql<{ row: string }>`
        SELECT to_jsonb(difference)::text AS row FROM (
          SELECT * FROM ${sql.table(`${left}.${table}`)} WHERE treasury_id = ${treasury.id}
          EXCEPT
          SELECT * FROM ${sql.table(`${right}.${table}`)} WHERE treasury_id = ${treasury.id}
        ) AS difference LIMIT ${DIFFERENCES_SHOWN_MAX}`.execute(tx);
      return rows.map(({ row }) => row);
    };
    differences.push({ table, onlyStored: await rowsIn(stored, rebuilt), onlyRebuilt: await rowsIn(rebuilt, stored) });
  }
  return differences.filter(({ onlyStored, onlyRebuilt }) => onlyStored.length + onlyRebuilt.length > 0);
}

/** The stream counted what it stored. An update that is gone and had no effects of its own would be missed by nothing else. */
async function missingUpdates(
  tx: Transaction,
  treasury: Treasury,
  updatesRead: number,
): Promise<readonly Difference[]> {
  const stream = await tx
    .selectFrom('ingestion_stream')
    .select('updates_count')
    .where('treasury_id', '=', treasury.id)
    .executeTakeFirst();
  const counted = stream?.updates_count ?? 0n;
  if (counted === BigInt(updatesRead)) return [];
  const row = JSON.stringify({ updatesStored: String(counted), updatesThere: String(updatesRead) });
  return [{ table: 'ledger_update', onlyStored: [], onlyRebuilt: [row] }];
}

function damagedRows(damaged: Damaged): readonly Difference[] {
  if (damaged.length === 0) return [];
  const onlyStored = damaged.slice(0, DIFFERENCES_SHOWN_MAX).map((row) => JSON.stringify(row));
  return [{ table: 'ledger_update', onlyStored, onlyRebuilt: [] }];
}
