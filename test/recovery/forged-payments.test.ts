/**
 * What a registry can make look like a payment of ours, without us: it is told all that travels with a payment before it is signed, and an admin alone may sign an offer that names us as its sender.
 */

import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { checkWithdrawals } from '../../src/books/check-withdrawals.ts';
import { createLeases } from '../../src/db/lease.ts';
import { recoverRefund } from '../../src/deposits/recovered-refund.ts';
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
import { withdrawalId } from '../../src/tokens/ids.ts';
import { isPaidBefore } from '../../src/withdrawals/earlier-payment.ts';
import { recoverLate } from '../../src/withdrawals/late-recovery.ts';
import { createPaymentRecovery } from '../../src/withdrawals/recovered-payments.ts';
import { approveResolution, askResolution } from '../../src/withdrawals/resolution.ts';
import { createOriginSeal, metadataOf } from '../../src/withdrawals/transfer-metadata.ts';
import { createWithdrawals } from '../../src/withdrawals/withdrawal-requests.ts';
import { createWithdrawalSink } from '../../src/withdrawals/withdrawal-sink.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import {
  ADMIN,
  COIN,
  createHolding,
  createOffer,
  exercise,
  record,
  TREASURY,
  transferValue,
  variant,
} from '../support/transactions.ts';

const NETWORK = 'testnet';
const BOB = `bob::1220${'bb'.repeat(32)}`;
const idKey = new Uint8Array(32).fill(5);
const seal = createOriginSeal({ idKey });
const WINDOW = { ttlMicros: 1_000_000n, marginMicros: 0n };

let database: TestDatabase;
let treasury: Treasury;
let offset = 0n;

beforeEach(async () => {
  database = await createTestDatabase();
  const [only] = await registerCatalog(database.db, {
    network: NETWORK,
    treasuries: [{ name: 'hot', party: TREASURY }],
    instruments: [{ ...COIN, name: 'Coin' }],
  });
  if (only === undefined) throw new Error('No treasury.');
  treasury = only;
  offset = 0n;
});

afterEach(async () => {
  await database.close();
});

const quiet = () => ({ ...database.logger, warn: () => undefined, error: () => undefined });

function sink() {
  const recover = createPaymentRecovery({ seal, clock: systemClock, logger: quiet(), window: WINDOW, recoverRefund });
  return createWithdrawalSink({ clock: systemClock, logger: quiet(), recover });
}

async function ingest(events: Event[], sinks = [sink()]): Promise<void> {
  const { db } = database;
  const lease = await createLeases({ db, clock: systemClock }).acquire({ name: 'test', holder: 'test', ttlMs: 60_000 });
  if (lease === null) throw new Error('No lease.');
  const position = await claimStream(db, treasury, lease.token);
  const writer = createBatchWriter({
    db,
    treasury,
    sinks,
    clock: systemClock,
    logger: quiet(),
    failpoint: noFailpoints,
  });
  offset += 1n;
  const bytes = GetUpdatesResponse.encode(
    GetUpdatesResponse.fromPartial({
      update: {
        $case: 'transaction',
        value: {
          updateId: `1220${offset}`,
          offset,
          recordTime: microsToTimestamp(systemClock.nowMicros()),
          synchronizerId: 'sync::1220',
          events,
        },
      },
    }),
  ).finish();
  await writer.write([receive({ bytes, message: GetUpdatesResponse.decode(bytes) })], position);
}

/** A withdrawal that waits, and what its payment will carry: the registry is asked with that. */
async function asked(): Promise<Record<string, string>> {
  await ingest([createHolding({ node: 0, cid: '00funds', amount: '100' })]);
  const withdrawals = createWithdrawals({ db: database.db, clock: systemClock, network: NETWORK, idKey, seal });
  const { id } = await withdrawals.create({
    client: 'exchange',
    idempotencyKey: 'key',
    account: 'alice',
    treasuryParty: TREASURY,
    instrument: COIN,
    receiver: BOB,
    amount: parseAmount('50'),
    memo: null,
  });
  const { sealed_origin: sealedOrigin } = await database.db
    .selectFrom('withdrawal')
    .select('sealed_origin')
    .executeTakeFirstOrThrow();
  expect(sealedOrigin).not.toBeNull();
  return metadataOf({ id, memo: null, sealedOrigin });
}

