/**
 * Updates that a stranger can make the participant show us: anybody may be the admin of an instrument and put any number and any text into its contracts. None of
 * them may stop the stream or hide what else the same update brought.
 */
import { randomBytes } from 'node:crypto';
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { checkBooks } from '../../src/books/check-books.ts';
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
import { compareWithRebuild } from '../../src/ingestion/rebuild.ts';
import { type ReceivedUpdate, receive } from '../../src/ingestion/received-update.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { registerMemos } from '../support/ingestion.ts';
import {
  COIN,
  createHolding,
  createOffer,
  exercise,
  labelledResult,
  preapprovalSend,
  record,
  TREASURY,
  transferValue,
  variant,
} from '../support/transactions.ts';

const NETWORK = 'testnet';
const MALLORY = 'mallory::1220ff';
const FAKE = { admin: MALLORY, id: 'Fake' };
const START = 1_795_305_600_000_000n;

let database: TestDatabase;
let treasury: Treasury;

beforeEach(async () => {
  database = await createTestDatabase();
  await registerMemos(database.db, NETWORK, { 'alice-memo': 'alice' });
  const [only] = await registerCatalog(database.db, {
    network: NETWORK,
    treasuries: [{ name: 'hot', party: TREASURY }],
    instruments: [{ ...COIN, name: 'Coin' }],
  });
  if (only === undefined) throw new Error('No treasury.');
  treasury = only;
});

afterEach(async () => {
  await database.close();
});

function updateOf(offset: bigint, events: Event[], traceparent?: string): ReceivedUpdate {
  const recordTime = microsToTimestamp(START + offset);
  const bytes = GetUpdatesResponse.encode(
    GetUpdatesResponse.fromPartial({
      update: {
        $case: 'transaction',
        value: {
          updateId: `1220${offset}`,
          offset,
          recordTime,
          synchronizerId: 'sync::1220',
          events,
          traceContext: { traceparent },
        },
      },
    }),
  ).finish();
  const update = receive({ bytes, message: GetUpdatesResponse.decode(bytes) });
  if (update.kind === 'CHECKPOINT') throw new Error('Not an update.');
  return update;
}

/** A deposit of one coin to alice. */
function deposit(cid: string, node = 0): Event[] {
  return [
    preapprovalSend({ node, last: node + 1, memo: 'alice-memo' }),
    createHolding({ node: node + 1, cid, amount: '1' }),
  ];
}

/** Writes updates as one batch of the stream does. @returns how many were quarantined. */
async function write(updates: Event[][]): Promise<number> {
  return await writeBatch((after) =>
    updates.map((events, index) => updateOf(after + BigInt(index) + 1n, events, 'trace\0parent')),
  );
}

async function writeBatch(batchAfter: (offset: bigint) => ReturnType<typeof receive>[]): Promise<number> {
  const { db, logger } = database;
  const lease = await createLeases({ db, clock: systemClock }).acquire({ name: 'test', holder: 'test', ttlMs: 60_000 });
  if (lease === null) throw new Error('No lease.');
  const position = await claimStream(db, treasury, lease.token);
  const writer = createBatchWriter({
    db,
    treasury,
    sinks: [createDepositSink({ clock: systemClock }), createTreasurySink()],
    clock: systemClock,
    logger: { ...logger, warn: () => undefined, error: () => undefined },
    failpoint: noFailpoints,
  });
  await writer.write(batchAfter(position.offset), position);
  return (await db.selectFrom('quarantine').select('update_id').execute()).length;
}

async function coins(): Promise<{ held: string | null; credited: string | null }> {
  const { rows } = await sql<{ held: string | null; credited: string | null }>`
    SELECT (SELECT sum(h.amount::numeric)::text FROM holding h JOIN instrument i ON i.id = h.instrument_id
            WHERE i.instrument_id = ${COIN.id} AND h.archived_update_id IS NULL) AS held,
           (SELECT sum(b.balance)::text FROM account_balance b JOIN account a ON a.id = b.account_id
            JOIN instrument i ON i.id = b.instrument_id AND i.instrument_id = ${COIN.id}
            WHERE a.kind = 'CUSTOMER') AS credited`.execute(database.db);
  return rows[0] ?? { held: null, credited: null };
}

async function expectConsistent(): Promise<void> {
  expect((await compareWithRebuild(database.db, treasury)).differences).toEqual([]);
  expect(await checkBooks(database.db)).toEqual([]);
}

const fakeHolding = (node: number, amount: string, more: Partial<Parameters<typeof createHolding>[0]> = {}) =>
  createHolding({ node, cid: `00fake${node}`, amount, instrument: FAKE, signatories: [MALLORY], ...more });
const fakeOffer = (node: number, amount: string, more: Partial<Parameters<typeof createOffer>[0]> = {}) =>
  createOffer({ node, cid: `00offer${node}`, amount, instrument: FAKE, signatories: [MALLORY], ...more });
