/** The migration runner against real databases, with migrations written for the occasion. */
import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { afterEach, expect, test } from 'vitest';
import { migrate, migrationStatus, requireMigrated } from '../../src/db/migrate.ts';
import { readLockedMigrations } from '../../src/db/migration-files.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';

const cleanUps: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

async function emptyDatabase(): Promise<TestDatabase> {
  const database = await createTestDatabase({ isMigrated: false });
  cleanUps.push(() => database.close());
  return database;
}

/** A folder with these migrations and their lock. */
async function migrations(files: Readonly<Record<string, string>>): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'sluice-migrations-'));
  cleanUps.push(async () => await rm(directory, { recursive: true }));
  await put(directory, files);
  return directory;
}

async function put(directory: string, files: Readonly<Record<string, string>>): Promise<void> {
  const lock = Object.fromEntries(
    Object.entries(files).map(([name, text]) => [name, createHash('sha256').update(text).digest('hex')]),
  );
  for (const [name, text] of Object.entries(files)) await writeFile(join(directory, name), text);
  await writeFile(join(directory, 'lock.json'), JSON.stringify(lock));
}

async function tablesOf(database: TestDatabase): Promise<readonly string[]> {
  const { rows } = await sql<{ name: string }>`
    SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename`.execute(database.db);
  return rows.map((row) => row.name).filter((name) => !name.startsWith('kysely_') && name !== 'migration_hash');
}

const ONE = { '0001_one.sql': 'CREATE TABLE one (id bigint);\nCREATE TABLE other (id bigint);' };
const TWO = { ...ONE, '0002_two.sql': 'CREATE TABLE two (id bigint);' };

test('the project is migrated from its own files, whatever the working directory', async () => {
  const { connectionString, db, logger } = await emptyDatabase();
  const before = process.cwd();
  process.chdir('/');
  try {
    expect(await migrate({ connectionString, logger })).toContain('0001_first_light');
  } finally {
    process.chdir(before);
  }

  await requireMigrated(db);
  expect(await migrate({ connectionString, logger })).toEqual([]);
});

test('pending migrations run in order, and the status tells which', async () => {
  const database = await emptyDatabase();
  const { connectionString, db, logger } = database;
  const directory = await migrations(ONE);
  expect(await migrate({ connectionString, logger, directory })).toEqual(['0001_one']);

  await put(directory, TWO);

  expect((await migrationStatus(db, directory)).map(({ name, isApplied }) => ({ name, isApplied }))).toEqual([
    { name: '0001_one', isApplied: true },
    { name: '0002_two', isApplied: false },
  ]);
  await expect(requireMigrated(db, directory)).rejects.toMatchObject({
    code: 'MIGRATION_PENDING',
    facts: { pending: ['0002_two'] },
  });
  expect(await migrate({ connectionString, logger, directory })).toEqual(['0002_two']);
  expect(await tablesOf(database)).toEqual(['one', 'other', 'two']);
});

test('two runners at once apply each migration once', async () => {
  const database = await emptyDatabase();
  const { connectionString, logger } = database;
  const directory = await migrations({
    '0001_one.sql': 'SELECT pg_sleep(0.2); CREATE TABLE one (id bigint);',
    '0002_two.sql': 'SELECT pg_sleep(0.2); CREATE TABLE two (id bigint);',
  });

  const applied = await Promise.all([1, 2, 3].map(async () => await migrate({ connectionString, logger, directory })));

  expect(applied.flat().sort()).toEqual(['0001_one', '0002_two']);
  expect(await tablesOf(database)).toEqual(['one', 'two']);
});

test('a failing migration is undone, earlier ones stay, and the next run goes on from there', async () => {
  const database = await emptyDatabase();
  const { connectionString, logger } = database;
  const directory = await migrations({ ...ONE, '0002_two.sql': 'CREATE TABLE two (id bigint); SELECT 1 / 0;' });

  await expect(migrate({ connectionString, logger, directory })).rejects.toMatchObject({
    code: 'MIGRATION_FAILED',
    message: expect.stringMatching(/0002_two.*division by zero/),
    facts: { migration: '0002_two' },
  });
  expect(await tablesOf(database)).toEqual(['one', 'other']);

  await put(directory, TWO);
  expect(await migrate({ connectionString, logger, directory })).toEqual(['0002_two']);
});

