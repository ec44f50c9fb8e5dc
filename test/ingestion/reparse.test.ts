/**
 * The way back from quarantine. A constraint that a test adds to a derived table stands for a version that cannot handle an update; dropping it stands for the fix. Afterwards everything must be as
 * if the update had been read when it came.
 */
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { checkBooks } from '../../src/books/check-books.ts';
import { type SwitchOptions, switchOver } from '../../src/books/switch-over.ts';
import { createTreasurySink } from '../../src/books/treasury-sink.ts';
import { verifyTreasury } from '../../src/books/verification.ts';
import { createLeases } from '../../src/db/lease.ts';
import { createDepositSink } from '../../src/deposits/deposit-sink.ts';
import { PermanentError } from '../../src/env/errors.ts';
import { type FailpointName, noFailpoints } from '../../src/env/failpoint.ts';
import { systemClock } from '../../src/env/system.ts';
import { createBatchWriter } from '../../src/ingestion/batch-writer.ts';
import type { EffectSink, Treasury } from '../../src/ingestion/effect-sink.ts';
import { claimStream } from '../../src/ingestion/position.ts';
import { compareWithRebuild, DERIVED_TABLES } from '../../src/ingestion/rebuild.ts';
import { planRecovery, recover } from '../../src/ingestion/recover.ts';
import { createSecondSchema, derivePage, startHistory } from '../../src/ingestion/second-schema.ts';
import { createLedgerClient, type Ledger } from '../../src/ledger/ledger-client.ts';
import { startApi } from '../support/api.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { type RunningIngestion, registerMemos, startIngestion } from '../support/ingestion.ts';
import { NETWORK, startTestNetwork, type TestNetwork } from '../support/network.ts';

let database: TestDatabase;
let simnet: TestNetwork;
let ledger: Ledger;
let ingestion: RunningIngestion;
/** A sink that refuses what it is told to, as a defect in a real one would. */
let isRefused: (memo: string | null) => boolean;
const refusing: EffectSink = {
  name: 'refusing',
  apply: async (_tx, _treasury, changes) => {
    if (changes.some(({ memo }) => isRefused(memo))) throw new PermanentError('BROKEN', 'A defect of this sink.');
  },
};

beforeEach(async () => {
  isRefused = () => false;
  database = await createTestDatabase();
  simnet = await startTestNetwork('reparse');
  ledger = createLedgerClient({ url: simnet.ledgerUrl() });
  await registerMemos(database.db, NETWORK, { 'alice-memo': 'alice', 'carol-memo': 'carol' });
  ingestion = await startIngestion({
    connectionString: database.connectionString,
    ledgerUrl: simnet.ledgerUrl(),
    catalog: simnet.catalog,
    settings: { leaseTtlMs: 600, reconnect: { attemptsMax: 20, delayMsMin: 5, delayMsMax: 50 } },
    sinks: [refusing],
  });
});

afterEach(async () => {
  await ingestion.stop();
  ledger.close();
  await simnet.stop();
  await database.close();
});

function treasury(): Treasury {
  const [only] = ingestion.treasuries;
  if (only === undefined) throw new Error('No treasury.');
  return only;
}

function payIn(amount: string, memo = 'alice-memo'): void {
  simnet.network.tap({ instrument: 'amulet', owner: 'alice', amount });
  simnet.network.transfer({ instrument: 'amulet', sender: 'alice', receiver: 'treasury', amount, memo });
}

async function caughtUp(): Promise<void> {
  const { offset: end } = await ledger.ledgerEnd();
  await eventually(
    async () => {
      ingestion.throwIfFailed();
      const { ledger_offset } = await database.db.selectFrom('ingestion_stream').selectAll().executeTakeFirstOrThrow();
      expect(ledger_offset).toBeGreaterThanOrEqual(end);
    },
    { deadlineMs: 15_000 },
  );
}

const cannot = (table: string, check: string) =>
  sql`ALTER TABLE ${sql.table(table)} ADD CONSTRAINT broken CHECK (${sql.raw(check)}) NOT VALID`.execute(database.db);
const fix = (table: string) => sql`ALTER TABLE ${sql.table(table)} DROP CONSTRAINT broken`.execute(database.db);

async function reparse(options: Partial<SwitchOptions> = {}) {
  const { db } = database;
  const runId = `run-${Math.floor(Number(systemClock.nowMicros() % 1_000_000n))}`;
  await createSecondSchema(db, runId);
  const history = startHistory(runId, treasury());
  while (await db.transaction().execute((tx) => derivePage(tx, history)));
  const [result] = await switchOver({
    db,
    histories: [history],
    sinks: [createDepositSink({ clock: systemClock }), createTreasurySink(), refusing],
    by: 'test',
    clock: systemClock,
    failpoint: noFailpoints,
    ...options,
  });
  if (result === undefined) throw new Error('No result.');
  return result;
}

