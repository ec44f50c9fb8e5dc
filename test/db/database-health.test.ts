/** What a database suffers from slowly is seen before it stops: on a real one, made to suffer. */
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { HEALTH_LIMITS, type HealthCheck, isUnwell, readDatabaseHealth } from '../../src/db/database-health.ts';
import { startSluice } from '../e2e/sluice-process.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';

vi.setConfig({ testTimeout: 60_000 });

let database: TestDatabase;

beforeEach(async () => {
  database = await createTestDatabase();
});

afterEach(async () => await database.close());

async function check(name: HealthCheck['name'], limits = HEALTH_LIMITS): Promise<HealthCheck> {
  const found = (await readDatabaseHealth(database.db, limits)).find((each) => each.name === name);
  if (found === undefined) throw new Error(`No check ${name}.`);
  return found;
}

test('C15: dead rows that no vacuum takes away are seen, with the table that has them', async () => {
  const { db } = database;
  await sql`CREATE TABLE worn (n integer) WITH (autovacuum_enabled = off)`.execute(db);
  await sql`INSERT INTO worn SELECT generate_series(1, 12000)`.execute(db);
  expect(isUnwell(await check('dead-rows'))).toBe(false);

  for (let round = 0; round < 2; round += 1) await sql`UPDATE worn SET n = n + 1`.execute(db);

  await eventually(
    async () => {
      const found = await check('dead-rows');
      expect(isUnwell(found)).toBe(true);
      expect(found.where).toBe('worn');
    },
    { deadlineMs: 20_000 },
  );
});

test('C15: a transaction that nobody ends is seen, with who holds it', async () => {
  const { db } = database;
  await db.transaction().execute(async (tx) => {
    await sql`SELECT pg_sleep(0.05)`.execute(tx);
    const found = await check('oldest-transaction', { ...HEALTH_LIMITS, 'oldest-transaction': 0.01 });

    expect(found.value).toBeGreaterThanOrEqual(0.05);
    expect(isUnwell(found)).toBe(true);
    expect(found.where).toContain('pid');
  });
});

test('C15: how much is left of the transaction numbers grows with their use, and the command tells all of it', async () => {
  const { db, connectionString } = database;
  const before = (await check('transaction-ids')).value;
  for (let count = 0; count < 20; count += 1) await sql`SELECT pg_current_xact_id()`.execute(db);
  expect((await check('transaction-ids')).value).toBeGreaterThan(before);
  expect(isUnwell(await check('transaction-ids', { ...HEALTH_LIMITS, 'transaction-ids': before }))).toBe(true);

  const command = startSluice(['database', '--json'], { DATABASE_URL: connectionString, SLUICE_LOG_LEVEL: 'error' });
  const { code } = await command.exited;
  const checks: readonly (HealthCheck & { isUnwell: boolean })[] = JSON.parse(command.stdout());
  expect(checks.map(({ name }) => name)).toEqual(Object.keys(HEALTH_LIMITS));
  expect(code, command.stderr()).toBe(checks.some((each) => each.isUnwell) ? 1 : 0);
});