test('an edited, a missing, an unlocked and a misnumbered file are refused before anything runs', async () => {
  const database = await emptyDatabase();
  const { connectionString, logger } = database;
  const directory = await migrations(TWO);
  const attempt = async (): Promise<unknown> => await migrate({ connectionString, logger, directory });

  await writeFile(join(directory, '0002_two.sql'), 'CREATE TABLE three (id bigint);');
  await expect(attempt()).rejects.toMatchObject({
    code: 'MIGRATION_FILES_INVALID',
    facts: { faults: ['0002_two.sql was edited after it was locked: write a new migration'] },
  });

  await rm(join(directory, '0002_two.sql'));
  await expect(attempt()).rejects.toMatchObject({
    facts: { faults: ['0002_two.sql is in lock.json, but the file is missing'] },
  });

  await put(directory, TWO);
  await writeFile(join(directory, '0003_three.sql'), 'SELECT 1;');
  await expect(attempt()).rejects.toMatchObject({
    facts: { faults: ['0003_three.sql is not in lock.json: run npm run generate'] },
  });

  await rm(join(directory, '0003_three.sql'));
  await put(directory, { ...TWO, '0004_four.sql': 'SELECT 1;' });
  await expect(attempt()).rejects.toMatchObject({
    facts: { faults: ['0004_four.sql: expected 0003_<lower_case_name>.sql'] },
  });

  expect(await tablesOf(database)).toEqual([]);
});

test('a database of a newer version and one of another build are refused', async () => {
  const { connectionString, db, logger } = await emptyDatabase();
  await migrate({ connectionString, logger, directory: await migrations(TWO) });

  await expect(migrate({ connectionString, logger, directory: await migrations(ONE) })).rejects.toMatchObject({
    code: 'MIGRATION_UNKNOWN',
    facts: { unknown: ['0002_two'] },
  });
  const otherText = await migrations({ ...TWO, '0001_one.sql': 'CREATE TABLE uno (id bigint);' });
  await expect(requireMigrated(db, otherText)).rejects.toMatchObject({
    code: 'MIGRATION_EDITED',
    facts: { edited: ['0001_one'] },
  });
});

test('a migration that cannot get its lock gives up, and may be repeated', async () => {
  const { connectionString, db, logger } = await emptyDatabase();
  const directory = await migrations(ONE);
  await migrate({ connectionString, logger, directory });
  await put(directory, {
    ...ONE,
    '0002_two.sql': "SET LOCAL lock_timeout = '50ms'; ALTER TABLE one ADD COLUMN name text;",
  });

  await db.transaction().execute(async (holder) => {
    await sql`LOCK TABLE one`.execute(holder);
    await expect(migrate({ connectionString, logger, directory })).rejects.toMatchObject({
      code: 'DB_LOCK_TIMEOUT',
      retryable: true,
    });
  });

  expect(await migrate({ connectionString, logger, directory })).toEqual(['0002_two']);
});

test('C5: whoever chains the audit while the project is migrated neither waits for ever nor stops it', async () => {
  const { connectionString, db, logger } = await emptyDatabase();
  const all = await readLockedMigrations();
  const before = all.filter(({ name }) => name < '0028');
  await migrate({
    connectionString,
    logger,
    directory: await migrations(Object.fromEntries(before.map(({ name, sql: text }) => [`${name}.sql`, text]))),
  });
  await sql`
    INSERT INTO audit_outbox (at, principal, action, subject_type, subject) VALUES (1, 'mia', 'a', 'halt', '1')`.execute(
    db,
  );
  let migrated: Promise<readonly string[]> = Promise.resolve([]);
  await db.transaction().execute(async (tx) => {
    // As chain_audit does: looks what waits, and then writes it down.
    await sql`SELECT FROM audit_outbox`.execute(tx);
    migrated = migrate({ connectionString, logger });
    await eventually(async () => {
      const { rows } = await sql`
        SELECT FROM pg_locks WHERE relation IN ('audit_outbox'::regclass, 'audit_entry'::regclass) AND NOT granted`.execute(
        db,
      );
      expect(rows.length).toBe(1);
    });
    await sql`SELECT chain_audit(10)`.execute(tx);
  });

  expect(await migrated).toContain('0028_least_rights');
  expect((await sql`SELECT FROM audit_entry`.execute(db)).rows.length).toBe(1);
});
