/** A transaction with more movements of the treasury than sixteen bits count: whoever sends a deposit may put any amount of junk beside it. */
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createTreasurySink } from '../../src/books/treasury-sink.ts';
import { createLeases } from '../../src/db/lease.ts';
import { createDepositSink } from '../../src/deposits/deposit-sink.ts';
import { microsToTimestamp } from '../../src/env/clock.ts';
import { noFailpoints } from '../../src/env/failpoint.ts';
import { systemClock } from '../../src/env/system.ts';
import { GetUpdatesResponse } from '../../src/gen/com/daml/ledger/api/v2/update_service.ts';
import { createBatchWriter } from '../../src/ingestion/batch-writer.ts';
import { registerCatalog } from '../../src/ingestion/catalog.ts';
import { claimStream } from '../../src/ingestion/position.ts';
import { receive } from '../../src/ingestion/received-update.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { COIN, createHolding, createOffer, preapprovalSend, TREASURY } from '../support/transactions.ts';

const MALLORY = 'mallory::1220ff';
const JUNK = { admin: MALLORY, id: 'Junk' };
const JUNK_COUNT = 33_000;

let database: TestDatabase;

beforeEach(async () => {
  database = await createTestDatabase();
});

afterEach(async () => {
  await database.close();
});

test('A21: a deposit beside 33,000 offers of a stranger is stored as what it is, and nothing freezes', {
  timeout: 180_000,
}, async () => {
  const { db, logger } = database;
  const [treasury] = await registerCatalog(db, {
    network: 'testnet',
    treasuries: [{ name: 'hot', party: TREASURY }],
    instruments: [{ ...COIN, name: 'Coin' }],
  });
  if (treasury === undefined) throw new Error('No treasury.');
  const lease = await createLeases({ db }).acquire({ name: 'test', holder: 'test', ttlMs: 600_000 });
  if (lease === null) throw new Error('No lease.');
  const writer = createBatchWriter({
    db,
    treasury,
    sinks: [createDepositSink({ clock: systemClock }), createTreasurySink()],
    clock: systemClock,
    logger,
    failpoint: noFailpoints,
  });
  const junk = Array.from({ length: JUNK_COUNT }, (_, index) =>
    createOffer({
      node: index,
      cid: `00junk${index}`,
      amount: '1',
      memo: 'junk',
      instrument: JUNK,
      signatories: [MALLORY],
    }),
  );
  const deposit = [
    preapprovalSend({ node: JUNK_COUNT, last: JUNK_COUNT + 1, memo: 'memo' }),
    createHolding({ node: JUNK_COUNT + 1, cid: '00a', amount: '1' }),
  ];
  const bytes = GetUpdatesResponse.encode(
    GetUpdatesResponse.fromPartial({
      update: {
        $case: 'transaction',
        value: {
          updateId: '12201',
          offset: 1n,
          recordTime: microsToTimestamp(1_795_305_600_000_000n),
          synchronizerId: 'sync',
          events: [...junk, ...deposit],
        },
      },
    }),
  ).finish();
  const update = receive({ bytes, message: GetUpdatesResponse.decode(bytes) });

  await writer.write([update], await claimStream(db, treasury, lease.token));

  expect(await db.selectFrom('quarantine').select(['reason', 'detail']).execute()).toEqual([]);
  const { rows } = await sql<{ count: bigint; last: number }>`SELECT count(*), max(rank) AS last FROM transfer`.execute(
    db,
  );
  expect(rows).toEqual([{ count: BigInt(JUNK_COUNT + 1), last: JUNK_COUNT }]);
  const { memo, instrument } = await db
    .selectFrom('transfer')
    .innerJoin('instrument', 'instrument.id', 'transfer.instrument_id')
    .select(['memo', 'instrument.instrument_id as instrument'])
    .where('rank', '=', JUNK_COUNT)
    .executeTakeFirstOrThrow();
  expect({ memo, instrument }).toEqual({ memo: 'memo', instrument: COIN.id });
  expect(await db.selectFrom('money_freeze').select('reason').execute()).toEqual([]);
});
