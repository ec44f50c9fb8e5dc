/** How a stream behaves when the participant, a rival worker or a sink does not. Row ids of the failure catalogue stand in the names. */
import { Metadata, status } from '@grpc/grpc-js';
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { checkBooks } from '../../src/books/check-books.ts';
import { PermanentError } from '../../src/env/errors.ts';
import { systemClock } from '../../src/env/system.ts';
import type { EffectSink } from '../../src/ingestion/effect-sink.ts';
import { claimStream } from '../../src/ingestion/position.ts';
import { compareWithRebuild } from '../../src/ingestion/rebuild.ts';
import { ledgerErrorOf } from '../../src/ledger/ledger-error.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { type IngestionOptions, type RunningIngestion, registerMemos, startIngestion } from '../support/ingestion.ts';
import { NETWORK, startTestNetwork, type TestNetwork } from '../support/network.ts';

let database: TestDatabase;
let simnet: TestNetwork;
const running: RunningIngestion[] = [];

beforeEach(async () => {
  database = await createTestDatabase();
  simnet = await startTestNetwork('faults');
  await registerMemos(database.db, NETWORK, { 'alice-memo': 'alice' });
});

afterEach(async () => {
  for (const ingestion of running.splice(0)) await ingestion.stop();
  await simnet.stop();
  await database.close();
});

async function start(options: Partial<IngestionOptions> = {}): Promise<RunningIngestion> {
  const ingestion = await startIngestion({
    connectionString: database.connectionString,
    ledgerUrl: simnet.ledgerUrl(),
    catalog: simnet.catalog,
    settings: { leaseTtlMs: 600, reconnect: { attemptsMax: 8, delayMsMin: 5, delayMsMax: 20 } },
    ...options,
  });
  running.push(ingestion);
  return ingestion;
}

function payIn(amount: string, memo = 'alice-memo'): void {
  simnet.network.tap({ instrument: 'amulet', owner: 'alice', amount });
  simnet.network.transfer({ instrument: 'amulet', sender: 'alice', receiver: 'treasury', amount, memo });
}

async function credited(): Promise<string | null> {
  const { rows } = await sql<{ total: string | null }>`
    SELECT sum(b.balance)::text AS total FROM account_balance b JOIN account a ON a.id = b.account_id WHERE a.kind = 'CUSTOMER'`.execute(
    database.db,
  );
  return rows[0]?.total ?? null;
}

/** As the client is told of a message beyond its limit. */
const tooLarge = Object.assign(new Error('8 RESOURCE_EXHAUSTED'), {
  code: status.RESOURCE_EXHAUSTED,
  details: 'Received message larger than max (134217729 vs 134217728)',
  metadata: new Metadata(),
});

const stream = () => database.db.selectFrom('ingestion_stream').selectAll().executeTakeFirstOrThrow();
const becomes = (total: string) => eventually(async () => expect(await credited()).toBe(total));

async function expectConsistent(): Promise<void> {
  for (const treasury of running[0]?.treasuries ?? []) {
    expect((await compareWithRebuild(database.db, treasury)).differences).toEqual([]);
  }
  expect(await checkBooks(database.db)).toEqual([]);
}

test('A3, A9: a stream that ends or breaks again and again loses and doubles nothing, and leaves one stream open', async () => {
  await start();
  const { faults } = simnet.network.participant('participant1');
  for (let round = 1; round <= 30; round += 1) {
    payIn('1');
    if (round % 2 === 0) faults.endStreams();
    else
      faults.abortStreams({
        code: 'STALE_STREAM_AUTHORIZATION',
        category: 'contention',
        text: 'rights changed',
      });
    if (round % 5 === 0) await becomes(`${round}.0000000000`);
  }

  await becomes('30.0000000000');
  await eventually(() => expect(faults.openStreams()).toBe(1));
  await expectConsistent();
});

test('A11: a message delivered twice counts once', async () => {
  await start();
  simnet.network.participant('participant1').faults.duplicateNext(50);
  for (let count = 0; count < 10; count += 1) payIn('1');

  await becomes('10.0000000000');
  payIn('1');
  await becomes('11.0000000000');
  await expectConsistent();
});

test('A1, D5: a participant that stays away ends the worker with an error after its tries, and keeps the position', async () => {
  const ingestion = await start();
  payIn('1');
  await becomes('1.0000000000');
  await simnet.stop();

  await expect(ingestion.ended).rejects.toMatchObject({ retryable: true });
  expect(await stream()).toMatchObject({ status: 'STARTING' });
});

test('a message beyond our limit halts the stream: it would come again at every try', async () => {
  const ingestion = await start({
    wrapLedger: (ledger) => ({
      ...ledger,
      updates: () => {
        throw ledgerErrorOf(tooLarge, 'GetUpdates');
      },
    }),
  });
  await ingestion.ended;

  expect(await stream()).toMatchObject({ status: 'HALTED' });
  expect((await stream()).status_reason).toContain('MESSAGE_TOO_LARGE');
});

test('a participant that never answers does not hold up the end of the process', async () => {
  const asked = Promise.withResolvers<void>();
  const ingestion = await start({
    wrapLedger: (ledger) => ({
      ...ledger,
      participantId: () => {
        asked.resolve();
        return new Promise<string>(() => undefined);
      },
    }),
  });
  await asked.promise;

  const isStopped = ingestion.stop().then(() => true);
  expect(await Promise.race([isStopped, systemClock.sleep(3_000).then(() => false)])).toBe(true);
  running.length = 0;
});