async function verified(): Promise<boolean> {
  const quiet = () => undefined;
  const logger = { debug: quiet, info: quiet, warn: quiet, error: quiet, child: () => logger };
  const signal = new AbortController().signal;
  const common = { db: database.db, ledger, treasury: treasury(), clock: systemClock, logger, signal };
  const outcome = await verifyTreasury(common);
  if (outcome.kind !== 'COMPARED') throw new Error(outcome.why);
  return outcome.isEqual;
}

async function balances(): Promise<Record<string, string>> {
  const { rows } = await sql<{ account: string; balance: string }>`
    SELECT a.kind || CASE WHEN a.kind = 'CUSTOMER' THEN ' ' || a.owner ELSE '' END AS account, trim_scale(sum(b.balance))::text AS balance
    FROM account_balance b JOIN account a ON a.id = b.account_id GROUP BY 1 HAVING sum(b.balance) <> 0 ORDER BY 1`.execute(
    database.db,
  );
  return Object.fromEntries(rows.map(({ account, balance }) => [account, balance]));
}

const quarantined = () => database.db.selectFrom('quarantine').selectAll().where('closed_at', 'is', null).execute();
const openFreezes = async () =>
  (await database.db.selectFrom('money_freeze').select('reason').where('lifted_at', 'is', null).execute()).map(
    ({ reason }) => reason,
  );

/** Everything derived, as a database that met the fixed version from the start would have it. */
async function derivedRows(connection = database): Promise<unknown> {
  const tables = await Promise.all(
    DERIVED_TABLES.map(async (table) => {
      const { rows } = await sql<{ row: unknown }>`
        SELECT to_jsonb(t) - 'instrument_id' AS row FROM ${sql.table(table)} t ORDER BY to_jsonb(t)::text`.execute(
        connection.db,
      );
      return rows;
    }),
  );
  return tables;
}

async function fromScratch(): Promise<unknown> {
  const other = await createTestDatabase();
  await registerMemos(other.db, NETWORK, { 'alice-memo': 'alice', 'carol-memo': 'carol' });
  const second = await startIngestion({
    connectionString: other.connectionString,
    ledgerUrl: simnet.ledgerUrl(),
    catalog: simnet.catalog,
  });
  try {
    const { count } = await database.db
      .selectFrom('ledger_update')
      .select((row) => row.fn.countAll<bigint>().as('count'))
      .executeTakeFirstOrThrow();
    await eventually(async () => {
      const stream = await other.db.selectFrom('ingestion_stream').selectAll().executeTakeFirstOrThrow();
      expect(stream.updates_count).toBe(count);
    });
    return await derivedRows(other);
  } finally {
    await second.stop();
    await other.close();
  }
}

test('A21: an update that the tables refused, and a payout that spent what it brought, come out as if it had been read at once', async () => {
  await cannot('holding', 'amount <> 3');
  payIn('1');
  payIn('3');
  await caughtUp();
  const [update] = await quarantined();
  expect(update?.reason).toBe('DB_CONSTRAINT');
  expect(await openFreezes()).toEqual(['QUARANTINE']);
  expect(await verified()).toBe(false);
  simnet.network.transfer({ instrument: 'amulet', sender: 'treasury', receiver: 'bob', amount: '3.5' });
  payIn('5', 'carol-memo');
  await caughtUp();
  expect(await checkBooks(database.db)).toEqual([]);

  await fix('holding');
  const result = await reparse();

  expect(result.closed).toEqual([update?.update_id]);
  expect(result.stillQuarantined).toEqual([]);
  expect(await quarantined()).toEqual([]);
  expect((await compareWithRebuild(database.db, treasury())).differences).toEqual([]);
  expect(await checkBooks(database.db)).toEqual([]);
  expect(await verified()).toBe(true);
  expect(await balances()).toMatchObject({ 'CUSTOMER alice': '4', 'CUSTOMER carol': '5' });
  expect(await derivedRows()).toEqual(await fromScratch());
  const { rows: announced } = await sql<{ amount: string }>`
    SELECT payload->>'amount' AS amount FROM (SELECT type, payload FROM event_outbox UNION ALL SELECT type, payload FROM event) AS e
    WHERE type = 'deposit.credited' ORDER BY 1`.execute(database.db);
  expect(announced.map(({ amount }) => amount)).toEqual(['1.0000000000', '3.0000000000', '5.0000000000']);
  // What the ledger disagreed with was noticed by the comparison: that freeze a person lifts.
  expect(await openFreezes()).toEqual(['LEDGER_DIFFERS']);
});

