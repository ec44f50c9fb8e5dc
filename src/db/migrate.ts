/**
 * Brings a database to the schema of this version: forward only, one transaction per migration, one runner at a time.
 *
 * The runner holds a session-level advisory lock (Kysely's migrator), so it must not go through a PgBouncer in transaction mode. Each
 * applied migration's hash is stored in the same transaction; a database whose migrations differ from ours, or that has some we do not
 * know, is refused rather than guessed at.
 */
import { type Kysely, sql } from 'kysely';
import { type Migration, Migrator } from 'kysely/migration';
import { messageOf, PermanentError, RetryableError } from '../env/errors.ts';
import type { Logger } from '../env/logger.ts';
import { createDatabase, type Database } from './connection.ts';
import { type MigrationFile, readLockedMigrations } from './migration-files.ts';
import { grantRights, listDatabaseRoles, readRights } from './rights.ts';
import { readRightsOf } from './rights-held.ts';

export type MigrateOptions = {
  readonly connectionString: string;
  readonly logger: Logger;
  /** Default: `migrations/` of this project. */
  readonly directory?: string;
};

export type MigrationState = { readonly name: string; readonly sha256: string; readonly isApplied: boolean };

// A runner that waits for another one, and a migration that rewrites a table, end here.
const STATEMENT_TIMEOUT_MS = 600_000;
// A migration that waits for a lock stops all traffic behind it; it gives up and is started again when things are quieter.
const LOCK_TIMEOUT_MS = 5_000;

/**
 * Applies what is pending.
 *
 * @returns the names applied by this run, in order; another runner may have applied the others meanwhile.
 * @throws PermanentError MIGRATION_FILES_INVALID, MIGRATION_EDITED, MIGRATION_UNKNOWN, MIGRATION_OUT_OF_ORDER before anything is changed;
 * MIGRATION_FAILED with the name: that migration is undone, earlier ones stay. RetryableError as in errors.ts: run it again.
 */
export async function migrate(options: MigrateOptions): Promise<readonly string[]> {
  const files = await readLockedMigrations(options.directory);
  const { db, close } = createDatabase({
    connectionString: options.connectionString,
    applicationName: 'sluice-migrate',
    poolSizeMax: 2,
    logger: options.logger,
    statementTimeoutMs: STATEMENT_TIMEOUT_MS,
    lockTimeoutMs: LOCK_TIMEOUT_MS,
    idleInTransactionTimeoutMs: STATEMENT_TIMEOUT_MS,
  });
  try {
    const state = await readState(db, files);
    const applied = state.every(({ isApplied }) => isApplied) ? [] : await applyPending(db, files, options.logger);
    // What is new is open to the roles that need it before the version that needs it starts.
    if (options.directory === undefined) await grantAgain(db, options.logger, applied.length > 0);
    return applied;
  } finally {
    await close();
  }
}

/**
 * @returns the migrations of this version and which of them `db` has.
 * @throws PermanentError as {@link migrate} does before it changes anything.
 */
export async function migrationStatus<T>(db: Kysely<T>, directory?: string): Promise<readonly MigrationState[]> {
  return await readState(db, await readLockedMigrations(directory));
}

/** @throws PermanentError MIGRATION_PENDING when `db` is older than this version, and as {@link migrationStatus}. */
export async function requireMigrated<T>(db: Kysely<T>, directory?: string): Promise<void> {
  const pending = (await migrationStatus(db, directory))
    .filter((migration) => !migration.isApplied)
    .map(({ name }) => name);
  if (pending.length > 0) {
    throw new PermanentError(
      'MIGRATION_PENDING',
      `The database lacks ${pending.join(', ')}: run the migrate command first.`,
      { pending },
    );
  }
}

/** @returns the names of those that this runner applied. */
async function applyPending(db: Database, files: readonly MigrationFile[], logger: Logger): Promise<readonly string[]> {
  const applied: string[] = [];
  const migrator = new Migrator({ db, provider: { getMigrations: async () => migrationsOf(files) } });
  // One at a time, because the migrator puts all that one call applies into a single transaction.
  for (let name = await applyNext(migrator); name !== null; name = await applyNext(migrator)) {
    logger.info('Applied a migration.', { migration: name });
    applied.push(name);
  }
  await readState(db, files);
  return applied;
}

