/**
 * Withdrawals executed for real: the automation prepares, checks, signs and executes over gRPC, and believes only what ingestion sees. The network loses answers, drops, duplicates and lies;
 * its own ledger says how often each withdrawal was paid.
 */
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { checkBooks } from '../../src/books/check-books.ts';
import { CustodyRefusal } from '../../src/custody/custody-refusal.ts';
import { createLocalSigner, ed25519PrivateKey } from '../../src/custody/local-signer.ts';
import { SignerUnavailable } from '../../src/custody/signer.ts';
import { RetryableError } from '../../src/env/errors.ts';
import { systemClock } from '../../src/env/system.ts';
import type { AttemptLimits } from '../../src/submissions/attempts.ts';
import { parseAmount } from '../../src/tokens/amount.ts';
import { createWithdrawals, type Withdrawals } from '../../src/withdrawals/withdrawal-requests.ts';
import { createWithdrawalSink } from '../../src/withdrawals/withdrawal-sink.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { type RunningIngestion, startIngestion } from '../support/ingestion.ts';
import { NETWORK, startTestNetwork, type TestNetwork } from '../support/network.ts';
import { type PayoutOptions, SIGNER_SEED, startPayouts } from '../support/payouts.ts';
import { registryOf } from '../support/simnet-registry.ts';

const LIMITS: AttemptLimits = {
  ttlMs: 4_000,
  recordTimeAgeMsMax: 600_000,
  recordTimeAheadMsMax: 600_000,
  attemptsMax: 2,
  triesMax: 6,
  tryHoldMs: 1_000,
};

let database: TestDatabase;
let simnet: TestNetwork;
let ingestion: RunningIngestion;
let withdrawals: Withdrawals;
const stopping: (() => Promise<void>)[] = [];

beforeEach(async () => {
  database = await createTestDatabase();
  simnet = await startTestNetwork('payouts');
  const key = await createLocalSigner({ privateKey: ed25519PrivateKey(SIGNER_SEED) }).currentKey();
  simnet.network.registerKey('treasury', key.publicKey.export({ type: 'spki', format: 'der' }));
  simnet.network.preapprove({ instrument: 'amulet', receiver: 'bob' });
  ingestion = await startIngestion({
    connectionString: database.connectionString,
    ledgerUrl: simnet.ledgerUrl(),
    catalog: simnet.catalog,
    sinks: [createWithdrawalSink({ clock: systemClock, logger: database.logger })],
  });
  withdrawals = createWithdrawals({ db: database.db, clock: systemClock, network: NETWORK, idKey: new Uint8Array(32) });
});

afterEach(async () => {
  for (const stop of stopping.splice(0)) await stop();
  await ingestion.stop();
  await simnet.stop();
  await database.close();
});

function start(options: Partial<Pick<PayoutOptions, 'limits' | 'signer' | 'registry' | 'logger'>> = {}) {
  const [treasury] = ingestion.treasuries;
  if (treasury === undefined) throw new Error('No treasury.');
  const payouts = startPayouts({
    db: database.db,
    treasury,
    ledgerUrl: simnet.ledgerUrl(),
    registry: options.registry ?? registryOf(simnet),
    logger: options.logger ?? database.logger,
    limits: options.limits ?? LIMITS,
    ...(options.signer && { signer: options.signer }),
  });
  stopping.push(payouts.stop);
  return payouts;
}

function fund(count: number, amount = '10'): void {
  for (let index = 0; index < count; index += 1)
    simnet.network.tap({ instrument: 'amulet', owner: 'treasury', amount });
}

const ask = (key: string, amount = '5', receiver = 'bob') =>
  withdrawals.create({
    client: 'exchange',
    idempotencyKey: key,
    account: 'alice',
    treasuryParty: simnet.network.party('treasury'),
    instrument: simnet.network.instrument('amulet'),
    receiver: simnet.network.party(receiver),
    amount: parseAmount(amount),
    memo: null,
  });

async function states(): Promise<Record<string, number>> {
  const { rows } = await sql<{
    state: string;
    count: number;
  }>`SELECT state, count(*)::int AS count FROM withdrawal GROUP BY 1`.execute(database.db);
  return Object.fromEntries(rows.map(({ state, count }) => [state, count]));
}