test('A21: doing it twice does nothing more, and the stream goes on under a new token', async () => {
  await cannot('holding', 'amount <> 3');
  payIn('3');
  await caughtUp();
  await fix('holding');
  expect((await reparse()).closed).toHaveLength(1);
  const before = await balances();
  const entries = () => database.db.selectFrom('journal_entry').select('cause').orderBy('id').execute();
  const causes = await entries();

  const again = await reparse();

  expect(again).toMatchObject({ rowsRemoved: 0, rowsAdded: 0, closed: [], corrections: [], freezesLifted: 0 });
  expect(await entries()).toEqual(causes);
  expect(await balances()).toEqual(before);
  payIn('7');
  await eventually(async () => expect(await balances()).toMatchObject({ 'CUSTOMER alice': '10' }), {
    deadlineMs: 15_000,
  });
  ingestion.throwIfFailed();
  expect(await openFreezes()).toEqual([]);
});

test('A21: what this version cannot read either stays where it is, and stays frozen', async () => {
  await cannot('holding', 'amount NOT IN (3, 4)');
  payIn('3');
  payIn('4');
  await caughtUp();
  await fix('holding');
  await cannot('holding', 'amount <> 4');

  const result = await reparse();

  expect(result.closed).toHaveLength(1);
  expect(result.stillQuarantined).toHaveLength(1);
  expect(await balances()).toMatchObject({ 'CUSTOMER alice': '3' });
  expect(await openFreezes()).toEqual(['QUARANTINE']);
  await fix('holding');
  expect((await reparse()).freezesLifted).toBe(1);
  expect(await balances()).toMatchObject({ 'CUSTOMER alice': '7' });
  expect(await checkBooks(database.db)).toEqual([]);
  expect(await openFreezes()).toEqual([]);
});

test('A21: what touched no holding may wait for ever, and keeps nothing frozen', async () => {
  await cannot('holding', 'amount <> 3');
  await cannot('transfer_instruction', "memo <> 'junk'");
  payIn('3');
  simnet.network.tap({ instrument: 'amulet', owner: 'bob', amount: '1' });
  const offer = { instrument: 'amulet', sender: 'bob', receiver: 'treasury', amount: '1', memo: 'junk' };
  simnet.network.transfer({ ...offer, kind: 'offer' });
  await caughtUp();
  expect(await quarantined()).toHaveLength(2);
  await fix('holding');
  expect(await reparse()).toMatchObject({ stillQuarantined: [expect.anything()], freezesLifted: 1 });
  expect(await openFreezes()).toEqual([]);
});

test('A21: what a sink refused is in the books as unexplained meanwhile, and credited when the sink can', async () => {
  isRefused = (memo) => memo === 'carol-memo';
  payIn('1');
  payIn('2', 'carol-memo');
  payIn('4');
  await caughtUp();
  expect(await quarantined()).toHaveLength(1);
  expect(await openFreezes()).toEqual(['QUARANTINE']);
  expect(await balances()).toEqual({ 'CUSTOMER alice': '5', TREASURY: '-7', UNEXPLAINED: '2' });
  expect(await checkBooks(database.db)).toEqual([]);
  expect(await verified()).toBe(true);

  const api = await startApi(database);
  const ASKED = '{ quarantinedUpdates(isOpen: true) { edges { node { updateId reason detail closedAt } } } }';
  try {
    expect((await api.query(ASKED)).data.quarantinedUpdates.edges).toEqual([
      {
        node: {
          updateId: (await quarantined())[0]?.update_id,
          reason: 'BROKEN',
          detail: 'A defect of this sink.',
          closedAt: null,
        },
      },
    ]);
  } finally {
    await api.stop();
  }

  isRefused = () => false;
  const result = await reparse();

  expect(result).toMatchObject({ rowsRemoved: 0, rowsAdded: 0, stillQuarantined: [], freezesLifted: 1 });
  expect(await balances()).toEqual({ 'CUSTOMER alice': '5', 'CUSTOMER carol': '2', TREASURY: '-7' });
  expect(await checkBooks(database.db)).toEqual([]);
  expect(await openFreezes()).toEqual([]);
});

