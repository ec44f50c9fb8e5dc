/** What a quarantined update freezes: the instrument whose holdings it touched, the treasury where that cannot be told, and nothing for what strangers can bring about. */
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createTreasurySink } from '../../src/books/treasury-sink.ts';
import { createLeases } from '../../src/db/lease.ts';
import { createDepositSink } from '../../src/deposits/deposit-sink.ts';
import { microsToTimestamp } from '../../src/env/clock.ts';
import { noFailpoints } from '../../src/env/failpoint.ts';
import { systemClock } from '../../src/env/system.ts';
import type { Event } from '../../src/gen/com/daml/ledger/api/v2/event.ts';
import { GetUpdatesResponse } from '../../src/gen/com/daml/ledger/api/v2/update_service.ts';
import { createBatchWriter } from '../../src/ingestion/batch-writer.ts';
import { registerCatalog } from '../../src/ingestion/catalog.ts';
import type { Treasury } from '../../src/ingestion/effect-sink.ts';
import { claimStream } from '../../src/ingestion/position.ts';
import { receive } from '../../src/ingestion/received-update.ts';
import { parseAmount } from '../../src/tokens/amount.ts';
import { openAttempts } from '../../src/withdrawals/attempt-funding.ts';
import { createWithdrawals } from '../../src/withdrawals/withdrawal-requests.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import {
  ALICE,
  COIN,
  createHolding,
  createOffer,
  exercise,
  preapprovalSend,
  TREASURY,
} from '../support/transactions.ts';

const MALLORY = 'mallory::1220ff';
const FAKE = { admin: MALLORY, id: 'Fake' };
const START = 1_795_305_600_000_000n;

let database: TestDatabase;
let treasury: Treasury;

beforeEach(async () => {
  database = await createTestDatabase();
  const [only] = await registerCatalog(database.db, {
    network: 'testnet',
    treasuries: [{ name: 'hot', party: TREASURY }],
    instruments: [{ ...COIN, name: 'Coin' }],
  });
  if (only === undefined) throw new Error('No treasury.');
  treasury = only;
  // Stands for a version that cannot handle such an update.
  await sql`ALTER TABLE transfer ADD CONSTRAINT broken CHECK (memo <> 'poison')`.execute(database.db);
});

afterEach(async () => {
  await database.close();
});

type Content = NonNullable<Parameters<typeof GetUpdatesResponse.fromPartial>[0]['update']>;

const transaction =
  (events: Event[]) =>
  (offset: bigint): Content => ({
    $case: 'transaction',
    value: {
      updateId: `1220${offset}`,
      offset,
      recordTime: microsToTimestamp(START + offset),
      synchronizerId: 'sync',
      events,
    },
  });

/** Writes updates as a batch of the stream does. @returns what stands frozen afterwards, by the name of the instrument; null: all of the treasury. */
async function frozenBy(...contents: ((offset: bigint) => Content)[]): Promise<readonly (string | null)[]> {
  const { db, logger } = database;
  const lease = await createLeases({ db }).acquire({ name: 'test', holder: 'test', ttlMs: 60_000 });
  if (lease === null) throw new Error('No lease.');
  const position = await claimStream(db, treasury, lease.token);
  const quiet = { ...logger, warn: () => undefined, error: () => undefined };
  const writer = createBatchWriter({
    db,
    treasury,
    sinks: [createDepositSink({ clock: systemClock }), createTreasurySink()],
    clock: systemClock,
    logger: quiet,
    failpoint: noFailpoints,
  });
  const batch = contents.map((content, index) => {
    const bytes = GetUpdatesResponse.encode(
      GetUpdatesResponse.fromPartial({ update: content(position.offset + BigInt(index) + 1n) }),
    ).finish();
    return receive({ bytes, message: GetUpdatesResponse.decode(bytes) });
  });
  await writer.write(batch, position);
  const { rows } = await sql<{ instrument: string | null; reason: string; treasury: number }>`
    SELECT i.instrument_id AS instrument, f.reason, f.treasury_id AS treasury FROM money_freeze f
    LEFT JOIN instrument i ON i.id = f.instrument_id WHERE f.lifted_at IS NULL ORDER BY 1`.execute(db);
  expect(rows.every(({ reason, treasury: id }) => reason === 'QUARANTINE' && id === treasury.id)).toBe(true);
  return rows.map(({ instrument }) => instrument);
}

const quarantinedCount = async () => (await database.db.selectFrom('quarantine').select('update_id').execute()).length;