test('A4, A6: a stream that falls silent is given up and resumed', async () => {
  await start({ settings: { silenceMsMax: 300, reconnect: { attemptsMax: 50, delayMsMin: 5, delayMsMax: 20 } } });
  payIn('1');
  await becomes('1.0000000000');
  const { faults } = simnet.network.participant('participant1');

  faults.stall();
  payIn('2');
  await eventually(() => expect(faults.openStreams()).toBe(0));
  expect(await credited()).toBe('1.0000000000');
  faults.resume();

  await becomes('3.0000000000');
  await expectConsistent();
});

test('D2: two workers share a treasury; each deposit is credited once', async () => {
  await start();
  await start();
  for (let count = 0; count < 20; count += 1) payIn('1');

  await becomes('20.0000000000');
  await running[0]?.stop();
  payIn('1');
  await becomes('21.0000000000');
  await expectConsistent();
});

test('D3: a worker whose token is outdated writes nothing', async () => {
  const ingestion = await start();
  payIn('1');
  await becomes('1.0000000000');

  // Somebody claims the stream under a later token, as a successor does while this worker is paused.
  const [treasury] = ingestion.treasuries;
  if (treasury === undefined) throw new Error('No treasury.');
  const { fencing_token: token, updates_count: count } = await stream();
  await claimStream(database.db, treasury, token + 1_000n);
  payIn('2');

  await expect(ingestion.ended).rejects.toMatchObject({ code: 'STREAM_TAKEN_OVER' });
  expect(await credited()).toBe('1.0000000000');
  expect((await stream()).updates_count).toBe(count);
});

test('D3: a worker whose token is outdated halts nobody, and does not take itself for halted', async () => {
  const isReading = Promise.withResolvers<void>();
  const isTaken = Promise.withResolvers<void>();
  const ingestion = await start({
    wrapLedger: (ledger) => ({
      ...ledger,
      updates: async function* () {
        isReading.resolve();
        await isTaken.promise;
        yield* [];
        throw ledgerErrorOf(tooLarge, 'GetUpdates');
      },
    }),
  });
  await isReading.promise;

  const [treasury] = ingestion.treasuries;
  if (treasury === undefined) throw new Error('No treasury.');
  await claimStream(database.db, treasury, (await stream()).fencing_token + 1_000n);
  isTaken.resolve();

  await expect(ingestion.ended).rejects.toMatchObject({ code: 'STREAM_TAKEN_OVER' });
  expect(await stream()).toMatchObject({ status: 'STARTING', status_reason: null });
});

test('a sink that throws is undone for that update alone: it is quarantined, its holdings stand, the others are booked', async () => {
  const picky: EffectSink = {
    name: 'picky',
    apply: async (tx, _treasury, changes) => {
      for (const change of changes) {
        if (change.memo !== 'poison') continue;
        await tx.insertInto('network').values({ name: 'written before the failure' }).execute();
        throw new PermanentError('POISON', 'This one cannot be booked.');
      }
    },
  };
  payIn('1');
  payIn('2', 'poison');
  payIn('4');
  await start({ sinks: [picky] });

  await becomes('5.0000000000');
  expect(await database.db.selectFrom('quarantine').select(['reason', 'detail']).execute()).toEqual([
    { reason: 'POISON', detail: 'This one cannot be booked.' },
  ]);
  const { rows } = await sql<{
    held: string;
  }>`SELECT sum(amount::numeric)::text AS held FROM holding WHERE archived_update_id IS NULL`.execute(database.db);
  expect(rows[0]?.held).toBe('7.0000000000');
  expect(await database.db.selectFrom('network').select('name').execute()).toEqual([{ name: NETWORK }]);
  const [treasury] = running[0]?.treasuries ?? [];
  expect(treasury && (await compareWithRebuild(database.db, treasury)).differences).toEqual([]);
});

test('the check of the books finds a booking that is missing and one that is wrong', async () => {
  await start();
  payIn('1');
  await becomes('1.0000000000');
  await expectConsistent();

  await sql`UPDATE posting SET amount = 2`.execute(database.db);
  const faults = await checkBooks(database.db);
  expect(faults.map(({ kind }) => kind).sort()).toEqual(['TRANSFER_OFF', 'TREASURY_OFF']);
  await sql`DELETE FROM posting`.execute(database.db);
  expect((await checkBooks(database.db)).map(({ kind }) => kind).sort()).toEqual([
    'CREDIT_OFF',
    'TRANSFER_OFF',
    'TREASURY_OFF',
  ]);
});

test('the rebuild finds a row that was changed, one that is missing and one too many', async () => {
  const ingestion = await start();
  payIn('1');
  payIn('2');
  await becomes('3.0000000000');
  const [treasury] = ingestion.treasuries;
  const differences = async () => treasury && (await compareWithRebuild(database.db, treasury)).differences;

  await sql`UPDATE holding SET amount = amount + 1 WHERE amount = 1`.execute(database.db);
  expect(await differences()).toMatchObject(
    [{ table: 'holding', onlyStored: [/2\.0000000000/], onlyRebuilt: [/1\.0000000000/] }].map(({ table }) => ({
      table,
    })),
  );
  await sql`UPDATE holding SET amount = amount - 1 WHERE amount = 2 AND contract_id = (SELECT contract_id FROM holding ORDER BY created_record_time LIMIT 1)`.execute(
    database.db,
  );
  expect(await differences()).toEqual([]);
  await sql`DELETE FROM transfer WHERE amount = 2`.execute(database.db);
  expect(
    (await differences())?.map(({ table, onlyStored, onlyRebuilt }) => [table, onlyStored.length, onlyRebuilt.length]),
  ).toEqual([['transfer', 0, 1]]);
});