test('A21: an offer that nobody could store, and its acceptance since', async () => {
  await cannot('transfer_instruction', 'amount <> 4');
  simnet.network.tap({ instrument: 'amulet', owner: 'alice', amount: '4' });
  const { instructionCid } = simnet.network.transfer({
    instrument: 'amulet',
    sender: 'alice',
    receiver: 'treasury',
    amount: '4',
    memo: 'alice-memo',
    kind: 'offer',
  });
  await caughtUp();
  expect(await quarantined()).toHaveLength(1);
  // No holding of ours was touched: nothing stands still for it.
  expect(await openFreezes()).toEqual([]);
  if (instructionCid === undefined) throw new Error('No offer.');
  simnet.network.accept({ instructionCid });
  await caughtUp();

  await fix('transfer_instruction');
  const result = await reparse();

  expect(result.stillQuarantined).toEqual([]);
  expect((await compareWithRebuild(database.db, treasury())).differences).toEqual([]);
  expect(await checkBooks(database.db)).toEqual([]);
  expect(await verified()).toBe(true);
  expect(await derivedRows()).toEqual(await fromScratch());
  // Whatever the acceptance was booked as when it came, it is there once.
  const { rows } = await sql<{ total: string }>`
    SELECT trim_scale(sum(b.balance))::text AS total FROM account_balance b JOIN account a ON a.id = b.account_id
    WHERE a.kind IN ('CUSTOMER', 'UNATTRIBUTED')`.execute(database.db);
  expect(rows[0]?.total).toBe('4');
});

test('A21: balances put right from the active contracts meanwhile, and the update read after all', async () => {
  payIn('3');
  await caughtUp();
  await cannot('holding', 'amount <> 2');
  simnet.network.transfer({ instrument: 'amulet', sender: 'treasury', receiver: 'bob', amount: '1', kind: 'offer' });
  await caughtUp();
  expect(await quarantined()).toHaveLength(1);
  expect(await verified()).toBe(false);
  await ingestion.stop();

  // What this version cannot read it can at least hold: the operator takes over what is active.
  await fix('holding');
  await cannot('holding', `amount <> 2 OR created_record_time < 0`);
  const { db } = database;
  const lease = await createLeases({ db }).acquire({ name: 'test', holder: 'test', ttlMs: 60_000 });
  if (lease === null) throw new Error('No lease.');
  const token = { ...lease, token: lease.token + 1_000n };
  const signal = new AbortController().signal;
  await db.updateTable('ingestion_stream').set({ status: 'HALTED' }).execute();
  const plan = await planRecovery({ db, ledger, treasury: treasury(), clock: systemClock, listenMs: 500, signal });
  expect([plan.vanished.length, plan.appeared.length]).toEqual([1, 2]);
  const writer = createBatchWriter({
    db,
    treasury: treasury(),
    sinks: [createDepositSink({ clock: systemClock }), createTreasurySink()],
    clock: systemClock,
    logger: database.logger,
    failpoint: noFailpoints,
  });
  const position = await claimStream(db, treasury(), token.token);
  await recover({ db, treasury: treasury(), writer, clock: systemClock, by: 'test', why: 'A test.' }, position, plan);
  expect(await checkBooks(db)).toEqual([]);

  await fix('holding');
  const result = await reparse();

  expect(result.stillQuarantined).toEqual([]);
  expect((await compareWithRebuild(db, treasury())).differences).toEqual([]);
  expect(await checkBooks(db)).toEqual([]);
  const { rows } = await sql<{ kind: string; delta: string }>`
    SELECT kind, trim_scale(holdings_delta::numeric)::text AS delta FROM transfer ORDER BY record_time DESC, rank`.execute(
    db,
  );
  expect(rows).toEqual([
    // What was offered stands locked, and is still the treasury's.
    { kind: 'OFFER', delta: '0' },
    { kind: 'DIRECT', delta: '3' },
  ]);
});

test.each(['rebuild.beforeSwitchCommit'] as const)('a failure at %s leaves everything as it was', async (point) => {
  await cannot('holding', 'amount <> 3');
  payIn('3');
  await caughtUp();
  await fix('holding');
  const before = { rows: await derivedRows(), balances: await balances(), quarantined: await quarantined() };

  const failpoint = async (name: FailpointName) => {
    if (name === point) throw new PermanentError('CRASHED', 'A test struck.');
  };
  await expect(reparse({ failpoint })).rejects.toMatchObject({ code: 'CRASHED' });

  expect({ rows: await derivedRows(), balances: await balances(), quarantined: await quarantined() }).toEqual(before);
  expect((await reparse()).closed).toHaveLength(1);
});
