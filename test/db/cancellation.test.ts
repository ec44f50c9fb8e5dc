/** Statements of work that nobody waits for any more end in PostgreSQL too, and the connections they ran on are not used again. */
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CancelledError, cancellable } from '../../src/db/cancellation.ts';
import { createDatabase, type DatabaseConnection } from '../../src/db/connection.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';

let database: TestDatabase;
let connection: DatabaseConnection;

beforeAll(async () => {
  database = await createTestDatabase();
  connection = createDatabase({
    connectionString: database.connectionString,
    applicationName: 'sluice-test-cancel',
    poolSizeMax: 1,
    logger: database.logger,
  });
});

afterAll(async () => {
  await connection.close();
  await database.close();
});

async function running(): Promise<number> {
  const { rows } = await sql<{ pid: number }>`
    SELECT pid FROM pg_stat_activity WHERE application_name = 'sluice-test-cancel' AND state = 'active'
  `.execute(database.db);
  return rows.length;
}

test('a statement under way is cancelled, and its caller is told at once', async () => {
  const ending = new AbortController();
  const waiting = cancellable(ending.signal, async () => await sql`SELECT pg_sleep(12)`.execute(connection.db));
  await eventually(async () => expect(await running()).toBe(1));

  ending.abort();

  await expect(waiting).rejects.toBeInstanceOf(CancelledError);
  await eventually(async () => expect(await running()).toBe(0));
});

test('a statement that has not begun never begins', async () => {
  const work = cancellable(AbortSignal.abort(), async () => await sql`SELECT 1`.execute(connection.db));

  await expect(work).rejects.toMatchObject({ code: 'CANCELLED', retryable: true });
});

test('whoever waits for a connection gives up, and the connection comes to the next', async () => {
  const ending = new AbortController();
  const transaction = await connection.db.startTransaction().execute();
  const waiting = cancellable(ending.signal, async () => await sql`SELECT 1`.execute(connection.db));
  const next = sql<{ one: number }>`SELECT 1 AS one`.execute(connection.db);

  ending.abort();

  await expect(waiting).rejects.toBeInstanceOf(CancelledError);
  await transaction.commit().execute();
  expect((await next).rows).toEqual([{ one: 1 }]);
});

test('a transaction is undone, and what comes after does not meet a late cancellation', async () => {
  const ending = new AbortController();
  const work = cancellable(
    ending.signal,
    async () =>
      await connection.db.transaction().execute(async (tx) => {
        await sql`CREATE TABLE undone (id int)`.execute(tx);
        await sql`SELECT pg_sleep(12)`.execute(tx);
      }),
  );
  await eventually(async () => expect(await running()).toBe(1));

  ending.abort();
  await expect(work).rejects.toBeInstanceOf(CancelledError);

  for (let round = 0; round < 20; round++) await sql`SELECT 1`.execute(connection.db);
  const { rows } = await sql<{ name: string | null }>`SELECT to_regclass('undone') AS name`.execute(connection.db);
  expect(rows).toEqual([{ name: null }]);
});

test('work that was cancelled after its COMMIT was sent is committed', async () => {
  const ending = new AbortController();
  await cancellable(ending.signal, async () => {
    const transaction = await connection.db.startTransaction().execute();
    await sql`CREATE TABLE done (id int)`.execute(transaction);
    const committing = transaction.commit().execute();
    ending.abort();
    await committing;
  });

  const { rows } = await sql<{ name: string }>`SELECT to_regclass('done') AS name`.execute(connection.db);
  expect(rows).toEqual([{ name: 'done' }]);
});
