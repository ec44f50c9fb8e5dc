/** What `recover` refuses, and what a stream that went on behind a gap of history makes of further changes of its participant: the gap is booked once. */
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { checkBooks } from '../../src/books/check-books.ts';
import { createTreasurySink } from '../../src/books/treasury-sink.ts';
import { createLeases } from '../../src/db/lease.ts';
import { createDepositSink } from '../../src/deposits/deposit-sink.ts';
import { noFailpoints } from '../../src/env/failpoint.ts';
import { createSystemLogger, systemClock } from '../../src/env/system.ts';
import { createBatchWriter } from '../../src/ingestion/batch-writer.ts';
import type { Treasury } from '../../src/ingestion/effect-sink.ts';
import { claimStream } from '../../src/ingestion/position.ts';
import { compareWithRebuild } from '../../src/ingestion/rebuild.ts';
import { planRecovery, type RecoveryPlan, recover, requireRecoverable } from '../../src/ingestion/recover.ts';
import { createLedgerClient } from '../../src/ledger/ledger-client.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { type IngestionOptions, type RunningIngestion, registerMemos, startIngestion } from '../support/ingestion.ts';
import { NETWORK, startTestNetwork, type TestNetwork } from '../support/network.ts';

const PATIENCE = { deadlineMs: 30_000 };
vi.setConfig({ testTimeout: 120_000 });

let database: TestDatabase;
let simnet: TestNetwork;
let treasury: Treasury;
const running: RunningIngestion[] = [];
const logger = createSystemLogger('silent');

beforeEach(async () => {
  database = await createTestDatabase();
  simnet = await startTestNetwork('gap', { checkpoints: { busyMs: 50, idleMs: 100 } });
  await registerMemos(database.db, NETWORK, { 'alice-memo': 'alice' });
});

afterEach(async () => {
  await stop();
  await simnet.stop();
  await database.close();
});

async function start(options: Partial<IngestionOptions> = {}): Promise<void> {
  const ingestion = await startIngestion({
    connectionString: database.connectionString,
    ledgerUrl: simnet.ledgerUrl(),
    catalog: simnet.catalog,
    settings: { leaseTtlMs: 2_000, silenceMsMax: 5_000, reconnect: { attemptsMax: 20, delayMsMin: 5, delayMsMax: 50 } },
    ...options,
  });
  running.push(ingestion);
  const [first] = ingestion.treasuries;
  if (first === undefined) throw new Error('No treasury.');
  treasury = first;
}