const longId = { admin: MALLORY, id: randomBytes(6_000).toString('base64') };
const end = (node: number, last: number, cid: string) =>
  exercise({
    node,
    last,
    cid,
    consuming: true,
    on: 'instruction',
    choice: 'TransferInstruction_Accept',
    acting: [MALLORY],
    result: record({ output: variant('TransferInstructionResult_Completed', record({})) }),
  });

test.each([
  ['a holding of nothing', [fakeHolding(8, '0')]],
  ['a holding of less than nothing', [fakeHolding(8, '-5')]],
  ['an offer of less than nothing', [fakeOffer(8, '-5')]],
  [
    'a transfer of less than nothing',
    [
      exercise({
        node: 8,
        last: 9,
        on: 'factory',
        choice: 'TransferFactory_Transfer',
        acting: [MALLORY],
        argument: record({
          transfer: transferValue({ sender: TREASURY, receiver: MALLORY, amount: '-1', instrument: FAKE }),
        }),
        result: record({ output: variant('TransferInstructionResult_Completed', record({})) }),
      }),
      fakeHolding(9, '1'),
    ],
  ],
  ['an instrument whose id is too long for an index', [fakeHolding(8, '1', { instrument: longId })]],
  ['an offer of an instrument whose id is too long', [fakeOffer(8, '1', { instrument: longId })]],
  [
    'a lock with more holders than an index can take',
    [
      fakeHolding(8, '1', {
        lockHolders: Array.from({ length: 100 }, () => `h::1220${randomBytes(32).toString('hex')}`),
      }),
    ],
  ],
  [
    'holdings that add up to more than an amount can be',
    [fakeHolding(8, '9999999999999999999999999999'), fakeHolding(9, '9999999999999999999999999999')],
  ],
  [
    'a labelled transfer of more than an amount can be',
    [
      exercise({ node: 7, last: 9, acting: [MALLORY], result: labelledResult('transfer', 'alice-memo') }),
      fakeHolding(8, '9999999999999999999999999999'),
      fakeHolding(9, '9999999999999999999999999999'),
    ],
  ],
  [
    'an offer that takes at once and ends in the same update',
    [
      exercise({
        node: 6,
        last: 8,
        on: 'factory',
        choice: 'TransferFactory_Transfer',
        acting: [MALLORY],
        argument: record({
          transfer: transferValue({ sender: TREASURY, receiver: MALLORY, amount: '1', instrument: FAKE }),
        }),
        result: record({
          output: variant(
            'TransferInstructionResult_Pending',
            record({ transferInstructionCid: { sum: { $case: 'contractId', value: '00offer8' } } }),
          ),
        }),
      }),
      fakeHolding(7, '3'),
      fakeOffer(8, '1', { sender: TREASURY, receiver: MALLORY }),
      end(9, 10, '00offer8'),
      fakeHolding(10, '4'),
    ],
  ],
] as const)('%s neither stops the stream nor hides the deposit beside it', async (_, hostile) => {
  const quarantined = await write([deposit('00a'), [...deposit('00b'), ...hostile], deposit('00c')]);

  expect(await coins()).toEqual({ held: '3.0000000000', credited: '3.0000000000' });
  expect(quarantined).toBe(0);
  await expectConsistent();
});

test('what the tables refuse is quarantined alone, and the rebuild leaves it out as well: an offer that gathers more than an amount can be', async () => {
  const step = (node: number, cid: string, next: string): Event[] => [
    exercise({
      node,
      last: node + 2,
      cid,
      consuming: true,
      on: 'instruction',
      choice: 'TransferInstruction_Update',
      acting: [MALLORY],
      result: record({ output: variant('TransferInstructionResult_Pending', record({})) }),
    }),
    fakeHolding(node + 1, '9999999999999999999999999999', { cid: `00gift-${cid}` }),
    fakeOffer(node + 2, '1', { cid: next, original: '00offer0' }),
  ];
  await write([[fakeOffer(0, '1')], step(0, '00offer0', '00second')]);
  const quarantined = await write([deposit('00a'), step(0, '00second', '00third'), deposit('00b')]);

  expect(quarantined).toBe(1);
  expect(await coins()).toEqual({ held: '2.0000000000', credited: '2.0000000000' });
  await expectConsistent();
});

test('a reassignment is kept and quarantined: what it moved is not followed, and somebody must know', async () => {
  const bytes = GetUpdatesResponse.encode(
    GetUpdatesResponse.fromPartial({
      update: {
        $case: 'reassignment',
        value: { updateId: '1220ff', offset: 1n, recordTime: microsToTimestamp(START), synchronizerId: 'sync::1220' },
      },
    }),
  ).finish();
  const update = receive({ bytes, message: GetUpdatesResponse.decode(bytes) });

  expect(await writeBatch(() => [update])).toBe(1);
  expect(await database.db.selectFrom('quarantine').select(['update_id', 'reason']).execute()).toEqual([
    { update_id: '1220ff', reason: 'REASSIGNMENT_NOT_READ' },
  ]);
  await expectConsistent();
});
