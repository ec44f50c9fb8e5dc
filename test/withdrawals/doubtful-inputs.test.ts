/**
 * Inputs of a signed attempt that went away unseen: the transfer that took them may have been ours. However far the record time is past the target, and whoever lifted which freeze, the attempt
 * must not be called dead, or the next one pays again.
 */
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createTreasurySink } from '../../src/books/treasury-sink.ts';
import { createLeases } from '../../src/db/lease.ts';
import { createDepositSink } from '../../src/deposits/deposit-sink.ts';
import { PermanentError } from '../../src/env/errors.ts';
import { noFailpoints } from '../../src/env/failpoint.ts';
import { createSystemLogger, systemClock } from '../../src/env/system.ts';
import { createBatchWriter } from '../../src/ingestion/batch-writer.ts';
import type { EffectSink } from '../../src/ingestion/effect-sink.ts';
import { claimStream } from '../../src/ingestion/position.ts';
import { planRecovery, recover } from '../../src/ingestion/recover.ts';
import { createLedgerClient } from '../../src/ledger/ledger-client.ts';
import { recordSignatureRequest } from '../../src/submissions/attempt-signing.ts';
import { lapseAttempts, type OpenAttempt, takeDueAttempts } from '../../src/submissions/attempts.ts';
import { parseAmount } from '../../src/tokens/amount.ts';
import { openAttempts } from '../../src/withdrawals/attempt-funding.ts';
import { WITHDRAWALS } from '../../src/withdrawals/attempts.ts';
import { createWithdrawals } from '../../src/withdrawals/withdrawal-requests.ts';
import { createWithdrawalSink } from '../../src/withdrawals/withdrawal-sink.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { type IngestionOptions, type RunningIngestion, startIngestion } from '../support/ingestion.ts';
import { NETWORK, startTestNetwork, type TestNetwork } from '../support/network.ts';

const LIMITS = {
  ttlMs: 1_000,
  recordTimeAgeMsMax: 600_000,
  recordTimeAheadMsMax: 600_000,
  attemptsMax: 3,
  triesMax: 5,
  tryHoldMs: 0,
};
const HASH = new Uint8Array(32).fill(9);
const logger = createSystemLogger('silent');

let database: TestDatabase;
let simnet: TestNetwork;
let ingestion: RunningIngestion;

beforeEach(async () => {
  database = await createTestDatabase();
  simnet = await startTestNetwork('doubtful', { checkpoints: { busyMs: 50, idleMs: 100 } });
  simnet.network.preapprove({ instrument: 'amulet', receiver: 'bob' });
});

afterEach(async () => {
  await ingestion.stop();
  await simnet.stop();
  await database.close();
});

const withdrawalSink = () => createWithdrawalSink({ clock: systemClock, logger });

async function start(options: Partial<IngestionOptions> = {}): Promise<void> {
  ingestion = await startIngestion({
    connectionString: database.connectionString,
    ledgerUrl: simnet.ledgerUrl(),
    catalog: simnet.catalog,
    sinks: [withdrawalSink()],
    settings: { leaseTtlMs: 600 },
    ...options,
  });
}

const treasury = () => {
  const [only] = ingestion.treasuries;
  if (only === undefined) throw new Error('No treasury.');
  return only;
};
const lapse = () => lapseAttempts(database.db, WITHDRAWALS, treasury().id, LIMITS, systemClock.nowMicros());
const fund = () => openAttempts(database.db, treasury().id, LIMITS, systemClock.nowMicros());
const stateOfWithdrawal = async () =>
  (await database.db.selectFrom('withdrawal').select('state').executeTakeFirstOrThrow()).state;

/** A withdrawal of 5 whose first attempt was signed, over a treasury of two holdings. */
async function signedAttempt(): Promise<OpenAttempt> {
  for (const amount of ['6', '7']) simnet.network.tap({ instrument: 'amulet', owner: 'treasury', amount });
  await eventually(async () =>
    expect(await database.db.selectFrom('holding').select('contract_id').execute()).toHaveLength(2),
  );
  await createWithdrawals({ db: database.db, clock: systemClock, network: NETWORK, idKey: new Uint8Array(32) }).create({
    client: 'exchange',
    idempotencyKey: 'key',
    account: 'alice',
    treasuryParty: simnet.network.party('treasury'),
    instrument: simnet.network.instrument('amulet'),
    receiver: simnet.network.party('bob'),
    amount: parseAmount('5'),
    memo: null,
  });
  expect(await fund()).toBe(1);
  const nowMicros = systemClock.nowMicros();
  const [attempt] = await takeDueAttempts(database.db, WITHDRAWALS, treasury().id, LIMITS, { nowMicros, countMax: 9 });
  if (attempt === undefined) throw new Error('No attempt.');
  await recordSignatureRequest(database.db, WITHDRAWALS, attempt, { hash: HASH, scheme: 'V3', nowMicros });
  return attempt;
}