async function stop(): Promise<void> {
  for (const one of running.splice(0)) await one.stop();
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

const node = () => simnet.network.participant('participant1');
const stream = () => database.db.selectFrom('ingestion_stream').selectAll().executeTakeFirstOrThrow();

async function totals() {
  const { rows } = await sql<Record<'credited' | 'opening' | 'unexplained' | 'held', string>>`
    SELECT coalesce(sum(b.balance) FILTER (WHERE a.kind = 'CUSTOMER'), 0)::text AS credited,
           coalesce(sum(b.balance) FILTER (WHERE a.kind = 'OPENING'), 0)::text AS opening,
           coalesce(sum(b.balance) FILTER (WHERE a.kind = 'UNEXPLAINED'), 0)::text AS unexplained,
           (SELECT coalesce(sum(amount::numeric), 0)::text FROM holding WHERE archived_update_id IS NULL) AS held
    FROM account_balance b JOIN account a ON a.id = b.account_id`.execute(database.db);
  const [row] = rows;
  if (row === undefined) throw new Error('No row.');
  return row;
}

const become = (expected: Partial<Awaited<ReturnType<typeof totals>>>) =>
  eventually(async () => {
    for (const one of running) one.throwIfFailed();
    expect(await totals()).toMatchObject(expected);
  }, PATIENCE);

const halted = (code: string) =>
  eventually(async () => {
    for (const one of running) one.throwIfFailed();
    expect(await stream()).toMatchObject({ status: 'HALTED', status_reason: expect.stringContaining(code) });
  }, PATIENCE);

async function expectConsistent(): Promise<void> {
  expect((await compareWithRebuild(database.db, treasury)).differences).toEqual([]);
  expect(await checkBooks(database.db)).toEqual([]);
  expect(await database.db.selectFrom('quarantine').selectAll().execute()).toEqual([]);
  expect((await totals()).held).toBe(simnet.network.balance({ instrument: 'amulet', owner: 'treasury' }));
}

async function makePlan(index = 0): Promise<RecoveryPlan> {
  const ledger = createLedgerClient({ url: simnet.ledgerUrl(index) });
  try {
    const { signal } = new AbortController();
    return await planRecovery({ db: database.db, ledger, treasury, clock: systemClock, listenMs: 500, signal });
  } finally {
    ledger.close();
  }
}

async function carryOut(plan: RecoveryPlan): Promise<void> {
  const { db } = database;
  requireRecoverable(plan);
  const leases = createLeases({ db });
  const lease = await leases.acquire({ name: `ingestion:${treasury.id}`, holder: 'test', ttlMs: 60_000 });
  if (lease === null) throw new Error('No lease.');
  try {
    const sinks = [createDepositSink({ clock: systemClock }), createTreasurySink()];
    const writer = createBatchWriter({ db, treasury, sinks, clock: systemClock, logger, failpoint: noFailpoints });
    const position = await claimStream(db, treasury, lease.token);
    await recover({ db, treasury, writer, clock: systemClock, by: 'ops', why: 'a test' }, position, plan);
  } finally {
    await leases.release(lease);
  }
}

/** Two deposits are known, one of 4 and a merge lie in the gap; the stream stands halted. */
async function untilHaltedAtGap(): Promise<void> {
  await start();
  payIn(1);
  payIn(2);
  await become({ credited: '3.0000000000' });
  await stop();
  payIn(4);
  simnet.network.merge({ instrument: 'amulet', owner: 'treasury' });
  node().prune(node().ledgerEnd());
  await start();
  await halted('PARTICIPANT_PRUNED_DATA_ACCESSED');
  await stop();
}

test('A16, A17: what is booked behind a gap is not read again before it: another participant halts the stream, and a second recovery goes on', async () => {
  await untilHaltedAtGap();
  await carryOut(await makePlan());
  const before = await totals();
  expect(before).toMatchObject({ credited: '3.0000000000', opening: '7.0000000000', unexplained: '-3.0000000000' });
  await start({ ledgerUrl: simnet.ledgerUrl(1) });

  await halted('NO_ANCHOR');
  expect(await totals()).toEqual(before);
  await stop();

  const plan = await makePlan(1);
  expect([plan.vanished, plan.appeared]).toEqual([[], []]);
  await carryOut(plan);
  await start({ ledgerUrl: simnet.ledgerUrl(1) });
  payIn(8);
  await become({ ...before, credited: '11.0000000000', held: '15.0000000000' });
  await expectConsistent();
});

test('A16, A17: an update received behind a gap is an anchor, and reading begins at it, not before the gap', async () => {
  await untilHaltedAtGap();
  await carryOut(await makePlan());
  await start();
  payIn(8);
  await become({ credited: '11.0000000000' });
  await stop();
  const before = await totals();
  await start({ ledgerUrl: simnet.ledgerUrl(1) });
  payIn(16);

  await become({ ...before, credited: '27.0000000000', held: '31.0000000000' });
  await expectConsistent();
  expect(await stream()).toMatchObject({ epoch: 3, status: 'RUNNING' });
});

test('A16: a gap behind which there is nothing leaves the stream where reading goes on, and the next start resumes', async () => {
  simnet.network.preapprove({ instrument: 'amulet', receiver: 'bob' });
  await start();
  payIn(1);
  simnet.network.transfer({ instrument: 'amulet', sender: 'treasury', receiver: 'bob', amount: '1' });
  await eventually(async () => {
    expect(await totals()).toMatchObject({ credited: '1.0000000000', held: '0' });
  }, PATIENCE);
  await stop();
  payIn(2);
  simnet.network.transfer({ instrument: 'amulet', sender: 'treasury', receiver: 'bob', amount: '2' });
  node().prune(node().ledgerEnd());
  await start();
  await halted('PARTICIPANT_PRUNED_DATA_ACCESSED');
  await stop();
  const plan = await makePlan();
  expect([plan.vanished, plan.active.events]).toEqual([[], []]);
  await carryOut(plan);
  expect((await stream()).ledger_offset).toBe(plan.offset);

  await start();
  payIn(4);
  await become({ credited: '5.0000000000', opening: '0', held: '4.0000000000' });
  await expectConsistent();
});

test('A13: a participant that only lags behind is not recovered from: what it lacks would come again', async () => {
  await start();
  payIn(1);
  payIn(2);
  payIn(4);
  await become({ credited: '7.0000000000' });
  await stop();
  node().restore({ updatesBack: 2, catchUp: 'held' });
  await database.db.updateTable('ingestion_stream').set({ status: 'HALTED' }).execute();
  const plan = await makePlan();

  await expect(carryOut(plan)).rejects.toMatchObject({ code: 'PARTICIPANT_BEHIND' });
  expect(await stream()).toMatchObject({ status: 'HALTED', epoch: 1 });
  node().intake.release({ everyMs: 5 });
  await start();
  payIn(8);
  await become({ credited: '15.0000000000' });
  await expectConsistent();
});

test('B9: a fork that took a spend back is not recovered from: the plan names what is there again', async () => {
  await start();
  payIn(1);
  payIn(2);
  await become({ credited: '3.0000000000' });
  const { rows: spent } = await sql<{ id: string }>`SELECT contract_id AS id FROM holding ORDER BY id`.execute(
    database.db,
  );
  simnet.network.merge({ instrument: 'amulet', owner: 'treasury' });
  await eventually(async () => {
    const { rows } = await sql`SELECT 1 FROM holding WHERE archived_update_id IS NULL`.execute(database.db);
    expect(rows).toHaveLength(1);
  }, PATIENCE);
  await stop();
  node().restore({ updatesBack: 1, losesTail: true });
  simnet.network.tap({ instrument: 'amulet', owner: 'alice', amount: '1' });
  await start();
  await halted('UPDATE_MISSING');
  await stop();
  const plan = await makePlan();

  expect(plan.revived).toEqual(spent.map(({ id }) => id));
  await expect(carryOut(plan)).rejects.toMatchObject({ code: 'SPENDS_TAKEN_BACK' });
  expect(await stream()).toMatchObject({ status: 'HALTED', epoch: 1 });
});

test('only a halted stream is recovered, and only as it was when the plan was made', async () => {
  await untilHaltedAtGap();
  const plan = await makePlan();
  await database.db.updateTable('ingestion_stream').set({ status: 'RUNNING' }).execute();
  await expect(makePlan().then(carryOut)).rejects.toMatchObject({ code: 'NOT_HALTED' });

  await sql`UPDATE ingestion_stream SET ledger_offset = ledger_offset + 1`.execute(database.db);
  await expect(carryOut(plan)).rejects.toMatchObject({ code: 'PLAN_OUTDATED' });
  expect(await stream()).toMatchObject({ epoch: 1 });
});