async function expectNothingHappened(): Promise<void> {
  const { db } = database;
  expect(await db.selectFrom('withdrawal').select(['state', 'transfer_id']).execute()).toEqual([
    { state: 'QUEUED', transfer_id: null },
  ]);
  expect(await db.selectFrom('database_restore').selectAll().execute()).toEqual([]);
  expect(await db.selectFrom('money_freeze').selectAll().execute()).toEqual([]);
}

test('Z13: an offer that its admin made alone, with all that a payment of ours carries, is not that payment, and tells of no restore', async () => {
  const meta = await asked();
  await ingest([
    createOffer({
      node: 0,
      cid: '00forged',
      sender: TREASURY,
      receiver: BOB,
      amount: '50',
      meta,
      signatories: [ADMIN],
    }),
  ]);
  expect(
    await database.db.selectFrom('transfer').select(['direction', 'kind']).where('kind', '=', 'OFFER').execute(),
  ).toEqual([{ direction: 'OUT', kind: 'OFFER' }]);
  await expectNothingHappened();
  // Nor when somebody looks again.
  expect(await recoverLate(database.db, treasury, sink())).toBe(0);
  await expectNothingHappened();
});

test('Z13: a transfer that its admin tells of alone, and that takes nothing from us, pays nobody', async () => {
  const meta = await asked();
  await ingest([
    exercise({
      node: 0,
      last: 1,
      on: 'factory',
      choice: 'TransferFactory_Transfer',
      acting: [ADMIN],
      argument: record({ transfer: transferValue({ sender: TREASURY, receiver: BOB, amount: '50', meta }) }),
      result: record({ output: variant('TransferInstructionResult_Completed', record({})) }),
    }),
    createHolding({ node: 1, cid: '00crumb', amount: '0.01' }),
  ]);
  await expectNothingHappened();
});

test('Z13: an offer of a stranger’s own instrument, with the id of a withdrawal, keeps it neither from being paid nor from being cancelled', async () => {
  const meta = await asked();
  const MALLORY = 'mallory::1220ff';
  const forged = { sender: TREASURY, receiver: BOB, amount: '50', meta, signatories: [MALLORY] };
  await ingest([createOffer({ node: 0, cid: '00forged', instrument: { admin: MALLORY, id: 'Fake' }, ...forged })]);
  expect(await database.db.selectFrom('transfer').select('direction').where('kind', '=', 'OFFER').execute()).toEqual([
    { direction: 'OUT' },
  ]);
  await expectNothingHappened();

  const { rows } = await sql<{ isPaid: boolean }>`
    SELECT ${isPaidBefore(sql`ARRAY[w.id]`)} AS "isPaid" FROM withdrawal w`.execute(database.db);
  expect(rows).toEqual([{ isPaid: false }]);
  const withdrawals = createWithdrawals({ db: database.db, clock: systemClock, network: NETWORK, idKey, seal });
  const { id } = await database.db.selectFrom('withdrawal').select('id').executeTakeFirstOrThrow();
  expect(await withdrawals.cancel('exchange', id)).toBe(true);
});

test('C12: what did take it from us is found to be paid', async () => {
  const meta = await asked();
  await ingest([
    exercise({
      node: 0,
      last: 2,
      on: 'factory',
      choice: 'TransferFactory_Transfer',
      acting: [TREASURY],
      argument: record({ transfer: transferValue({ sender: TREASURY, receiver: BOB, amount: '50', meta }) }),
      result: record({ output: variant('TransferInstructionResult_Completed', record({})) }),
    }),
    exercise({ node: 1, cid: '00funds', consuming: true, acting: [TREASURY, ADMIN] }),
    createHolding({ node: 2, cid: '00change', amount: '50' }),
  ]);
  expect(await database.db.selectFrom('withdrawal').select('state').execute()).toEqual([{ state: 'COMPLETED' }]);
});

/** Its factory took our holding, said that nothing was transferred, and gave `change` back. */
const failed = (meta: Record<string, string>, change: string): Event[] => [
  exercise({
    node: 0,
    last: 2,
    on: 'factory',
    choice: 'TransferFactory_Transfer',
    acting: [TREASURY],
    argument: record({ transfer: transferValue({ sender: TREASURY, receiver: BOB, amount: '50', meta }) }),
    result: record({ output: variant('TransferInstructionResult_Failed', record({})) }),
  }),
  exercise({ node: 1, cid: '00funds', consuming: true, acting: [TREASURY, ADMIN] }),
  createHolding({ node: 2, cid: '00change', amount: change }),
];

