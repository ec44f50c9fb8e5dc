/**
 * Several processes share the streams of several treasuries; one of them stands still in the middle of a transaction for longer than its lease, and one is killed. Real processes, as
 * `serve --role worker` runs them. Row ids of the failure catalogue stand in the names.
 */
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { checkBooks } from '../../src/books/check-books.ts';
import { systemClock } from '../../src/env/system.ts';
import { registerCatalog } from '../../src/ingestion/catalog.ts';
import { compareWithRebuild } from '../../src/ingestion/rebuild.ts';
import { type SluiceProcess, startProcess } from '../e2e/sluice-process.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { registerMemos } from '../support/ingestion.ts';
import { NETWORK, startTestNetwork, type TestNetwork } from '../support/network.ts';

const TREASURIES = ['treasury', 'second', 'third', 'fourth'];
const LEASE_SECONDS = 2;
vi.setConfig({ testTimeout: 90_000 }); // Six starts of a process, on a machine that may be busy.

let database: TestDatabase;
let simnet: TestNetwork;
let directory: string;
const running: SluiceProcess[] = [];
let paid = 0;

beforeEach(async () => {
  database = await createTestDatabase();
  directory = await mkdtemp(join(tmpdir(), 'sluice-zombie-'));
  simnet = await startTestNetwork('zombie', {
    parties: TREASURIES.slice(1).map((hint) => ({ hint, on: ['participant1', 'participant2'] })),
  });
  for (const receiver of TREASURIES.slice(1)) simnet.network.preapprove({ instrument: 'amulet', receiver });
  await registerMemos(database.db, NETWORK, { 'alice-memo': 'alice' });
  paid = 0;
});

afterEach(async () => {
  for (const { child, exited } of running.splice(0)) {
    child.kill('SIGKILL');
    await exited;
  }
  await simnet.stop();
  await database.close();
  await rm(directory, { recursive: true });
});

async function start(name: string, environment: Readonly<Record<string, string>> = {}): Promise<SluiceProcess> {
  const process_ = startProcess(process.execPath, ['test/support/service-child.ts'], {
    DATABASE_URL: database.connectionString,
    SLUICE_LEDGER_URL: simnet.ledgerUrl(),
    SLUICE_NETWORK: NETWORK,
    SLUICE_TREASURY_PARTIES: TREASURIES.map((hint) => simnet.network.party(hint)).join(','),
    SLUICE_INSTRUMENTS: simnet.catalog.instruments.map(({ name, admin, id }) => `${name}=${admin}/${id}`).join(','),
    SLUICE_LEASE_SECONDS: String(LEASE_SECONDS),
    SLUICE_ROLE: 'worker',
    SLUICE_LOG_LEVEL: 'warn',
    STOP_AT: 'ingestion.afterEffectsBeforeCommit',
    STOP_FILE: join(directory, name),
    ...environment,
  });
  running.push(process_);
  await process_.waitFor(/^ready/m);
  return process_;
}

/** One deposit to each treasury. */
function payIn(): void {
  for (const receiver of TREASURIES) {
    simnet.network.tap({ instrument: 'amulet', owner: 'alice', amount: '1' });
    simnet.network.transfer({ instrument: 'amulet', sender: 'alice', receiver, amount: '1', memo: 'alice-memo' });
    paid += 1;
  }
}

async function credited(): Promise<number> {
  const { rows } = await sql<{ total: string | null }>`
    SELECT sum(b.balance)::text AS total FROM account_balance b JOIN account a ON a.id = b.account_id WHERE a.kind = 'CUSTOMER'`.execute(
    database.db,
  );
  return Number(rows[0]?.total ?? 0);
}

/** Process id → how many streams it holds. */
async function held(): Promise<Readonly<Record<string, number>>> {
  const { rows } = await sql<{ holder: string }>`
    SELECT holder FROM lease WHERE name LIKE 'ingestion:%' AND expires_at > extract(epoch FROM clock_timestamp()) * 1000000`.execute(
    database.db,
  );
  const counts: Record<string, number> = {};
  for (const { holder } of rows) {
    const pid = holder.split(':')[1] ?? '';
    counts[pid] = (counts[pid] ?? 0) + 1;
  }
  return counts;
}

