/**
 * `sluice migrate`, killed with SIGKILL in the middle of the project's own migrations: what was begun is undone as a whole, and the next run does the rest. A trigger of the database holds the command
 * up at one statement, so that the blow falls exactly there.
 *
 *     KILLS=60 npx vitest run test/processes/migration-kill.test.ts
 */
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { Database } from '../../src/db/connection.ts';
import { migrate, migrationStatus } from '../../src/db/migrate.ts';
import { MIGRATIONS_DIRECTORY, readLockedMigrations } from '../../src/db/migration-files.ts';
import { startSluice } from '../e2e/sluice-process.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { rounds } from '../support/tier.ts';

const KILLS = Number(process.env['KILLS'] ?? rounds(2, 60));
const LOCK = 4_711;
const PATIENCE = { deadlineMs: 60_000 };
vi.setConfig({ testTimeout: 60_000 + KILLS * 30_000, hookTimeout: 120_000 });

/** How many migrations are applied → what the database looks like then. */
const whole: string[] = [];
let statements: number;

/** Every table, column, constraint and index, in words. */
async function shapeOf(db: Database): Promise<string> {
  const { rows } = await sql<{ line: string }>`
    SELECT format('%s.%s %s %s %s', table_name, column_name, data_type, is_nullable, column_default) AS line
      FROM information_schema.columns WHERE table_schema = 'public' AND table_name NOT LIKE 'kysely%' AND table_name <> 'migration_hash'
    UNION ALL SELECT format('%s %s', conrelid::regclass, pg_get_constraintdef(oid)) FROM pg_constraint
      WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text !~ 'kysely|migration_hash'
    UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename NOT LIKE 'kysely%' AND tablename <> 'migration_hash'
    ORDER BY line`.execute(db);
  return rows.map(({ line }) => line).join('\n');
}

async function emptyDatabase(): Promise<TestDatabase> {
  const database = await createTestDatabase({ isMigrated: false });
  await sql`CREATE SCHEMA held`.execute(database.db);
  await sql`CREATE SEQUENCE held.statements`.execute(database.db);
  // A number that is drawn stays drawn, also where all else is undone.
  await sql`CREATE FUNCTION held.hold() RETURNS event_trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF nextval('held.statements') = current_setting('held.at', true)::bigint THEN PERFORM pg_advisory_lock(${sql.lit(LOCK)}); END IF;
    END $$`.execute(database.db);
  await sql`CREATE EVENT TRIGGER hold ON ddl_command_end EXECUTE FUNCTION held.hold()`.execute(database.db);
  await sql`SELECT setval('held.statements', 1, false)`.execute(database.db);
  return database;
}

const drawn = async ({ db }: TestDatabase): Promise<number> =>
  Number((await sql<{ last: bigint }>`SELECT last_value AS last FROM held.statements`.execute(db)).rows[0]?.last);

beforeAll(async () => {
  const directory = await mkdtemp(join(tmpdir(), 'sluice-migrations-'));
  const database = await emptyDatabase();
  try {
    const { db, logger, connectionString } = database;
    const lock: Record<string, string> = {};
    whole.push(await shapeOf(db));
    for (const { name, sha256 } of await readLockedMigrations()) {
      await cp(join(MIGRATIONS_DIRECTORY, `${name}.sql`), join(directory, `${name}.sql`));
      lock[`${name}.sql`] = sha256;
      await writeFile(join(directory, 'lock.json'), JSON.stringify(lock));
      await migrate({ connectionString, logger, directory });
      whole.push(await shapeOf(db));
    }
    statements = await drawn(database);
  } finally {
    await database.close();
    await rm(directory, { recursive: true });
  }
});

let database: TestDatabase | null = null;
afterAll(async () => await database?.close());

test(`C14: ${KILLS} kills of a migration, each at another of its statements, leave whole migrations each time, and the next run goes on from there`, async () => {
  const here = await emptyDatabase();
  database = here;
  const { db, connectionString } = here;
  const command = () => startSluice(['migrate'], { DATABASE_URL: connectionString, SLUICE_LOG_LEVEL: 'error' });
  const name = new URL(connectionString).pathname.slice(1);
  const found = new Set<number>();

  for (let kill = 0; kill < KILLS; kill += 1) {
    // Undone statements are drawn again by the next run: each kill is so far beyond where the run before began.
    const applied = (await migrationStatus(db)).filter(({ isApplied }) => isApplied).length;
    const left = statements - (await statementsOf(applied));
    const at = (await drawn(here)) + 1 + Math.floor((left * (kill + 0.5)) / KILLS / 2);
    await sql.raw(`ALTER DATABASE ${name} SET held.at = '${at}'`).execute(db);
    await db.connection().execute(async (holder) => {
      await sql`SELECT pg_advisory_lock(${sql.lit(LOCK)})`.execute(holder);
      const run = command();
      await eventually(async () => {
        expect(run.child.exitCode, run.stderr()).toBe(null);
        const { rows } =
          await sql`SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = ${LOCK} AND NOT granted`.execute(db);
        expect(rows).toHaveLength(1);
      }, PATIENCE);
      run.child.kill('SIGKILL');
      await run.exited;
      await sql`SELECT pg_advisory_unlock(${sql.lit(LOCK)})`.execute(holder);
    });
    await eventually(async () => {
      const { rows } =
        await sql`SELECT FROM pg_stat_activity WHERE datname = ${name} AND application_name = 'sluice-migrate'`.execute(
          db,
        );
      expect(rows).toEqual([]);
    }, PATIENCE);

    const after = (await migrationStatus(db)).filter(({ isApplied }) => isApplied).length;
    found.add(after);
    expect(await shapeOf(db)).toBe(whole[after]);
  }
  expect(found.size).toBeGreaterThan(1); // Not the same statement every time.

  const run = command();
  expect(await run.exited, run.stderr()).toMatchObject({ code: 0 });
  expect(await shapeOf(db)).toBe(whole.at(-1));
});

const counts = new Map<number, number>();

/** How many statements the first migrations are made of. */
async function statementsOf(migrations: number): Promise<number> {
  const known = counts.get(migrations);
  if (known !== undefined) return known;
  const files = (await readLockedMigrations()).slice(0, migrations);
  const count = files.reduce((sum, file) => sum + (file.sql.match(/^(CREATE|ALTER|DROP) /gm)?.length ?? 0), 0);
  counts.set(migrations, count);
  return count;
}
