/** Ingestion over a database that fails in every way it can. Row ids of the failure catalogue stand in the names. */
import { sql } from 'kysely';
import pg from 'pg';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { checkBooks } from '../../src/books/check-books.ts';
import { startService } from '../../src/cli/service.ts';
import { loadConfig } from '../../src/config/config.ts';
import { createDatabase } from '../../src/db/connection.ts';
import { startEmbeddedPostgres } from '../../src/db/embedded.ts';
import { migrate } from '../../src/db/migrate.ts';
import type { Clock } from '../../src/env/clock.ts';
import { noFailpoints } from '../../src/env/failpoint.ts';
import { createSystemLogger, systemClock, systemRandom } from '../../src/env/system.ts';
import { compareWithRebuild } from '../../src/ingestion/rebuild.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { append, draftOf, startEventLog } from '../support/event-log.ts';
import { eventually } from '../support/eventually.ts';
import { type IngestionOptions, type RunningIngestion, registerMemos, startIngestion } from '../support/ingestion.ts';
import { NETWORK, startTestNetwork, type TestNetwork } from '../support/network.ts';
import { createTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';
import { rounds } from '../support/tier.ts';

vi.setConfig({ testTimeout: 90_000 });

let database: TestDatabase;
let simnet: TestNetwork;
const running: RunningIngestion[] = [];
const cleanUps: (() => Promise<unknown>)[] = [];
let paid: number;

beforeEach(async () => {
  database = await createTestDatabase();
  simnet = await startTestNetwork('database', { checkpoints: { busyMs: 50, idleMs: 200 } });
  await registerMemos(database.db, NETWORK, { 'alice-memo': 'alice' });
  paid = 0;
});

afterEach(async () => {
  for (const ingestion of running.splice(0)) await ingestion.stop();
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
  await simnet.stop();
  await database.close();
});

async function start(options: Partial<IngestionOptions> = {}): Promise<RunningIngestion> {
  const ingestion = await startIngestion({
    connectionString: database.connectionString,
    ledgerUrl: simnet.ledgerUrl(),
    catalog: simnet.catalog,
    settings: { leaseTtlMs: 600, reconnect: { attemptsMax: 1_000, delayMsMin: 5, delayMsMax: 100 } },
    ...options,
  });
  running.push(ingestion);
  return ingestion;
}

function payIn(): void {
  simnet.network.tap({ instrument: 'amulet', owner: 'alice', amount: '1' });
  simnet.network.transfer({
    instrument: 'amulet',
    sender: 'alice',
    receiver: 'treasury',
    amount: '1',
    memo: 'alice-memo',
  });
  paid += 1;
}

async function credited(db = database.db): Promise<number> {
  const { rows } = await sql<{ total: string | null }>`
    SELECT sum(b.balance)::text AS total FROM account_balance b JOIN account a ON a.id = b.account_id WHERE a.kind = 'CUSTOMER'`.execute(
    db,
  );
  return Number(rows[0]?.total ?? 0);
}

const allCredited = (deadlineMs = 20_000, db = database.db) =>
  eventually(
    async () => {
      for (const ingestion of running) ingestion.throwIfFailed();
      expect(await credited(db)).toBe(paid);
    },
    { deadlineMs },
  );

async function expectConsistent(db = database.db): Promise<void> {
  for (const treasury of running[0]?.treasuries ?? []) {
    expect((await compareWithRebuild(db, treasury)).differences).toEqual([]);
  }
  expect(await checkBooks(db)).toEqual([]);
  expect(await db.selectFrom('quarantine').selectAll().execute()).toEqual([]);
}

async function proxied(): Promise<{ readonly proxy: TcpProxy; readonly connectionString: string }> {
  const url = new URL(database.connectionString);
  const proxy = await createTcpProxy({ host: url.hostname, port: Number(url.port) });
  cleanUps.push(proxy.close);
  url.host = `127.0.0.1:${proxy.port}`;
  return { proxy, connectionString: url.href };
}

/** A connection of the test's own, beside every pool. */
async function connect(): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: database.connectionString });
  // What becomes of it is told by its statements.
  client.on('error', () => undefined);
  await client.connect();
  cleanUps.push(() => client.end());
  return client;
}

test('C1: a server that crashes and recovers, again and again, loses and doubles nothing', async () => {
  const env = { clock: systemClock, random: systemRandom, logger: createSystemLogger('silent') };
  const server = await startEmbeddedPostgres({ baseDirectory: null, name: null, port: 0, ...env });
  cleanUps.push(server.stop);
  const { connectionString } = server;
  await migrate({ connectionString, logger: env.logger });
  const own = createDatabase({ connectionString, applicationName: 'test', poolSizeMax: 2, logger: env.logger });
  cleanUps.push(own.close);
  await registerMemos(own.db, NETWORK, { 'alice-memo': 'alice' });
  await start({ connectionString });

  for (let crash = 0; crash < rounds(2, 10); crash += 1) {
    for (let count = 0; count < 20; count += 1) payIn();
    await systemClock.sleep(crash * 60);
    const { rows } = await sql<{ pid: number }>`
      SELECT pid FROM pg_stat_activity WHERE application_name = 'test-ingestion' ORDER BY random() LIMIT 1`
      .execute(own.db)
      .catch(() => ({ rows: [] }));
    // A killed backend makes the server end all others and recover from its log, as after a loss of power.
    for (const { pid } of rows) process.kill(pid, 'SIGKILL');
    await eventually(async () => expect(await credited(own.db)).toBeGreaterThanOrEqual(0), { deadlineMs: 20_000 });
  }

  await allCredited(30_000, own.db);
  await expectConsistent(own.db);
});

