/**
 * Two builds of Sluice on one database: the one that is checked out, and a copy of it with one migration more, as the next release has. Both work side by side during a rolling deploy; the
 * older one, once it has ended, is not let in again.
 */
import { createHash } from 'node:crypto';
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { checkBooks } from '../../src/books/check-books.ts';
import { systemClock } from '../../src/env/system.ts';
import { registerCatalog } from '../../src/ingestion/catalog.ts';
import { compareWithRebuild } from '../../src/ingestion/rebuild.ts';
import { PROJECT, type SluiceProcess, startProcess } from '../e2e/sluice-process.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { registerMemos } from '../support/ingestion.ts';
import { NETWORK, startTestNetwork, type TestNetwork } from '../support/network.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 }); // Five starts of a process, on a machine that may be busy.

const PATIENCE = { deadlineMs: 60_000, intervalMs: 100 };
/** As a release expands: a column that old code leaves alone, a table and an index that it does not know. */
const NEXT_MIGRATION = `
  ALTER TABLE transfer ADD COLUMN note_of_the_next_release text;
  CREATE TABLE of_the_next_release (transfer_id text PRIMARY KEY);
  CREATE INDEX transfer_of_the_next_release ON transfer (note_of_the_next_release);`;

let database: TestDatabase;
let simnet: TestNetwork;
let nextBuild: string;
let paid: number;
const started: SluiceProcess[] = [];

beforeEach(async () => {
  paid = 0;
  database = await createTestDatabase();
  simnet = await startTestNetwork('two-builds', {
    parties: [{ hint: 'second', on: ['participant1', 'participant2'] }],
    checkpoints: { busyMs: 100, idleMs: 200 },
  });
  simnet.network.preapprove({ instrument: 'amulet', receiver: 'second' });
  await registerMemos(database.db, NETWORK, { 'alice-memo': 'alice' });
  nextBuild = await mkdtemp(join(tmpdir(), 'sluice-next-build-'));
  for (const part of ['src', 'migrations', 'package.json']) {
    await cp(join(PROJECT, part), join(nextBuild, part), { recursive: true });
  }
  await symlink(join(PROJECT, 'node_modules'), join(nextBuild, 'node_modules'));
  const lockFile = join(nextBuild, 'migrations/lock.json');
  const lock = JSON.parse(await readFile(lockFile, 'utf8'));
  const name = `${String(Object.keys(lock).length + 1).padStart(4, '0')}_next_release.sql`;
  await writeFile(join(nextBuild, 'migrations', name), NEXT_MIGRATION);
  const sha256 = createHash('sha256').update(NEXT_MIGRATION).digest('hex');
  await writeFile(lockFile, JSON.stringify({ ...lock, [name]: sha256 }));
});

afterEach(async () => {
  for (const { child, exited } of started.splice(0)) {
    child.kill('SIGKILL');
    await exited;
  }
  await simnet.stop();
  await database.close();
  await rm(nextBuild, { recursive: true });
});

const treasuries = () => ['treasury', 'second'];

/** @param build the folder of its sources. */
function start(build: string, ...args: readonly string[]): SluiceProcess {
  const begun = startProcess(process.execPath, [join(build, 'src/main.ts'), ...args], {
    DATABASE_URL: database.connectionString,
    SLUICE_LEDGER_URL: simnet.ledgerUrl(),
    SLUICE_NETWORK: NETWORK,
    SLUICE_TREASURY_PARTIES: treasuries()
      .map((name) => `${name}=${simnet.network.party(name)}`)
      .join(','),
    SLUICE_INSTRUMENTS: simnet.catalog.instruments.map(({ name, admin, id }) => `${name}=${admin}/${id}`).join(','),
    SLUICE_LEASE_SECONDS: '2',
    SLUICE_PORT: '0',
    SLUICE_LOG_LEVEL: 'error',
  });
  started.push(begun);
  return begun;
}

function payIn(): void {
  for (const receiver of treasuries()) {
    simnet.network.tap({ instrument: 'amulet', owner: 'alice', amount: '1' });
    simnet.network.transfer({ instrument: 'amulet', sender: 'alice', receiver, amount: '1', memo: 'alice-memo' });
    paid += 1;
  }
}

async function payInUntil(isOver: () => boolean): Promise<void> {
  while (!isOver()) {
    payIn();
    await systemClock.sleep(50);
  }
}

const allCredited = () =>
  eventually(async () => {
    const { rows } = await sql<{ total: string | null; announced: bigint }>`
      SELECT sum(b.balance)::text AS total, (SELECT count(*) FROM event WHERE type = 'deposit.credited') AS announced
      FROM account_balance b JOIN account a ON a.id = b.account_id WHERE a.kind = 'CUSTOMER'`.execute(database.db);
    expect(Number(rows[0]?.total ?? 0)).toBe(paid);
    expect(rows[0]?.announced).toBe(BigInt(paid));
  }, PATIENCE);

/** Process ids of those that hold a stream. */
async function holders(): Promise<readonly number[]> {
  const { rows } = await sql<{ holder: string }>`
    SELECT holder FROM lease WHERE name ~ '^ingestion:[0-9]+$' AND expires_at > extract(epoch FROM clock_timestamp()) * 1000000`.execute(
    database.db,
  );
  return [...new Set(rows.map(({ holder }) => Number(holder.split(':')[1])))].sort((a, b) => a - b);
}

const heldBy = (...processes: readonly SluiceProcess[]) =>
  eventually(
    async () => expect(await holders()).toEqual(processes.map(({ pid }) => pid).sort((a, b) => a - b)),
    PATIENCE,
  );

test('B11, D4: two builds share the streams of one database while the newer one migrates it; the older one is not let in again', async () => {
  const older = start(PROJECT, 'serve');
  const [, url = ''] = await older.waitFor(/Sluice serves (http:\S+)\/graphql/);
  payIn();
  await heldBy(older);

  const migrating = start(nextBuild, 'migrate');
  await payInUntil(() => migrating.child.exitCode !== null);
  expect(await migrating.exited, migrating.stderr()).toMatchObject({ code: 0 });
  const newer = start(nextBuild, 'serve');
  await newer.waitFor(/Sluice serves/);
  await heldBy(older, newer);
  const end = systemClock.nowMicros() + 1_000_000n;
  await payInUntil(() => systemClock.nowMicros() > end);
  await allCredited();
  expect(await (await fetch(`${url}/readyz`)).json()).toEqual({ status: 'ready' });

  // Where the older one falls, the newer one has all of it; and a server that somebody forgot, and that comes up again, has nothing.
  older.child.kill('SIGKILL');
  await older.exited;
  payIn();
  await heldBy(newer);
  const forgotten = start(PROJECT, 'serve');
  expect(await forgotten.exited).toMatchObject({ code: 69 });
  expect(forgotten.stderr()).toMatch(/MIGRATION_UNKNOWN: .*_next_release: start that version/);
  const migratingBack = start(PROJECT, 'migrate');
  expect(await migratingBack.exited).toMatchObject({ code: 69 });
  await allCredited();

  for (const treasury of await registerCatalog(database.db, {
    ...simnet.catalog,
    treasuries: treasuries().map((name) => ({ name, party: simnet.network.party(name) })),
  })) {
    expect((await compareWithRebuild(database.db, treasury)).differences).toEqual([]);
  }
  expect(await checkBooks(database.db)).toEqual([]);
  expect(await holders()).toEqual([newer.pid]);
});
