/**
 * The derived tables once more, beside the ones in use: in a schema of their own, made from the updates as received, page by page. Nobody reads them but who looks for differences, and whoever puts
 * them in the place of the others (`books/switch-over.ts`). A crash leaves them behind, to be dropped by the next rebuild; what is in use is never touched here.
 */
import { sql } from 'kysely';
import type { Database, Transaction } from '../db/connection.ts';
import { PermanentError } from '../env/errors.ts';
import { createInstrumentBook } from './catalog.ts';
import { deriveUpdates } from './derive-updates.ts';
import type { TransferChange, Treasury } from './effect-sink.ts';
import { compareTables, DERIVED_TABLES, type Difference } from './rebuild.ts';
import type { ReceivedUpdate } from './received-update.ts';
import { BEFORE_ALL, readStoredPage, type StoredPlace } from './stored-updates.ts';

export const SECOND_SCHEMA = 'sluice_rebuild';
const FIRST_SCHEMA = 'public';

/** What an update that waits in quarantine means today, or a later one for a transfer that began in one of those. */
export type LateUpdate = {
  readonly update: ReceivedUpdate;
  readonly isQuarantined: boolean;
  readonly changes: readonly TransferChange[];
};

/** How far one treasury has been derived, and what was met on the way. */
export type SecondHistory = {
  /** Of the rebuild that made the schema. */
  readonly runId: string;
  readonly treasury: Treasury;
  place: StoredPlace;
  updatesRead: number;
  /** Updates in quarantine that can be derived today, and later ones that go on with what those began; in order. */
  readonly late: LateUpdate[];
  /** Transfers that began in an update in quarantine. */
  readonly lateTransfers: Set<string>;
  /** Updates that cannot be derived today. */
  readonly refused: Map<string, PermanentError>;
};

/** Empty tables, whatever was there: a rebuild that starts takes over from one that runs or has died, which finds another `runId` and ends. */
export async function createSecondSchema(db: Database, runId: string): Promise<void> {
  await db.transaction().execute(async (tx) => {
    await sql`DROP SCHEMA IF EXISTS ${sql.table(SECOND_SCHEMA)} CASCADE`.execute(tx);
    await sql`CREATE SCHEMA ${sql.table(SECOND_SCHEMA)}`.execute(tx);
    await sql`CREATE TABLE ${sql.table(`${SECOND_SCHEMA}.run`)} (id text PRIMARY KEY)`.execute(tx);
    await sql`INSERT INTO ${sql.table(`${SECOND_SCHEMA}.run`)} VALUES (${runId})`.execute(tx);
    for (const table of DERIVED_TABLES) {
      await sql`CREATE TABLE ${sql.table(`${SECOND_SCHEMA}.${table}`)} (LIKE ${sql.table(`${FIRST_SCHEMA}.${table}`)} INCLUDING ALL)`.execute(
        tx,
      );
    }
  });
}

export async function dropSecondSchema(db: Database | Transaction): Promise<void> {
  await sql`DROP SCHEMA IF EXISTS ${sql.table(SECOND_SCHEMA)} CASCADE`.execute(db);
}

export function startHistory(runId: string, treasury: Treasury): SecondHistory {
  return { runId, treasury, place: BEFORE_ALL, updatesRead: 0, late: [], lateTransfers: new Set(), refused: new Map() };
}

/**
 * Derives the next page of a treasury's updates into the second schema and moves `history` on. Call it in a transaction of its own, or, to catch up, in the one that needs both sides at one
 * moment. The unqualified names of the tables mean the second schema's for the rest of `tx`.
 * @returns false at the end.
 * @throws PermanentError STORED_UPDATE_DAMAGED: nothing can be derived from what cannot be read; REBUILD_TAKEN_OVER. RetryableError of the database; the page must be rolled back.
 */
export async function derivePage(tx: Transaction, history: SecondHistory): Promise<boolean> {
  const { treasury } = history;
  await demandOurs(tx, history);
  await sql`SET LOCAL search_path = ${sql.table(SECOND_SCHEMA)}, ${sql.table(FIRST_SCHEMA)}`.execute(tx);
  const page = await readStoredPage(tx, treasury, history.place);
  if (page === null) return false;
  const [damaged] = page.damaged;
  if (damaged !== undefined) {
    throw new PermanentError('STORED_UPDATE_DAMAGED', `Update ${damaged.updateId} cannot be read: ${damaged.why}`);
  }
  const instruments = createInstrumentBook(treasury.networkId);
  const derived = await deriveUpdates({ tx, treasury, instruments, onAnomaly: () => undefined }, page.updates);
  const waiting = await quarantinedAmong(
    tx,
    treasury,
    page.updates.map(({ updateId }) => updateId),
  );
  for (const { update, changes } of derived.done) {
    const isQuarantined = waiting.has(update.updateId);
    if (isQuarantined) for (const { isNew, transferId } of changes) if (isNew) history.lateTransfers.add(transferId);
    const own = isQuarantined ? changes : changes.filter(({ transferId }) => history.lateTransfers.has(transferId));
    if (isQuarantined || own.length > 0) history.late.push({ update, isQuarantined, changes: own });
  }
  for (const { update, error } of derived.refused) history.refused.set(update.updateId, error);
  history.place = page.last;
  history.updatesRead += page.count;
  return true;
}

