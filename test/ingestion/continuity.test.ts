/** What one stream may show and what it may not, and what a database that is not the one of before makes of it. Row ids of the failure catalogue stand in the names. */
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { checkBooks } from '../../src/books/check-books.ts';
import { createSeededRandom } from '../../src/env/random.ts';
import { compareWithRebuild } from '../../src/ingestion/rebuild.ts';
import { holdingsOf } from '../../src/simnet/network-commands.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { type IngestionOptions, type RunningIngestion, registerMemos, startIngestion } from '../support/ingestion.ts';
import { NETWORK, startTestNetwork, type TestNetwork } from '../support/network.ts';

let database: TestDatabase;
let simnet: TestNetwork;
let running: RunningIngestion | null = null;

beforeEach(async () => {
  database = await createTestDatabase();
  simnet = await startTestNetwork('continuity', { checkpoints: { busyMs: 50, idleMs: 100 } });
  await registerMemos(database.db, NETWORK, { 'alice-memo': 'alice' });
});

afterEach(async () => {
  await stop();
  await simnet.stop();
  await database.close();
});

async function start(options: Partial<IngestionOptions> = {}): Promise<void> {
  running = await startIngestion({
    connectionString: database.connectionString,
    ledgerUrl: simnet.ledgerUrl(),
    catalog: simnet.catalog,
    settings: { leaseTtlMs: 600, silenceMsMax: 2_000, reconnect: { attemptsMax: 8, delayMsMin: 5, delayMsMax: 50 } },
    ...options,
  });
}

async function stop(): Promise<void> {
  await running?.stop();
  running = null;
}

function payIn(amount: number, network = simnet): ReturnType<TestNetwork['network']['transfer']> {
  network.network.tap({ instrument: 'amulet', owner: 'alice', amount: String(amount) });
  return network.network.transfer({
    instrument: 'amulet',
    sender: 'alice',
    receiver: 'treasury',
    amount: String(amount),
    memo: 'alice-memo',
  });
}

const stream = () => database.db.selectFrom('ingestion_stream').selectAll().executeTakeFirstOrThrow();
const node = () => simnet.network.participant('participant1');

async function credited(): Promise<string | null> {
  const { rows } = await sql<{ total: string | null }>`
    SELECT sum(b.balance)::text AS total FROM account_balance b JOIN account a ON a.id = b.account_id WHERE a.kind = 'CUSTOMER'`.execute(
    database.db,
  );
  return rows[0]?.total ?? null;
}

const becomes = (total: number) =>
  eventually(
    async () => {
      running?.throwIfFailed();
      expect(await credited()).toBe(`${total}.0000000000`);
    },
    { deadlineMs: 10_000 },
  );

const halted = (code: string) =>
  eventually(async () => {
    expect(await stream()).toMatchObject({ status: 'HALTED', status_reason: expect.stringContaining(code) });
  });

async function expectConsistent(): Promise<void> {
  for (const treasury of running?.treasuries ?? []) {
    expect((await compareWithRebuild(database.db, treasury)).differences).toEqual([]);
  }
  expect(await checkBooks(database.db)).toEqual([]);
}

test.each([
  ['another update at an offset that we have', 'sameOffsetOtherId', /OFFSET_HOLDS_ANOTHER_UPDATE|OFFSET_WENT_BACK/],
  ['two updates in the wrong order', 'swap', /OFFSET_WENT_BACK|RECORD_TIME_WENT_BACK/],
] as const)('A11: %s halts the stream, and nothing of that batch is kept', async (_, kind, reason) => {
  await start({ settings: { batchCountMax: 1, leaseTtlMs: 600 } });
  payIn(1);
  await becomes(1);
  node().faults.disturbNext({ kind });
  payIn(2);
  payIn(4);

  await eventually(async () => {
    const { status, status_reason: why } = await stream();
    expect(status).toBe('HALTED');
    expect(why).toMatch(reason);
  });
  const { ledger_offset: offset } = await stream();
  const { rows } = await sql<{
    beyond: bigint;
  }>`SELECT count(*) AS beyond FROM ledger_update WHERE ledger_offset > ${offset}`.execute(database.db);
  expect(rows[0]?.beyond).toBe(0n);
  await expectConsistent();
});

test('A12: offsets with gaps of any size are followed', async () => {
  await start();
  let sum = 0;
  for (const gap of [1n, 10n, 1_000n, 1_000_000n, 1_000_000_000n]) {
    payIn(1);
    sum += 1;
    node().skipOffsets(gap);
    payIn(1);
    sum += 1;
  }

  await becomes(sum);
  await eventually(async () => expect((await stream()).ledger_offset).toBe(node().ledgerEnd()));
  await expectConsistent();
});

test.each([2, 3, 4, 5])(
  'A15: of %d updates with one record time, parted by a crash and a restore, each counts once',
  async (count) => {
    await start();
    payIn(10);
    await becomes(10);
    // Funds first: the shared time is for the deposits alone.
    simnet.network.tap({ instrument: 'amulet', owner: 'alice', amount: '100' });
    simnet.network.split({ instrument: 'amulet', owner: 'alice', amount: '1' });
    for (let made = 1; made < count; made += 1)
      simnet.network.split({ instrument: 'amulet', owner: 'alice', amount: '1' });
    node().intake.hold();
    simnet.network.synchronizer.shareNextTime(count);
    const times = Array.from({ length: count }, () => {
      const { recordTimeMicros } = simnet.network.transfer({
        instrument: 'amulet',
        sender: 'alice',
        receiver: 'treasury',
        amount: '1',
        memo: 'alice-memo',
      });
      return recordTimeMicros;
    });
    expect(new Set(times).size).toBe(1);
    node().intake.step(1);
    await becomes(11);
    await stop();

    node().intake.release();
    node().restore({ updatesBack: count + 1, numbering: 'fresh' });
    await start();
    await becomes(10 + count);
    expect((await stream()).epoch).toBe(2);
    await expectConsistent();
  },
);

