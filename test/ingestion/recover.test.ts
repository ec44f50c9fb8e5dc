/**
 * What an operator does when a part of history is gone for good: pruned below our position, lost in a fork, or left behind by a migration to a new participant. The stream stands still until
 * then, and what was lost is written down, booked and frozen.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { checkBooks } from '../../src/books/check-books.ts';
import { compareWithRebuild } from '../../src/ingestion/rebuild.ts';
import { COMPILE_CACHE } from '../support/compile-cache.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { type RunningIngestion, registerMemos, startIngestion } from '../support/ingestion.ts';
import { NETWORK, startTestNetwork, type TestNetwork } from '../support/network.ts';

const PATIENCE = { deadlineMs: 30_000 };
vi.setConfig({ testTimeout: 150_000 }); // Each starts the command as a process, twice or so.

let database: TestDatabase;
let simnet: TestNetwork;
let running: RunningIngestion | null = null;

beforeEach(async () => {
  database = await createTestDatabase();
  simnet = await startTestNetwork('recover', { checkpoints: { busyMs: 50, idleMs: 100 } });
  await registerMemos(database.db, NETWORK, { 'alice-memo': 'alice' });
});

afterEach(async () => {
  await stop();
  await simnet.stop();
  await database.close();
});

async function start(): Promise<void> {
  running = await startIngestion({
    connectionString: database.connectionString,
    ledgerUrl: simnet.ledgerUrl(),
    catalog: simnet.catalog,
    settings: { leaseTtlMs: 5_000, silenceMsMax: 5_000, reconnect: { attemptsMax: 8, delayMsMin: 5, delayMsMax: 50 } },
  });
}

async function stop(): Promise<void> {
  await running?.stop();
  running = null;
}

function payIn(amount: number): void {
  simnet.network.tap({ instrument: 'amulet', owner: 'alice', amount: String(amount) });
  simnet.network.transfer({
    instrument: 'amulet',
    sender: 'alice',
    receiver: 'treasury',
    amount: String(amount),
    memo: 'alice-memo',
  });
}

/** The command, as an operator gives it. */
async function recover(...options: string[]): Promise<{ readonly code: number | null; readonly report: string }> {
  const args = [
    `${import.meta.dirname}/../../src/main.ts`,
    'recover',
    'treasury',
    '--by',
    'ops',
    '--why',
    'a test',
    ...options,
  ];
  const child = spawn(process.execPath, args, {
    env: {
      PATH: process.env['PATH'],
      ...COMPILE_CACHE,
      DATABASE_URL: database.connectionString,
      SLUICE_LEDGER_URL: simnet.ledgerUrl(),
      SLUICE_LOG_LEVEL: 'error',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let report = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      report += chunk;
    });
  }
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, report };
}

const stream = () => database.db.selectFrom('ingestion_stream').selectAll().executeTakeFirstOrThrow();
const node = () => simnet.network.participant('participant1');

async function totals() {
  const { rows } = await sql<Record<'credited' | 'opening' | 'unexplained' | 'held', string> & { events: bigint }>`
    SELECT coalesce(sum(b.balance) FILTER (WHERE a.kind = 'CUSTOMER'), 0)::text AS credited,
           coalesce(sum(b.balance) FILTER (WHERE a.kind = 'OPENING'), 0)::text AS opening,
           coalesce(sum(b.balance) FILTER (WHERE a.kind = 'UNEXPLAINED'), 0)::text AS unexplained,
           (SELECT coalesce(sum(amount::numeric), 0)::text FROM holding WHERE archived_update_id IS NULL) AS held,
           (SELECT count(*) FROM event_outbox WHERE type LIKE 'deposit.%') AS events
    FROM account_balance b JOIN account a ON a.id = b.account_id`.execute(database.db);
  const [row] = rows;
  if (row === undefined) throw new Error('No row.');
  return row;
}

const become = (expected: Partial<Awaited<ReturnType<typeof totals>>>) =>
  eventually(async () => {
    running?.throwIfFailed();
    expect(await totals()).toMatchObject(expected);
  }, PATIENCE);

const halted = (code: string) =>
  eventually(async () => {
    running?.throwIfFailed();
    expect(await stream()).toMatchObject({ status: 'HALTED', status_reason: expect.stringContaining(code) });
  }, PATIENCE);

async function expectConsistent(): Promise<void> {
  for (const treasury of running?.treasuries ?? []) {
    expect((await compareWithRebuild(database.db, treasury)).differences).toEqual([]);
  }
  expect(await checkBooks(database.db)).toEqual([]);
  expect(await database.db.selectFrom('quarantine').selectAll().execute()).toEqual([]);
  expect((await totals()).held).toBe(simnet.network.balance({ instrument: 'amulet', owner: 'treasury' }));
}