/** Another rebuild's tables may be empty, or half full. Locked, so that they stay ours for the rest of `tx`. */
async function demandOurs(tx: Transaction, { runId }: SecondHistory): Promise<void> {
  const { rows: schemas } = await sql`SELECT FROM pg_namespace WHERE nspname = ${SECOND_SCHEMA}`.execute(tx);
  const { rows } =
    schemas.length === 0
      ? { rows: [] }
      : await sql`SELECT id FROM ${sql.table(`${SECOND_SCHEMA}.run`)} WHERE id = ${runId} FOR SHARE`.execute(tx);
  if (rows.length === 1) return;
  throw new PermanentError('REBUILD_TAKEN_OVER', 'Another rebuild has taken over.');
}

async function quarantinedAmong(
  tx: Transaction,
  treasury: Treasury,
  updateIds: readonly string[],
): Promise<ReadonlySet<string>> {
  if (updateIds.length === 0) return new Set();
  const rows = await tx
    .selectFrom('quarantine')
    .select('update_id')
    .where('treasury_id', '=', treasury.id)
    .where('closed_at', 'is', null)
    .where('update_id', 'in', updateIds)
    .execute();
  return new Set(rows.map((row) => row.update_id));
}

/** Both sides at one moment. @returns the tables in which they differ, with the first rows of each side. */
export async function compareSchemas(db: Database, history: SecondHistory): Promise<readonly Difference[]> {
  return await db
    .transaction()
    .setIsolationLevel('repeatable read')
    .execute(async (tx) => {
      while (await derivePage(tx, history));
      return await compareTables(tx, history.treasury, { stored: FIRST_SCHEMA, rebuilt: SECOND_SCHEMA });
    });
}

/** The rows of a treasury that are not the same on both sides: transfers by id, whether they are old, new or other. */
export async function differingTransfers(
  tx: Transaction,
  treasury: Treasury,
): Promise<readonly { readonly id: string; readonly updateId: string; readonly isOld: boolean }[]> {
  const side = (left: string, right: string) => sql`
    SELECT id, update_id FROM (
      SELECT * FROM ${sql.table(`${left}.transfer`)} WHERE treasury_id = ${treasury.id}
      EXCEPT SELECT * FROM ${sql.table(`${right}.transfer`)} WHERE treasury_id = ${treasury.id}
    ) AS row`;
  const { rows } = await sql<{ id: string; updateId: string; isOld: boolean }>`
    SELECT id, update_id AS "updateId", bool_or(is_old) AS "isOld" FROM (
      SELECT *, true AS is_old FROM (${side(FIRST_SCHEMA, SECOND_SCHEMA)}) AS old
      UNION ALL
      SELECT *, false FROM (${side(SECOND_SCHEMA, FIRST_SCHEMA)}) AS new
    ) AS differing GROUP BY 1, 2 ORDER BY 1`.execute(tx);
  return rows;
}

const KEYS = {
  holding: ['treasury_id', 'contract_id'],
  transfer: ['treasury_id', 'update_id', 'rank'],
  transfer_instruction: ['treasury_id', 'contract_id'],
} as const;

/**
 * @throws PermanentError REBUILD_INCOMPLETE: an update of the treasury is not in the second tables, which must not happen; REBUILD_REFUSES_MORE: one that could be read when it came cannot be
 * read by this version, whose tables would be the poorer ones.
 */
export async function demandComplete(
  tx: Transaction,
  { treasury, updatesRead, refused }: SecondHistory,
): Promise<void> {
  const waiting = await quarantinedAmong(tx, treasury, [...refused.keys()]);
  for (const [updateId, { code, message }] of refused) {
    if (waiting.has(updateId)) continue;
    throw new PermanentError(
      'REBUILD_REFUSES_MORE',
      `Update ${updateId} was read before and is not today. ${code}: ${message}`,
    );
  }
  const { count } = await tx
    .selectFrom('ledger_update')
    .select((row) => row.fn.countAll<bigint>().as('count'))
    .where('treasury_id', '=', treasury.id)
    .executeTakeFirstOrThrow();
  if (count === BigInt(updatesRead)) return;
  throw new PermanentError('REBUILD_INCOMPLETE', `${updatesRead} of ${count} updates were derived.`);
}

/**
 * Makes the tables in use equal to the second ones, for one treasury, by the rows in which they differ: what is equal is not touched, and nobody ever finds a table missing.
 * @returns rows taken out and put in.
 */
export async function applySecondSchema(
  tx: Transaction,
  treasury: Treasury,
): Promise<{ readonly removed: number; readonly added: number }> {
  let removed = 0;
  let added = 0;
  for (const table of DERIVED_TABLES) {
    const first = sql.table(`${FIRST_SCHEMA}.${table}`);
    const second = sql.table(`${SECOND_SCHEMA}.${table}`);
    const isSameRow = sql.join(
      KEYS[table].map((column) => sql`old.${sql.ref(column)} = gone.${sql.ref(column)}`),
      sql` AND `,
    );
    const gone = await sql`
      DELETE FROM ${first} AS old USING (
        SELECT * FROM ${first} WHERE treasury_id = ${treasury.id} EXCEPT SELECT * FROM ${second} WHERE treasury_id = ${treasury.id}
      ) AS gone WHERE ${isSameRow}`.execute(tx);
    const put = await sql`
      INSERT INTO ${first}
      SELECT * FROM ${second} WHERE treasury_id = ${treasury.id} EXCEPT SELECT * FROM ${first} WHERE treasury_id = ${treasury.id}`.execute(
      tx,
    );
    removed += Number(gone.numAffectedRows ?? 0n);
    added += Number(put.numAffectedRows ?? 0n);
  }
  return { removed, added };
}

/** From here on unqualified names mean the tables in use again. */
export async function useFirstSchema(tx: Transaction): Promise<void> {
  await sql`SET LOCAL search_path = ${sql.table(FIRST_SCHEMA)}`.execute(tx);
}