test('C1: connections that are ended all the time cost time and nothing else', async () => {
  await start();
  const cutting = await connect();
  for (let round = 0; round < 40; round += 1) {
    payIn();
    await cutting.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                         WHERE application_name = 'test-ingestion' AND datname = current_database()`);
    await systemClock.sleep((round * 13) % 50);
  }

  await allCredited();
  await expectConsistent();
});

test('C2: every commit of a batch whose answer is lost is found again, and repeated by none', async () => {
  const { proxy, connectionString } = await proxied();
  let isBatch = false;
  proxy.cutAnswerTo((chunk) => {
    const text = chunk.toString('latin1');
    // The last statement of a batch, then its commit: other transactions, such as the claim of the stream, go through.
    if (text.includes('pg_notify')) isBatch = true;
    if (!isBatch || !/\bcommit\b/i.test(text)) return false;
    isBatch = false;
    return true;
  });
  // A stream that has just resumed may write one update alone: so many cuts, in the end, as there are updates.
  for (let count = 0; count < rounds(24, 80); count += 1) payIn();
  // Each of these tries moves the position, though none of them learns it: they are no tries without progress.
  await start({
    connectionString,
    settings: { batchCountMax: 10, leaseTtlMs: 600, reconnect: { attemptsMax: 6, delayMsMin: 2, delayMsMax: 10 } },
  });

  await allCredited(80_000);
  expect(proxy.answersCut()).toBeGreaterThanOrEqual(8);
  await expectConsistent();
});

test('C4: a primary that turns read-only is waited for; nothing is remembered that was not written', async () => {
  await start();
  payIn();
  await allCredited();
  const admin = await connect();
  const name = (await admin.query<{ name: string }>('SELECT current_database() AS name')).rows[0]?.name ?? '';
  const turn = async (readOnly: 'on' | 'off'): Promise<void> => {
    await admin.query('SET default_transaction_read_only = off');
    await admin.query(`ALTER DATABASE ${pg.escapeIdentifier(name)} SET default_transaction_read_only = ${readOnly}`);
    await admin.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                       WHERE datname = current_database() AND application_name = 'test-ingestion'`);
  };

  for (let round = 0; round < 3; round += 1) {
    await turn('on');
    payIn();
    payIn();
    await systemClock.sleep(600);
    expect(await credited()).toBe(paid - 2);
    running[0]?.throwIfFailed();
    await turn('off');
    await allCredited();
  }
  await expectConsistent();
});

test('C5: transactions that the database gives up for others are run again as a whole', async () => {
  await start({
    settings: { batchCountMax: 2, leaseTtlMs: 600, reconnect: { attemptsMax: 1_000, delayMsMin: 1, delayMsMax: 5 } },
  });
  // Every tenth row that any of these tables gets is refused as a conflict, wherever in the transaction that is.
  await sql`CREATE FUNCTION refuse_now_and_then() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN IF random() < 0.1 THEN RAISE EXCEPTION 'a conflict' USING ERRCODE = CASE WHEN random() < 0.5 THEN '40001' ELSE '40P01' END; END IF; RETURN NEW; END $$`.execute(
    database.db,
  );
  for (const table of ['ledger_update', 'holding', 'transfer', 'posting', 'event_outbox', 'ingestion_stream']) {
    await sql`CREATE TRIGGER now_and_then BEFORE INSERT OR UPDATE ON ${sql.table(table)} FOR EACH ROW EXECUTE FUNCTION refuse_now_and_then()`.execute(
      database.db,
    );
  }
  for (let count = 0; count < 60; count += 1) payIn();

  await allCredited(60_000);
  await expectConsistent();
});

test('C5: a real deadlock is untied by the database, and both sides get their work done', async () => {
  await start();
  payIn();
  await allCredited();
  const rival = await connect();
  let deadlocks = 0;
  for (let round = 0; round < 4; round += 1) {
    await rival.query('BEGIN');
    // The other way round than a batch does it.
    await rival.query('SELECT * FROM synchronizer_time FOR UPDATE');
    payIn();
    await systemClock.sleep(150);
    try {
      await rival.query('SELECT * FROM ingestion_stream FOR UPDATE');
      await rival.query('COMMIT');
    } catch (error) {
      expect(error).toMatchObject({ code: '40P01' });
      deadlocks += 1;
      await rival.query('ROLLBACK');
    }
  }

  await allCredited();
  const { rows } = await sql<{ deadlocks: bigint }>`
    SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`.execute(database.db);
  expect(deadlocks + Number(rows[0]?.deadlocks ?? 0n)).toBeGreaterThan(0);
  await expectConsistent();
});