const become = (wanted: Record<string, number>, deadlineMs = 20_000) =>
  eventually(async () => expect(await states()).toEqual(wanted), { deadlineMs });
const paidToBob = () => simnet.network.balance({ instrument: 'amulet', owner: 'bob' });

test('a withdrawal is paid once, and completed because its transfer was seen', async () => {
  fund(1);
  start();
  await ask('one');
  await become({ COMPLETED: 1 });

  expect(await paidToBob()).toBe('5.0000000000');
  const [row] = await database.db.selectFrom('withdrawal').selectAll().execute();
  const transfer = await database.db
    .selectFrom('transfer')
    .selectAll()
    .where('id', '=', row?.transfer_id ?? '')
    .executeTakeFirstOrThrow();
  expect(transfer).toMatchObject({
    direction: 'OUT',
    amount: '5.0000000000',
    memo: row?.id,
    counterparty: simnet.network.party('bob'),
  });
  expect(await checkBooks(database.db)).toEqual([]);
});

test('E1, E2, E3: lost, dropped and doubled submissions pay each withdrawal exactly once', {
  timeout: 90_000,
}, async () => {
  fund(12);
  simnet.network.participant('participant1').faults.submissions.set({
    losePrepareAnswers: { share: 0.2 },
    loseExecuteAnswers: { share: 0.5 },
    dropExecutes: { share: 0.3 },
    duplicateExecutes: { share: 0.3 },
  });
  start({ limits: { ...LIMITS, attemptsMax: 20 } });
  start({ limits: { ...LIMITS, attemptsMax: 20 } });
  for (let index = 0; index < 12; index += 1) await ask(`key-${index}`);

  await become({ COMPLETED: 12 }, 60_000);
  expect(await paidToBob()).toBe('60.0000000000');
  expect(await checkBooks(database.db)).toEqual([]);
  expect(await database.db.selectFrom('reservation').selectAll().where('is_open', '=', true).execute()).toEqual([]);
});

test('one that never reaches the ledger fails with its proof, and the customer has his money back', {
  timeout: 60_000,
}, async () => {
  fund(1);
  simnet.network.participant('participant1').faults.submissions.set({ dropExecutes: { share: 1 } });
  start({ limits: { ...LIMITS, ttlMs: 1_500 } });
  await ask('dropped');
  await become({ FAILED: 1 }, 30_000);

  const attempts = await database.db.selectFrom('attempt').selectAll().orderBy('number').execute();
  expect(attempts.map(({ state, number }) => [number, state])).toEqual([
    [1, 'LAPSED'],
    [2, 'LAPSED'],
  ]);
  for (const attempt of attempts) expect(attempt.lapsed_by).toBeGreaterThan(attempt.target_record_time);
  expect(await paidToBob()).toBe('0.0000000000');
  const { rows } = await sql<{ total: string }>`
    SELECT sum(b.balance)::text AS total FROM account_balance b JOIN account a ON a.id = b.account_id WHERE a.kind IN ('CUSTOMER', 'WITHDRAWALS')`.execute(
    database.db,
  );
  expect(rows[0]?.total).toBe('0.0000000000');
});

test('Z14: a participant that lies in what it prepares gets no signature', { timeout: 60_000 }, async () => {
  fund(1);
  const local = createLocalSigner({ privateKey: ed25519PrivateKey(SIGNER_SEED) });
  let asked = 0;
  start({
    limits: { ...LIMITS, ttlMs: 1_500, attemptsMax: 1 },
    signer: {
      ...local,
      sign: (request) => {
        asked += 1;
        return local.sign(request);
      },
    },
  });
  simnet.network.participant('participant1').faults.submissions.set({
    lieInPrepare: { share: 1, lie: { kind: 'receiver', receiver: simnet.network.party('carol') } },
  });
  simnet.network.preapprove({ instrument: 'amulet', receiver: 'carol' });
  await ask('lied-to');
  await become({ FAILED: 1 }, 30_000);

  expect(asked).toBe(0);
  expect(simnet.network.balance({ instrument: 'amulet', owner: 'carol' })).toBe('0.0000000000');
  expect(await database.db.selectFrom('signed_hash').selectAll().execute()).toEqual([]);
});