/**
 * The migrations stand whatever becomes of it: a role that is gone since keeps nobody from starting, and takes nothing from the others; the doctor of those that lack something says so. A run that migrated and ended before
 * it granted is made good by the next one.
 */
async function grantAgain(db: Database, logger: Logger, hasApplied: boolean): Promise<void> {
  const tell = ({ code, message }: PermanentError): void =>
    logger.warn('Database roles were not given their rights anew.', { code, why: message });
  try {
    if (hasApplied ? (await listDatabaseRoles(db)).length > 0 : await isAnyLacking(db)) await grantRights(db, [], tell);
  } catch (error) {
    if (!(error instanceof PermanentError)) throw error;
    tell(error);
  }
}

/** Whether a role that is there lacks something of its kind. */
async function isAnyLacking(db: Database): Promise<boolean> {
  const rights = await readRights();
  for (const { name, kind } of await listDatabaseRoles(db)) {
    if ((await readRightsOf(db, name, rights.get(kind) ?? new Map())).missing.length > 0) return true;
  }
  return false;
}

function migrationsOf(files: readonly MigrationFile[]): Record<string, Migration> {
  return Object.fromEntries(files.map((file) => [file.name, { up: async (db) => await applyFile(db, file) }]));
}

async function applyFile<T>(db: Kysely<T>, file: MigrationFile): Promise<void> {
  await sql.raw(file.sql).execute(db);
  // Inside the runner's lock, so two of them cannot create it at once.
  await sql`CREATE TABLE IF NOT EXISTS migration_hash (name text PRIMARY KEY, sha256 text NOT NULL)`.execute(db);
  await sql`INSERT INTO migration_hash (name, sha256) VALUES (${file.name}, ${file.sha256})`.execute(db);
}

/** @returns the name of the migration that was applied; null when none was pending. */
async function applyNext(migrator: Migrator): Promise<string | null> {
  const { error, results } = await migrator.migrateUp();
  if (error instanceof RetryableError) throw error;
  const name = results?.[0]?.migrationName ?? null;
  if (error !== undefined) {
    const message = name === null ? 'The migrations could not be run' : `The migration ${name} failed and was undone`;
    throw new PermanentError(
      'MIGRATION_FAILED',
      `${message}: ${messageOf(error)}`,
      { migration: name },
      { cause: error },
    );
  }
  return name;
}

async function readState<T>(db: Kysely<T>, files: readonly MigrationFile[]): Promise<readonly MigrationState[]> {
  const applied = await readApplied(db);
  const known = new Set(files.map((file) => file.name));
  const unknown = [...applied.keys()].filter((name) => !known.has(name));
  if (unknown.length > 0) {
    const message = `The database was migrated by a newer version, which knows ${unknown.join(', ')}: start that version.`;
    throw new PermanentError('MIGRATION_UNKNOWN', message, { unknown });
  }
  const edited = files
    .filter((file) => applied.has(file.name) && applied.get(file.name) !== file.sha256)
    .map((file) => file.name);
  if (edited.length > 0) {
    const message = `The database was migrated with another text of ${edited.join(', ')}: it belongs to another build.`;
    throw new PermanentError('MIGRATION_EDITED', message, { edited });
  }
  const state = files.map((file) => ({ name: file.name, sha256: file.sha256, isApplied: applied.has(file.name) }));
  const skipped = state.slice(0, applied.size).filter((migration) => !migration.isApplied);
  if (skipped.length > 0) {
    const names = skipped.map(({ name }) => name);
    const message = `The database has later migrations, but not ${names.join(', ')}: it belongs to another build.`;
    throw new PermanentError('MIGRATION_OUT_OF_ORDER', message, { skipped: names });
  }
  return state;
}

/** @returns name → hash; empty for a database that no migration has touched. */
async function readApplied<T>(db: Kysely<T>): Promise<ReadonlyMap<string, string>> {
  const found = await sql<{ exists: boolean }>`SELECT to_regclass('migration_hash') IS NOT NULL AS exists`.execute(db);
  if (found.rows[0]?.exists !== true) return new Map();
  const { rows } = await sql<{ name: string; sha256: string }>`SELECT name, sha256 FROM migration_hash`.execute(db);
  return new Map(rows.map((row) => [row.name, row.sha256]));
}