const allCredited = () =>
  eventually(async () => expect(await credited()).toBe(paid), { deadlineMs: 30_000, intervalMs: 100 });
const holds = (expected: Readonly<Record<string, number>>) =>
  eventually(async () => expect(await held()).toEqual(expected), { deadlineMs: 30_000, intervalMs: 100 });

async function expectConsistent(): Promise<void> {
  for (const treasury of await registerCatalog(database.db, catalog())) {
    expect((await compareWithRebuild(database.db, treasury)).differences).toEqual([]);
  }
  expect(await checkBooks(database.db)).toEqual([]);
}

const catalog = () => ({
  ...simnet.catalog,
  treasuries: TREASURIES.map((hint) => ({ name: hint, party: simnet.network.party(hint) })),
});

async function isStopped({ pid }: SluiceProcess): Promise<boolean> {
  return / T /.test((await readFile(`/proc/${pid}/stat`, 'utf8')).replace(/\(.*\)/, ''));
}

test.skipIf(!existsSync('/proc/self/stat'))(
  'D2, D3: a process that stands still in a transaction for longer than its lease loses its streams to the other, blocks nobody, and writes nothing twice when it goes on',
  async () => {
    const first = await start('first');
    payIn();
    await holds({ [first.pid]: 4 });
    const second = await start('second');
    // Who was alone gives half of it to the one that came.
    await holds({ [first.pid]: 2, [second.pid]: 2 });
    payIn();
    await allCredited();

    await writeFile(join(directory, 'first'), '');
    payIn();
    await eventually(async () => expect(await isStopped(first)).toBe(true), { deadlineMs: 10_000 });
    const stoppedAt = systemClock.nowMicros();
    payIn();
    await allCredited();
    const takenOverMs = Number((systemClock.nowMicros() - stoppedAt) / 1_000n);
    await holds({ [second.pid]: 4 });
    expect(await isStopped(first)).toBe(true);
    payIn();
    await allCredited();

    first.child.kill('SIGCONT');
    for (let round = 0; round < 5; round += 1) {
      payIn();
      await systemClock.sleep(300);
    }
    await allCredited();
    // The one that stood still takes its part again; both are alive and well.
    await holds({ [first.pid]: 2, [second.pid]: 2 });
    payIn();
    await allCredited();

    await expectConsistent();
    expect((await database.db.selectFrom('quarantine').selectAll().execute()).length).toBe(0);
    // The lease, a look each second, and what a busy machine adds.
    expect(takenOverMs).toBeLessThan(LEASE_SECONDS * 1_000 + 6_000);
  },
);

test('D1: the streams of a process that is killed go on in the other within the lease', async () => {
  const first = await start('first');
  const second = await start('second');
  await holds({ [first.pid]: 2, [second.pid]: 2 });
  payIn();
  await allCredited();

  first.child.kill('SIGKILL');
  const killedAt = systemClock.nowMicros();
  payIn();
  await allCredited();

  expect(Number((systemClock.nowMicros() - killedAt) / 1_000n)).toBeLessThan(LEASE_SECONDS * 1_000 + 6_000);
  await holds({ [second.pid]: 4 });
  await expectConsistent();
});

test('D8: the streams of a process that ends in order are taken over at once', async () => {
  const first = await start('first');
  const second = await start('second');
  await holds({ [first.pid]: 2, [second.pid]: 2 });

  await first.stop();

  expect(Object.keys(await held())).not.toContain(String(first.pid));
  payIn();
  await allCredited();
  await holds({ [second.pid]: 4 });
});

test('D7: a process whose event loop is blocked in a transaction for longer than its lease is as harmless, and recovers by itself', async () => {
  const first = await start('first', { BLOCK_MS: '6000' });
  const second = await start('second');
  await holds({ [first.pid]: 2, [second.pid]: 2 });
  payIn();
  await allCredited();

  await writeFile(join(directory, 'first'), '');
  payIn();
  await eventually(() => expect(existsSync(join(directory, 'first'))).toBe(false), { deadlineMs: 10_000 });
  for (let round = 0; round < 10; round += 1) {
    payIn();
    await systemClock.sleep(800);
  }
  await allCredited();

  await holds({ [first.pid]: 2, [second.pid]: 2 });
  payIn();
  await allCredited();
  await expectConsistent();
});