function pay(
  { transfer }: OpenAttempt,
  more: { readonly amount?: string; readonly externalTransactionHash?: Uint8Array },
) {
  simnet.network.transfer({
    instrument: 'amulet',
    sender: 'treasury',
    receiver: 'bob',
    amount: transfer.amount,
    inputHoldingCids: transfer.inputHoldingCids,
    ...more,
  });
}

const passedTarget = async ({ target }: OpenAttempt) =>
  await eventually(async () => {
    const { rows } = await sql<{ time: bigint }>`SELECT max(record_time) AS time FROM synchronizer_time`.execute(
      database.db,
    );
    expect(rows[0]?.time ?? 0n).toBeGreaterThan(target);
  });

const liftEveryFreeze = () =>
  database.db
    .updateTable('money_freeze')
    .set({ lifted_at: 1n, lifted_by: 'operator', lift_detail: 'looked' })
    .execute();

test('a transfer whose hash the participant does not tell is known by its inputs and fields', async () => {
  await start();
  pay(await signedAttempt(), {});

  await eventually(async () => expect(await stateOfWithdrawal()).toBe('COMPLETED'));
});

test('E8: a transfer of the same inputs that pays something else is not ours, and the attempt lapses', async () => {
  await start();
  const attempt = await signedAttempt();
  pay(attempt, { amount: '5.5' });
  await passedTarget(attempt);

  expect(await stateOfWithdrawal()).toBe('IN_FLIGHT');
  expect(await lapse()).toBe(1);
  expect(await fund()).toBe(1);
});

test('E8: inputs that went in an update nobody could book prove nothing, also when its freeze was lifted', async () => {
  let isRefusing = true;
  const refusing: EffectSink = {
    name: 'refusing',
    apply: async (_tx, _treasury, changes) => {
      if (isRefusing && changes.some(({ direction }) => direction === 'OUT'))
        throw new PermanentError('TEST', 'Cannot book it.');
    },
  };
  await start({ sinks: [refusing, withdrawalSink()] });
  const attempt = await signedAttempt();
  pay(attempt, { externalTransactionHash: HASH });
  await eventually(async () =>
    expect(await database.db.selectFrom('quarantine').select('reason').execute()).toHaveLength(1),
  );
  await passedTarget(attempt);
  isRefusing = false;

  await liftEveryFreeze();
  expect(await lapse()).toBe(0);
  expect(await fund()).toBe(0);
  expect(await stateOfWithdrawal()).toBe('IN_FLIGHT');
});

test('A16: inputs that went behind a gap of history prove nothing, also when its freeze was lifted', {
  timeout: 60_000,
}, async () => {
  await start();
  const attempt = await signedAttempt();
  await ingestion.stop();
  // Paid while nobody reads; then the participant forgets.
  pay(attempt, { externalTransactionHash: HASH });
  const node = simnet.network.participant('participant1');
  node.prune(node.ledgerEnd());
  await start();
  await eventually(async () =>
    expect(await database.db.selectFrom('ingestion_stream').select('status').executeTakeFirstOrThrow()).toEqual({
      status: 'HALTED',
    }),
  );
  const served = treasury();
  await ingestion.stop();
  await recoverBehindTheGap(served);
  await start();
  await passedTarget(attempt);

  await liftEveryFreeze();
  expect(await lapse()).toBe(0);
  expect(await fund()).toBe(0);
  expect(await stateOfWithdrawal()).toBe('IN_FLIGHT');
});

async function recoverBehindTheGap(served: ReturnType<typeof treasury>): Promise<void> {
  const { db } = database;
  const ledger = createLedgerClient({ url: simnet.ledgerUrl() });
  const { signal } = new AbortController();
  const plan = await planRecovery({ db, ledger, treasury: served, clock: systemClock, listenMs: 500, signal });
  const leases = createLeases({ db });
  const lease = await leases.acquire({ name: `ingestion:${served.id}`, holder: 'operator', ttlMs: 60_000 });
  if (lease === null) throw new Error('The stream is taken.');
  const sinks = [withdrawalSink(), createDepositSink({ clock: systemClock }), createTreasurySink()];
  const writer = createBatchWriter({
    db,
    treasury: served,
    sinks,
    clock: systemClock,
    logger,
    failpoint: noFailpoints,
  });
  const position = await claimStream(db, served, lease.token);
  await recover({ db, treasury: served, writer, clock: systemClock, by: 'operator', why: 'pruned' }, position, plan);
  await leases.release(lease);
  ledger.close();
}