test('B2: a record time that goes back halts the stream', async () => {
  await start();
  payIn(1);
  await becomes(1);
  await eventually(async () => expect((await stream()).ledger_offset).toBe(node().ledgerEnd()));
  simnet.network.synchronizer.jumpTime(-3_600_000_000n);
  payIn(2);

  await halted('RECORD_TIME_WENT_BACK');
  expect(await credited()).toBe('1.0000000000');
});

test('B5: no record time passes an update that is delivered late', async () => {
  await start();
  payIn(1);
  await becomes(1);
  node().faults.delayDelivery(700);
  const { recordTimeMicros } = payIn(2);
  const passed = async () =>
    (await database.db.selectFrom('synchronizer_time').select('record_time').executeTakeFirstOrThrow()).record_time;

  for (;;) {
    const time = await passed();
    const total = await credited();
    // Read in this order: what has passed may only grow between the two.
    if (time > recordTimeMicros) expect(total).toBe('3.0000000000');
    if (total === '3.0000000000') break;
    expect(total).toBe('1.0000000000');
  }
  expect(await passed()).toBeGreaterThanOrEqual(recordTimeMicros);
});

test('A21, B4: a contract that moves to a second synchronizer is stored, quarantined, shown and frozen, and what happens there passes no time of ours', async () => {
  await start();
  payIn(1);
  payIn(2);
  await becomes(3);
  const { synchronizerId: privateId } = simnet.network.addSynchronizer('private');
  const [first] = holdingsOf(
    simnet.network.ledger.contracts,
    simnet.network.party('treasury'),
    simnet.network.instrument('amulet'),
  );
  const { reassignmentId } = simnet.network.unassign({ contractId: first?.contractId ?? '', target: 'private' });
  simnet.network.assign({ reassignmentId });
  payIn(4);

  await becomes(7);
  const quarantined = await database.db.selectFrom('quarantine').select('reason').execute();
  expect(quarantined.map(({ reason }) => reason)).toContain('REASSIGNMENT_NOT_READ');
  const frozen = await database.db
    .selectFrom('money_freeze')
    .select('treasury_id')
    .where('lifted_at', 'is', null)
    .execute();
  expect(frozen.length).toBeGreaterThan(0);
  await eventually(async () => {
    const times = await database.db.selectFrom('synchronizer_time').select('synchronizer_id').execute();
    expect(times.map(({ synchronizer_id: id }) => id)).toContain(privateId);
  });
  expect(await stream()).toMatchObject({ status: 'RUNNING' });
  await expectConsistent();
});

test('C12: a database that went back in time receives everything again, once', async () => {
  await start();
  payIn(1);
  payIn(2);
  await becomes(3);
  await stop();
  const restore = await backUp();
  await start();
  payIn(4);
  await becomes(7);
  await stop();

  await restore();
  expect(await credited()).toBe('3.0000000000');
  await start();
  payIn(8);
  await becomes(15);
  await expectConsistent();
  expect(await stream()).toMatchObject({ epoch: 1, status: 'RUNNING' });
});

test('C16: a database of another network is not written to', async () => {
  await start();
  payIn(1);
  await becomes(1);
  await stop();
  const other = await startTestNetwork('continuity', {
    random: createSeededRandom(99),
    checkpoints: { busyMs: 50, idleMs: 100 },
  });
  try {
    payIn(5, other);
    const before = await stream();
    await start({ ledgerUrl: other.ledgerUrl() });

    await halted('UPDATE_MISSING');
    expect(await stream()).toMatchObject({ updates_count: before.updates_count, epoch: before.epoch });
    expect(await credited()).toBe('1.0000000000');
  } finally {
    await stop();
    await other.stop();
  }
});

/** All tables as they are. @returns what puts them back. */
async function backUp(): Promise<() => Promise<void>> {
  const { db } = database;
  const { rows: tables } = await sql<{ name: string; columns: string }>`
    SELECT format('%I', table_name) AS name, string_agg(format('%I', column_name), ', ') FILTER (WHERE c.is_generated = 'NEVER') AS columns
    FROM information_schema.tables t JOIN information_schema.columns c USING (table_schema, table_name)
    WHERE table_schema = 'public' AND table_type = 'BASE TABLE' GROUP BY table_name`.execute(db);
  await sql`CREATE SCHEMA backup`.execute(db);
  for (const { name } of tables) await sql.raw(`CREATE TABLE backup.${name} AS TABLE public.${name}`).execute(db);
  return () =>
    db.transaction().execute(async (tx) => {
      await sql`SET LOCAL session_replication_role = replica`.execute(tx); // References are put back whole.
      await sql.raw(`TRUNCATE ${tables.map(({ name }) => `public.${name}`).join(', ')}`).execute(tx);
      for (const { name, columns } of tables) {
        await sql
          .raw(`INSERT INTO public.${name} (${columns}) OVERRIDING SYSTEM VALUE SELECT ${columns} FROM backup.${name}`)
          .execute(tx);
      }
    });
}