test('a signature by a key that the party does not have is an error in the log, and is not sent', async () => {
  fund(1);
  const local = createLocalSigner({ privateKey: ed25519PrivateKey(SIGNER_SEED) });
  const told: string[] = [];
  start({
    logger: { ...database.logger, error: (message) => told.push(message) },
    signer: {
      ...local,
      sign: async () => {
        throw new CustodyRefusal('SIGNATURE_INVALID', 'A key that the party does not have.', 'signature.signedBy');
      },
    },
  });
  await ask('signed-by-another');
  await eventually(() => expect(told).toContain('What the signer signed cannot be sent.'));

  expect(simnet.network.balance({ instrument: 'amulet', owner: 'bob' })).toBe('0.0000000000');
});

test('a receiver who takes only offers fails the withdrawal at once, since nothing was signed', async () => {
  fund(1);
  start();
  await ask('offer-only', '5', 'dave');
  await become({ FAILED: 1 });

  const row = await database.db.selectFrom('withdrawal').select(['failure_code']).executeTakeFirstOrThrow();
  expect(row.failure_code).toBe('RECEIVER_NOT_PREAPPROVED');
});

test('F1, S1: however long the registry or the signer is away, nothing fails of it, and it is paid when they are back', {
  timeout: 60_000,
}, async () => {
  fund(1);
  const away = { registry: true, signer: true };
  const local = createLocalSigner({ privateKey: ed25519PrivateKey(SIGNER_SEED) });
  const registry = registryOf(simnet);
  start({
    limits: { ...LIMITS, ttlMs: 6_000, tryHoldMs: 6_000, attemptsMax: 1 },
    registry: {
      ...registry,
      transferFactory: async (...asked) => {
        if (away.registry) throw new RetryableError('REGISTRY_UNREACHABLE', 'Nobody is there.');
        return await registry.transferFactory(...asked);
      },
    },
    signer: {
      ...local,
      sign: async (request) => {
        if (away.signer) throw new SignerUnavailable('SIGNER_UNAVAILABLE', 'Nobody is there.');
        return await local.sign(request);
      },
    },
  });
  await ask('patient');
  const attemptsBecome = async (count: number) =>
    await eventually(
      async () =>
        expect((await database.db.selectFrom('attempt').select('number').execute()).length).toBeGreaterThanOrEqual(
          count,
        ),
      { deadlineMs: 30_000 },
    );
  await attemptsBecome(2);
  away.registry = false;
  const { length: untilSigner } = await database.db.selectFrom('attempt').select('number').execute();
  await attemptsBecome(untilSigner + 1);
  away.signer = false;
  await become({ COMPLETED: 1 }, 30_000);
  expect(await paidToBob()).toBe('5.0000000000');
});

test('S1: who asks while a signer keeps another payment waiting is given funds and paid meanwhile', async () => {
  fund(2);
  const local = createLocalSigner({ privateKey: ed25519PrivateKey(SIGNER_SEED) });
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  let signatures = 0;
  start({
    limits: { ...LIMITS, ttlMs: 60_000, tryHoldMs: 30_000 },
    signer: {
      ...local,
      sign: async (request) => {
        signatures += 1;
        if (signatures === 1) await released;
        return await local.sign(request);
      },
    },
  });
  await ask('kept waiting');
  await eventually(() => expect(signatures).toBe(1));

  await ask('meanwhile');

  await become({ IN_FLIGHT: 1, COMPLETED: 1 }, 6_000);
  release();
  await become({ COMPLETED: 2 });
  expect(await paidToBob()).toBe('10.0000000000');
});

test('a signer who refuses for what he signed of it before, of which we know nothing any more, does not keep it waiting for ever', {
  timeout: 60_000,
}, async () => {
  fund(1);
  const local = createLocalSigner({ privateKey: ed25519PrivateKey(SIGNER_SEED) });
  start({
    limits: { ...LIMITS, ttlMs: 2_000, tryHoldMs: 2_000, attemptsMax: 2 },
    signer: {
      ...local,
      sign: async () => {
        throw new CustodyRefusal('SIGNING_INPUT_NOT_KEPT', 'No input of an earlier attempt is kept.', 'intent.inputs');
      },
    },
  });
  await ask('remembered');
  await become({ FAILED: 1 }, 30_000);
  expect((await database.db.selectFrom('attempt').select('state').execute()).map(({ state }) => state)).toEqual([
    'LAPSED',
    'LAPSED',
  ]);
  expect(await paidToBob()).toBe('0.0000000000');
});
