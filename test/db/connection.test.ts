import { sql } from 'kysely';
import { afterAll, afterEach, expect, test } from 'vitest';
import { createDatabase, type DatabaseConnection, type DatabaseOptions } from '../../src/db/connection.ts';
import { createSystemLogger } from '../../src/env/system.ts';
import { createTestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { createTcpProxy } from '../support/tcp-proxy.ts';

const database = await createTestDatabase();
afterAll(() => database.close());

const cleanUps: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

function connect(options: Partial<DatabaseOptions> = {}): DatabaseConnection {
  const connection = createDatabase({
    connectionString: database.connectionString,
    applicationName: 'sluice-under-test',
    poolSizeMax: 1,
    logger: createSystemLogger('silent'),
    ...options,
  });
  cleanUps.push(() => connection.close());
  return connection;
}

async function backendPid({ db }: DatabaseConnection): Promise<number | undefined> {
  return (await sql<{ pid: number }>`SELECT pg_backend_pid() AS pid`.execute(db)).rows[0]?.pid;
}

test('exact types come back exact', async () => {
  const { rows } = await sql`
    SELECT 9223372036854775807::int8 AS big, 0.1234567890::numeric AS amount, '\\x00ff'::bytea AS bytes,
           ARRAY[1, NULL, 9223372036854775807]::int8[] AS bigs, ARRAY[1.10, 2.0]::numeric[] AS amounts,
           '{"a": [1]}'::jsonb AS json, '2026-01-01T00:00:00.000001Z'::timestamptz AS time
  `.execute(connect().db);

  expect(rows[0]).toEqual({
    big: 9223372036854775807n,
    amount: '0.1234567890',
    bytes: Buffer.from([0, 255]),
    bigs: [1n, null, 9223372036854775807n],
    amounts: ['1.10', '2.0'],
    json: { a: [1] },
    time: '2026-01-01 00:00:00.000001+00',
  });
});

test('a violated constraint, a mistake and a deadlock have codes that tell whether to try again', async () => {
  const { db } = connect();
  await db.insertInto('network').values({ name: 'twice' }).execute();

  await expect(db.insertInto('network').values({ name: 'twice' }).execute()).rejects.toMatchObject({
    code: 'DB_CONSTRAINT',
    retryable: false,
    facts: { sqlState: '23505', constraint: 'network_name_key', table: 'network' },
  });
  await expect(sql`SELECT nothing`.execute(db)).rejects.toMatchObject({ code: 'DB_STATEMENT', retryable: false });
  await expect(sql`DO $$ BEGIN RAISE deadlock_detected; END $$`.execute(db)).rejects.toMatchObject({
    code: 'DB_CONFLICT',
    retryable: true,
  });
});

test('every wait has its end: statements, locks, idle transactions, and a place in the pool', async () => {
  const slow = connect({ statementTimeoutMs: 100 });
  await expect(sql`SELECT pg_sleep(5)`.execute(slow.db)).rejects.toMatchObject({
    code: 'DB_TIMEOUT',
    facts: { sqlState: '57014' },
  });

  const waiting = connect({
    applicationName: 'sluice-waiting',
    lockTimeoutMs: 100,
    idleInTransactionTimeoutMs: 200,
    connectTimeoutMs: 1_500,
  });
  await database.db.transaction().execute(async (holder) => {
    await sql`LOCK TABLE network`.execute(holder);
    await expect(waiting.db.selectFrom('network').selectAll().execute()).rejects.toMatchObject({
      code: 'DB_LOCK_TIMEOUT',
    });
  });

  const idle = waiting.db.transaction().execute(async (trx) => {
    await sql`SELECT 1`.execute(trx);
    // The only connection is taken.
    await expect(sql`SELECT 1`.execute(waiting.db)).rejects.toMatchObject({ code: 'DB_TIMEOUT' });
    await eventually(async () => expect(await countConnections('sluice-waiting')).toBe(0n));
    await sql`SELECT 1`.execute(trx);
  });
  await expect(idle).rejects.toMatchObject({ retryable: true });
  expect(await backendPid(waiting)).toBeGreaterThan(0);
});

async function countConnections(applicationName: string): Promise<bigint | undefined> {
  const query = sql<{
    count: bigint;
  }>`SELECT count(*) FROM pg_stat_activity WHERE application_name = ${applicationName}`;
  return (await query.execute(database.db)).rows[0]?.count;
}

test('a connection that was cut, in use or idle, is replaced and nobody else notices', async () => {
  const connection = connect();
  const first = await backendPid(connection);
  const cut = async (pid: number | undefined): Promise<void> => {
    await sql`SELECT pg_terminate_backend(${pid}, 1000)`.execute(database.db);
  };

  await expect(
    connection.db.transaction().execute(async (trx) => {
      await sql`SELECT 1`.execute(trx);
      await cut(first);
      await sql`SELECT 1`.execute(trx);
    }),
  ).rejects.toMatchObject({ code: 'DB_UNAVAILABLE', retryable: true });
  const second = await backendPid(connection);
  expect(second).not.toBe(first);

  await cut(second);
  await eventually(async () => expect(await backendPid(connection)).not.toBe(second));
  expect(connection.pool.totalCount).toBe(1);
});

test('a server that stops answering costs one statement, not the pool: the silent connection is destroyed', async () => {
  const url = new URL(database.connectionString);
  const proxy = await createTcpProxy({ host: url.hostname, port: Number(url.port) });
  cleanUps.push(() => proxy.close());
  url.port = String(proxy.port);
  url.hostname = '127.0.0.1';
  const connection = connect({ connectionString: url.href, answerTimeoutMs: 200 });
  const first = await backendPid(connection);

  proxy.silence();
  await expect(backendPid(connection)).rejects.toMatchObject({ code: 'DB_TIMEOUT', retryable: true });
  proxy.speak();

  const second = await backendPid(connection);
  expect(second).toBeGreaterThan(0);
  expect(second).not.toBe(first);
});

test('an unreachable server and a refused login are told apart', async () => {
  const nowhere = connect({ connectionString: 'postgresql://nobody@127.0.0.1:1/nothing' });
  await expect(backendPid(nowhere)).rejects.toMatchObject({ code: 'DB_UNAVAILABLE', retryable: true });

  const url = new URL(database.connectionString);
  url.password = 'wrong';
  await expect(backendPid(connect({ connectionString: url.href }))).rejects.toMatchObject({
    code: 'DB_REFUSED',
    retryable: false,
  });
});