const deposit = (cid: string, memo = 'memo') => [
  preapprovalSend({ node: 0, last: 1, memo }),
  createHolding({ node: 1, cid, amount: '1' }),
];
const strangersOffer = (memo: string) =>
  createOffer({ node: 9, cid: '00offer', amount: '1', memo, instrument: FAKE, signatories: [MALLORY] });

test('A21: a holding that was created for us freezes its instrument, and no other', async () => {
  expect(await frozenBy(transaction(deposit('00a')), transaction(deposit('00b', 'poison')))).toEqual([COIN.id]);
  expect(await quarantinedCount()).toBe(1);
  // Once is enough.
  expect(await frozenBy(transaction(deposit('00c', 'poison')))).toEqual([COIN.id]);
  expect(await quarantinedCount()).toBe(2);
});

test('A21: a holding of ours that was consumed freezes its instrument', async () => {
  await frozenBy(transaction(deposit('00a')));
  const spent = exercise({ node: 0, cid: '00a', consuming: true, acting: [TREASURY] });

  expect(await frozenBy(transaction([spent, strangersOffer('poison')]))).toEqual([COIN.id]);
});

test('A21: a contract that we signed and that cannot be read freezes the treasury: it may be any holding', async () => {
  const unreadable = createHolding({
    node: 0,
    cid: '00a',
    amount: '1',
    status: 5,
    signatories: [COIN.admin, TREASURY],
  });

  expect(await frozenBy(transaction([unreadable]))).toEqual([null]);
});

test('A21: what strangers bring about freezes nothing', async () => {
  const fake = createHolding({ node: 0, cid: '00fake', amount: '1', instrument: FAKE, signatories: [MALLORY] });
  const forged = createHolding({ node: 1, cid: '00forged', amount: '1', signatories: [MALLORY] });
  const unreadable = createHolding({ node: 2, cid: '00x', amount: '1', status: 5, signatories: [MALLORY] });
  const others = createHolding({ node: 3, cid: '00y', amount: '1', owner: ALICE });
  const consumed = exercise({ node: 4, cid: '00z', consuming: true, acting: [MALLORY] });

  const frozen = await frozenBy(transaction([fake, forged, unreadable, others, consumed, strangersOffer('poison')]));

  expect(await quarantinedCount()).toBe(1);
  expect(frozen).toEqual([]);
});

test.each([['waits'], ['is under way']])(
  'A21: an instrument that was taken out of the configuration freezes as before while a withdrawal of it %s',
  async (state) => {
    await frozenBy(transaction(deposit('00a')), transaction(deposit('00b')));
    await createWithdrawals({
      db: database.db,
      clock: systemClock,
      network: 'testnet',
      idKey: new Uint8Array(32),
    }).create({
      client: 'exchange',
      idempotencyKey: 'key-1',
      account: 'alice',
      treasuryParty: TREASURY,
      instrument: COIN,
      receiver: `bob::1220${'0'.repeat(64)}`,
      amount: parseAmount('1'),
      memo: null,
    });
    const limits = {
      ttlMs: 20_000,
      recordTimeAgeMsMax: 600_000,
      recordTimeAheadMsMax: 600_000,
      attemptsMax: 2,
      triesMax: 6,
      tryHoldMs: 1_000,
    };
    if (state === 'is under way') expect(await openAttempts(database.db, treasury.id, limits, START)).toBe(1);
    await registerCatalog(database.db, {
      network: 'testnet',
      treasuries: [{ name: 'hot', party: TREASURY }],
      instruments: [],
    });
    const { is_accepted } = await database.db
      .selectFrom('instrument')
      .select('is_accepted')
      .where('instrument_id', '=', COIN.id)
      .executeTakeFirstOrThrow();
    expect(is_accepted).toBe(false);
    const spent = exercise({ node: 0, cid: '00a', consuming: true, acting: [TREASURY] });

    expect(await frozenBy(transaction([spent, strangersOffer('poison')]))).toEqual([COIN.id]);
  },
);

test('A21: a reassignment freezes what it took from us or brought us, and nothing where it is of others', async () => {
  await frozenBy(transaction(deposit('00a')));
  const reassignment =
    (contractId: string) =>
    (offset: bigint): Content => ({
      $case: 'reassignment',
      value: {
        updateId: `1220${offset}`,
        offset,
        recordTime: microsToTimestamp(START + offset),
        synchronizerId: 'sync',
        events: [{ event: { $case: 'unassigned', value: { contractId, source: 'sync', target: 'other' } } }],
      },
    });

  expect(await frozenBy(reassignment('00of-another'))).toEqual([]);
  expect(await frozenBy(reassignment('00a'))).toEqual([COIN.id]);
  expect(await quarantinedCount()).toBe(2);
});
