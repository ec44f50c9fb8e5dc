/** What keeps a process from being sent work, each by itself, on a real database. */
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createDatabase } from '../../src/db/connection.ts';
import { systemClock } from '../../src/env/system.ts';
import { registerCatalog } from '../../src/ingestion/catalog.ts';
import { createReadiness, type Readiness } from '../../src/server/readiness.ts';
import { createVirtualClock } from '../support/clock.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { createTcpProxy } from '../support/tcp-proxy.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await createTestDatabase();
});
afterAll(async () => await database.close());

const noOf = ({ checks }: Readiness): readonly string[] =>
  checks.filter(({ state }) => state !== 'ok').map(({ name, state, detail }) => `${name} ${state}: ${detail}`);
const common = { isStopping: () => false, isApi: true, lagSecondsMax: 60, clock: systemClock };
const probe = (options: Partial<Parameters<typeof createReadiness>[0]> = {}) =>
  createReadiness({
    ...common,
    logger: database.logger,
    parts: () => ({ db: database.db, seen: () => 0n }),
    ...options,
  });

test('ready when all is well; not while it starts, and not while it stops, though the database answers', async () => {
  expect(await probe()()).toMatchObject({ isReady: true });
  expect(noOf(await probe({ parts: () => null })())).toEqual(['running no: It is starting.']);
  expect(noOf(await probe({ isStopping: () => true })())).toEqual(['running no: It is stopping.']);
});

test('a schema of another version is told from a database that is away', async () => {
  const empty = await createTestDatabase({ isMigrated: false });
  try {
    const answer = await probe({ parts: () => ({ db: empty.db, seen: () => 0n }) })();
    expect(answer.isReady).toBe(false);
    expect(noOf(answer)[0]).toContain('schema no');
  } finally {
    await empty.close();
  }
});

test('a database that is silent is a no within seconds, without a word of where it is or who we are there', async () => {
  const { hostname: host, port } = new URL(database.connectionString);
  const proxy = await createTcpProxy({ host, port: Number(port) });
  const throughProxy = new URL(database.connectionString);
  throughProxy.host = `127.0.0.1:${proxy.port}`;
  const { db, close } = createDatabase({
    connectionString: throughProxy.href,
    applicationName: 'probe',
    poolSizeMax: 1,
    logger: database.logger,
    answerTimeoutMs: 4_000,
  });
  try {
    const look = probe({ parts: () => ({ db, seen: () => 0n }) });
    expect((await look()).isReady).toBe(true);
    proxy.silence();
    const answer = await look();
    expect(noOf(answer)).toEqual(['database no: It does not answer in time.']);
    expect(JSON.stringify(answer)).not.toContain(String(proxy.port));
    proxy.speak();
  } finally {
    await close();
    await proxy.close();
  }
});

test('a process that does not follow the log is not ready after a while, and is when it caught up', async () => {
  const clock = createVirtualClock();
  await sql`UPDATE event_log SET last_position = 7`.execute(database.db);
  let seen = 0n;
  const look = probe({
    clock: { ...systemClock, nowMicros: clock.nowMicros },
    parts: () => ({ db: database.db, seen: () => seen }),
  });
  expect((await look()).isReady).toBe(true);
  await clock.advance(11_000);
  expect(noOf(await look())).toEqual(['log no: The event log was not followed for 11 s.']);
  seen = 7n;
  expect((await look()).isReady).toBe(true);
});

test('old data keeps a worker from being ready, and an API answering', async () => {
  const catalog = { network: 'n', treasuries: [{ name: 'main', party: 'p::12' }], instruments: [] };
  const [treasury] = await registerCatalog(database.db, catalog);
  const id = treasury?.id ?? 0;
  const hourAgo = systemClock.nowMicros() - 3_600_000_000n;
  await sql`UPDATE ingestion_stream SET status = 'RUNNING' WHERE treasury_id = ${id}`.execute(database.db);
  await sql`INSERT INTO synchronizer_time VALUES (${id}, 'sync::12', ${hourAgo})`.execute(database.db);
  const seen = () => 7n;
  const parts = () => ({ db: database.db, seen });

  const worker = await probe({ isApi: false, parts })();
  expect(worker.isReady).toBe(false);
  expect(noOf(worker)[0]).toMatch(/^ingestion no: main is 36\d\d s behind\.$/);
  const api = await probe({ isApi: true, parts })();
  expect(api.isReady).toBe(true);
  expect(noOf(api)[0]).toContain('ingestion later');
});
