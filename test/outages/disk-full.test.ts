/**
 * A database whose disk is full: what was begun is undone, nothing is remembered that was not written, and when there is room again it goes on without repair. As root on a real, small file system;
 * else the database says so by itself, on every table that grows.
 */
import { execFile } from 'node:child_process';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { sql } from 'kysely';
import { afterEach, expect, test, vi } from 'vitest';
import { checkBooks } from '../../src/books/check-books.ts';
import { createDatabase, type Database } from '../../src/db/connection.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/db/embedded.ts';
import { migrate } from '../../src/db/migrate.ts';
import { createSystemLogger, systemClock, systemRandom } from '../../src/env/system.ts';
import { compareWithRebuild } from '../../src/ingestion/rebuild.ts';
import { createTestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { type RunningIngestion, registerMemos, startIngestion } from '../support/ingestion.ts';
import { NETWORK, startTestNetwork, type TestNetwork } from '../support/network.ts';

vi.setConfig({ testTimeout: 150_000 });

const PATIENCE = { deadlineMs: 60_000, intervalMs: 100 };
const DISK_MB = 200;
const run = promisify(execFile);
const env = { clock: systemClock, random: systemRandom, logger: createSystemLogger('silent') };
const cleanUps: (() => Promise<unknown>)[] = [];
let paid = 0;

afterEach(async () => {
  paid = 0;
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

/** A file system of its own that can be filled without harm; null where we may not make one. */
async function smallDisk(): Promise<string | null> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-disk-'));
  cleanUps.push(() => rm(folder, { recursive: true }));
  const isMounted = await run('mount', ['-t', 'tmpfs', '-o', `size=${DISK_MB}m,mode=755`, 'tmpfs', folder]).then(
    () => true,
    () => false,
  );
  if (!isMounted) return null;
  cleanUps.push(() => run('umount', [folder]));
  await chmod(folder, 0o755); // The server may run as another user.
  return folder;
}

async function start(connectionString: string, simnet: TestNetwork): Promise<RunningIngestion> {
  const ingestion = await startIngestion({
    connectionString,
    ledgerUrl: simnet.ledgerUrl(),
    catalog: simnet.catalog,
    settings: { leaseTtlMs: 600, reconnect: { attemptsMax: 10_000, delayMsMin: 5, delayMsMax: 200 } },
  });
  cleanUps.push(ingestion.stop);
  return ingestion;
}

async function startNetwork(): Promise<TestNetwork> {
  const simnet = await startTestNetwork('disk', { checkpoints: { busyMs: 50, idleMs: 200 } });
  cleanUps.push(simnet.stop);
  return simnet;
}

function payIn({ network }: TestNetwork, count: number): void {
  for (let each = 0; each < count; each += 1) {
    network.tap({ instrument: 'amulet', owner: 'alice', amount: '1' });
    const payment = { instrument: 'amulet', sender: 'alice', receiver: 'treasury', amount: '1', memo: 'alice-memo' };
    network.transfer(payment);
    paid += 1;
  }
}

async function credited(db: Database): Promise<number> {
  const { rows } = await sql<{ total: string | null }>`
    SELECT sum(b.balance)::text AS total FROM account_balance b JOIN account a ON a.id = b.account_id WHERE a.kind = 'CUSTOMER'`.execute(
    db,
  );
  return Number(rows[0]?.total ?? 0);
}

async function expectRecovered(db: Database, ingestion: RunningIngestion): Promise<void> {
  await eventually(async () => {
    ingestion.throwIfFailed();
    expect(await credited(db)).toBe(paid);
  }, PATIENCE);
  for (const treasury of ingestion.treasuries) {
    expect((await compareWithRebuild(db, treasury)).differences).toEqual([]);
  }
  expect(await checkBooks(db)).toEqual([]);
  expect(await db.selectFrom('quarantine').selectAll().execute()).toEqual([]);
}

test('C6: while the disk of the database is full nothing is half done, and when there is room again it goes on by itself', async (context) => {
  const disk = await smallDisk();
  if (disk === null) return context.skip('making a small file system takes root');
  const settings = { max_wal_size: '48MB', shared_buffers: '16MB' };
  const startServer = (atPort: number): Promise<EmbeddedPostgres> =>
    startEmbeddedPostgres({ baseDirectory: disk, name: 'small', port: atPort, settings, ...env });
  let server = await startServer(0);
  cleanUps.push(() => server.stop());
  const { connectionString, port } = server;
  await migrate({ connectionString, logger: env.logger });
  const own = createDatabase({ connectionString, applicationName: 'test', poolSizeMax: 1, logger: env.logger });
  cleanUps.push(own.close);
  const { db } = own;
  await registerMemos(db, NETWORK, { 'alice-memo': 'alice' });
  const simnet = await startNetwork();
  const ingestion = await start(connectionString, simnet);

  for (let round = 0; round < 2; round += 1) {
    payIn(simnet, 5);
    await expectRecovered(db, ingestion);
    const filler = join(disk, 'filler');
    // Until not a byte more goes in: what says so is the aim.
    await run('dd', ['if=/dev/zero', `of=${filler}`, 'bs=64k']).catch(() => undefined);
    await expect(
      sql`CREATE TABLE too_much AS SELECT repeat(n::text, 500) FROM generate_series(1, 20000) AS n`.execute(db),
    ).rejects.toMatchObject({ cause: { code: '53100' } });
    payIn(simnet, 200);
    await systemClock.sleep(3_000);
    const meanwhile = await credited(db).catch(() => null);
    expect(meanwhile ?? 0).toBeLessThan(paid);

    await rm(filler);
    // Where not even its log could be written the server has ended: whoever keeps it starts it again.
    const hasEnded = await Promise.race([server.exited.then(() => true), systemClock.sleep(500).then(() => false)]);
    if (hasEnded) server = await startServer(port);
    await expectRecovered(db, ingestion);
  }
});

test('C6: a disk that is full for some tables and not for others leaves no partial effect', async () => {
  const database = await createTestDatabase();
  cleanUps.push(database.close);
  const { db, connectionString } = database;
  await registerMemos(db, NETWORK, { 'alice-memo': 'alice' });
  const simnet = await startNetwork();
  const ingestion = await start(connectionString, simnet);
  payIn(simnet, 3);
  await expectRecovered(db, ingestion);
  await sql`CREATE FUNCTION is_full() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$`.execute(db);

  for (const table of ['ledger_update', 'holding', 'transfer', 'posting', 'event_outbox', 'stream_crash']) {
    await sql`CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON ${sql.table(table)} EXECUTE FUNCTION is_full()`.execute(
      db,
    );
    const before = await credited(db);
    payIn(simnet, 3);
    await systemClock.sleep(400);
    ingestion.throwIfFailed();
    if (table !== 'stream_crash') expect(await credited(db)).toBe(before);

    await sql`DROP TRIGGER full_disk ON ${sql.table(table)}`.execute(db);
    await expectRecovered(db, ingestion);
  }
});