async function expectForPeople(id: string): Promise<void> {
  const { db } = database;
  expect(await db.selectFrom('withdrawal').select(['id', 'state', 'doubt_code', 'update_id']).execute()).toEqual([
    { id, state: 'UNRESOLVED', doubt_code: 'TRANSFER_FAILED', update_id: `1220${offset}` },
  ]);
  const freezes = await db.selectFrom('money_freeze').select(['reason', 'detail']).orderBy('reason').execute();
  expect(freezes.map(({ reason }) => reason)).toEqual(['DATABASE_WENT_BACK', 'OFFER_END_UNREADABLE']);
  // It was no offer.
  expect(freezes[1]?.detail).toMatch(/^The transfer .* says of itself that it did not pay\.$/);
  expect(await db.transaction().execute(checkWithdrawals)).toEqual([]);
  // Debited once, neither paid nor given back.
  const { rows } = await sql<{ kind: string; balance: string }>`
    SELECT a.kind, b.balance::text FROM account_balance b JOIN account a ON a.id = b.account_id WHERE a.kind IN ('CUSTOMER', 'WITHDRAWALS') ORDER BY 1`.execute(
    db,
  );
  expect(rows).toEqual([
    { kind: 'CUSTOMER', balance: '-50.0000000000' },
    { kind: 'WITHDRAWALS', balance: '50.0000000000' },
  ]);
}

test.each([
  ['came back', '100'],
  ['went somewhere', '50'],
])(
  'C12: a payment of the lost life that says of itself that it failed counts neither as paid nor as unpaid, whether its money %s',
  async (_where, change) => {
    const meta = await asked();
    const { id } = await database.db.selectFrom('withdrawal').select('id').executeTakeFirstOrThrow();
    await ingest(failed(meta, change));
    await expectForPeople(id);
    const withdrawals = createWithdrawals({ db: database.db, clock: systemClock, network: NETWORK, idKey, seal });
    expect(await withdrawals.cancel('exchange', id)).toBe(false);
    // Asked about twice, it is told once: what was read is not read as another sign of a restore.
    expect(await recoverLate(database.db, treasury, sink())).toBe(0);

    const word = { withdrawalId: id, evidence: 'the registry was asked', updateId: null, nowMicros: 1n };
    await expect(askResolution(database.db, { ...word, outcome: 'FAILED', by: 'ann' })).rejects.toThrow();
    const resolutionId = await askResolution(database.db, { ...word, outcome: 'RETURNED', by: 'ann' });
    await sql`UPDATE money_freeze SET lifted_at = 1, lifted_by = 'ann', lift_detail = 'looked'`.execute(database.db);
    await approveResolution(database.db, { resolutionId, reason: 'seen as well', by: 'ben', nowMicros: 2n });
    expect(await database.db.selectFrom('withdrawal').select('state').execute()).toEqual([{ state: 'RETURNED' }]);
    expect(await database.db.transaction().execute(checkWithdrawals)).toEqual([]);
  },
);

test('C12: a failed payment of a withdrawal that is gone as well, read before its key was there, makes it anew for people to decide', async () => {
  await ingest([createHolding({ node: 0, cid: '00funds', amount: '100' })]);
  const id = withdrawalId(idKey, 'exchange', 'gone');
  const sealedOrigin = seal.seal(
    {
      client: 'exchange',
      idempotencyKey: 'gone',
      account: 'alice',
      requestHash: new Uint8Array(32),
      payer: { kind: 'CUSTOMER', owner: 'alice' },
    },
    { withdrawalId: id, receiver: BOB, instrument: COIN, amount: parseAmount('50'), memo: null },
  );
  const unable = createWithdrawalSink({ clock: systemClock, logger: quiet() });
  await ingest(failed(metadataOf({ id, memo: null, sealedOrigin }), '100'), [unable]);
  expect(await database.db.selectFrom('withdrawal').selectAll().execute()).toEqual([]);

  expect(await recoverLate(database.db, treasury, sink())).toBe(1);
  await expectForPeople(id);
});