const gaps = () => database.db.selectFrom('history_gap').selectAll().execute();
const freezes = () =>
  database.db.selectFrom('money_freeze').select(['reason', 'opened_by']).where('lifted_at', 'is', null).execute();

test('A16: behind a pruned gap an operator goes on: what came is opening, what went unexplained, the gap is written down and the treasury frozen', async () => {
  await start();
  payIn(1);
  payIn(2);
  await become({ credited: '3.0000000000' });
  await stop();
  // In the gap: our two holdings become one, and a deposit comes that nobody will ever see as one.
  simnet.network.merge({ instrument: 'amulet', owner: 'treasury' });
  payIn(4);
  node().prune(node().ledgerEnd());
  payIn(8);
  await start();
  await halted('PARTICIPANT_PRUNED_DATA_ACCESSED');
  await stop();

  const plan = await recover();
  expect(plan.code, plan.report).toBe(0);
  expect(plan.report).toMatch(/2 contracts of ours are gone/);
  expect(plan.report).toMatch(/2 holdings are new/);
  expect(plan.report).toMatch(/Nothing was changed/);
  expect(await gaps()).toEqual([]);
  const done = await recover('--yes');
  expect(done.code, done.report).toBe(0);
  await start();

  await become({ credited: '11.0000000000', opening: '7.0000000000', unexplained: '-3.0000000000', events: 3n });
  await expectConsistent();
  expect(await gaps()).toMatchObject([
    { epoch: 2, contracts_vanished: 2, contracts_appeared: 2, recorded_by: 'ops', pruned_offset: node().prunedUpTo() },
  ]);
  expect(await freezes()).toEqual([{ reason: 'HISTORY_GAP', opened_by: 'ops' }]);
  await stop();
  payIn(16);
  await start();
  await become({ credited: '27.0000000000' });
  await expectConsistent();
});

test('B7: a hard migration halts the stream; recovered, its imports credit nobody, nothing is announced, and holdings are as before', async () => {
  await start();
  for (let amount = 1; amount <= 12; amount += 1) payIn(amount);
  await become({ credited: '78.0000000000' });
  const before = await totals();
  simnet.network.migrate({ from: 'participant1', to: { name: 'participant3' }, contractsPerUpdate: 3 });
  simnet.endpoints.switch('participant1', 'participant3');
  payIn(100);
  await halted('UPDATE_MISSING');
  expect(await totals()).toEqual(before);
  await stop();

  const done = await recover('--yes');
  expect(done.code, done.report).toBe(0);
  expect(done.report).toMatch(/0 contracts of ours are gone/);
  expect(done.report).toMatch(/0 holdings are new/);
  await start();

  await become({ credited: '178.0000000000', opening: '0', unexplained: '0', events: before.events + 1n });
  await expectConsistent();
  expect(await stream()).toMatchObject({
    epoch: 2,
    participant_id: simnet.network.participant('participant3').participantId,
  });
});

test('B7: imports among the updates that a stream reads credit nobody either, known contracts or not', async () => {
  payIn(1);
  payIn(2);
  const added = simnet.network.addParticipant({ name: 'participant3' });
  simnet.network.importParties({ parties: ['treasury'], to: 'participant3' });
  simnet.endpoints.switch('participant1', 'participant3');
  await start();
  payIn(4);

  await become({ opening: '3.0000000000', credited: '4.0000000000', events: 1n });
  await expectConsistent();
  expect(await stream()).toMatchObject({ participant_id: added.participantId, epoch: 1 });
});

test('B9: a fork that lost updates of ours halts the stream; recovered, what they brought is unexplained and gone', async () => {
  await start();
  payIn(1);
  payIn(2);
  payIn(4);
  await become({ credited: '7.0000000000' });
  simnet.network.fork(1);
  payIn(8);
  await halted('UPDATE_MISSING');
  await stop();

  const done = await recover('--yes');
  expect(done.code, done.report).toBe(0);
  await start();
  await become({ credited: '15.0000000000', unexplained: '-4.0000000000' });
  await expectConsistent();
  expect(await freezes()).toEqual([{ reason: 'HISTORY_GAP', opened_by: 'ops' }]);
});

test('a stream that a worker follows is not recovered', async () => {
  await start();
  payIn(1);
  await become({ credited: '1.0000000000' });

  const refused = await recover('--yes');
  expect(refused.code).toBe(69);
  expect(refused.report).toMatch(/STREAM_IN_USE/);
  expect(await gaps()).toEqual([]);
});