test('C7: requests that hold every connection of the API do not hold up ingestion', async () => {
  const { databaseUrl, ...config } = loadConfig({
    DATABASE_URL: database.connectionString,
    SLUICE_LEDGER_URL: simnet.ledgerUrl(),
    SLUICE_NETWORK: NETWORK,
    SLUICE_TREASURY_PARTIES: simnet.network.party('treasury'),
    SLUICE_INSTRUMENTS: simnet.catalog.instruments.map(({ name, admin, id }) => `${name}=${admin}/${id}`).join(','),
    SLUICE_PORT: '0',
  });
  const env = {
    clock: systemClock,
    random: systemRandom,
    logger: createSystemLogger('silent'),
    failpoint: noFailpoints,
  };
  const service = await startService({ config, connectionString: databaseUrl?.reveal() ?? '', env });
  cleanUps.push(service.stop);
  payIn();
  await allCredited();

  let answered = 0;
  const flood = Array.from({ length: 30 }, async () => {
    // The ones that come too late for a connection are told so.
    await sql`SELECT pg_sleep(6)`.execute(service.db).catch(() => undefined);
    answered += 1;
  });
  await systemClock.sleep(200);
  const startedAt = systemClock.nowMicros();
  for (let count = 0; count < 5; count += 1) {
    payIn();
    await allCredited();
  }
  const ingestedMs = Number((systemClock.nowMicros() - startedAt) / 1_000n);

  expect(answered).toBe(0);
  expect(ingestedMs).toBeLessThan(5 * 1_000);
  await Promise.all(flood);
});

test('C8: a position that somebody else holds locked is waited for, with a bound on each wait, and moves on when it is free', async () => {
  await start();
  payIn();
  await allCredited();
  const holder = await connect();
  await holder.query('BEGIN');
  await holder.query('SELECT * FROM ingestion_stream FOR UPDATE');
  payIn();
  const waiting = async (): Promise<number> => {
    const { rows } = await sql<{ waiting: bigint }>`
      SELECT count(*) AS waiting FROM pg_stat_activity
      WHERE datname = current_database() AND application_name = 'test-ingestion' AND wait_event_type = 'Lock'`.execute(
      database.db,
    );
    return Number(rows[0]?.waiting ?? 0n);
  };
  await eventually(async () => expect(await waiting()).toBe(1));
  // Longer than a wait for a lock may be: it is given up and begun again, and the stream is not.
  await systemClock.sleep(6_500);
  expect(await credited()).toBe(1);
  await eventually(async () => expect(await waiting()).toBe(1));
  running[0]?.throwIfFailed();

  await holder.query('COMMIT');

  await allCredited();
  await expectConsistent();
});

test('C9: while the connection that listens is dead, subscribers see what comes a poll later, and all of it', async () => {
  const { proxy, connectionString } = await proxied();
  const { tail, stop } = await startEventLog({ ...database, connectionString });
  cleanUps.push(stop);
  const events = tail.subscribe({ after: tail.head().position });
  await append(database, draftOf('before'));
  expect((await events.next()).value?.eventId).toBe('before');

  proxy.silence();
  const lags: number[] = [];
  for (let line = 0; line < 10; line += 1) {
    const startedAt = systemClock.nowMicros();
    await append(database, draftOf(`silent-${line}`));
    expect((await events.next()).value?.eventId).toBe(`silent-${line}`);
    lags.push(Number((systemClock.nowMicros() - startedAt) / 1_000n));
  }
  proxy.speak();

  // Two polls of a quarter of a second: of the sequencer, and of the tail.
  expect(Math.max(...lags)).toBeLessThan(2_000);
  await events.return();
});

test('B1: processes whose clocks are an hour apart share a stream; what one of them leaves the other takes up at once', async () => {
  const skewed = (hours: number): Clock => ({
    ...systemClock,
    nowMicros: () => systemClock.nowMicros() + BigInt(hours) * 3_600_000_000n,
  });
  for (const hours of [1, -1, 0]) await start({ clock: skewed(hours) });
  for (let count = 0; count < 20; count += 1) payIn();
  await allCredited();

  for (const ahead of [...running]) {
    payIn();
    await allCredited();
    if (running.length === 1) break;
    running.splice(running.indexOf(ahead), 1);
    await ahead.stop();
    const startedAt = systemClock.nowMicros();
    payIn();
    await allCredited();
    // By the clock of the one that left, the lease might end in an hour.
    expect(systemClock.nowMicros() - startedAt).toBeLessThan(6_000_000n);
  }
  await expectConsistent();
});
