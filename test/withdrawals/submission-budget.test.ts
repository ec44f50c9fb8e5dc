/** A network that is overloaded, and a participant without traffic: withdrawals wait, nobody storms, and everything is paid when it is over. */
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createLocalSigner, ed25519PrivateKey } from '../../src/custody/local-signer.ts';
import { millisToMicros } from '../../src/env/clock.ts';
import { RetryableError } from '../../src/env/errors.ts';
import { systemClock, systemRandom } from '../../src/env/system.ts';
import { knownRefusal } from '../../src/simnet/ledger/known-refusals.ts';
import type { AttemptLimits } from '../../src/submissions/attempts.ts';
import { type BudgetLimits, createSubmissionBudget } from '../../src/submissions/submission-budget.ts';
import { parseAmount } from '../../src/tokens/amount.ts';
import { createWithdrawals, type Withdrawals } from '../../src/withdrawals/withdrawal-requests.ts';
import { createWithdrawalSink } from '../../src/withdrawals/withdrawal-sink.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { type RunningIngestion, startIngestion } from '../support/ingestion.ts';
import { NETWORK, startTestNetwork, type TestNetwork } from '../support/network.ts';
import { SIGNER_SEED, startPayouts } from '../support/payouts.ts';
import { registryOf } from '../support/simnet-registry.ts';

const LIMITS: AttemptLimits = {
  ttlMs: 120_000,
  recordTimeAgeMsMax: 600_000,
  recordTimeAheadMsMax: 600_000,
  attemptsMax: 2,
  triesMax: 100,
  tryHoldMs: 5_000,
};
const PLENTY: BudgetLimits = { submissionsPerSecond: 100, trafficPerSecond: null, trafficReserve: 0 };
const PATIENCE = { deadlineMs: 40_000 };

let database: TestDatabase;
let simnet: TestNetwork;
let ingestion: RunningIngestion;
let withdrawals: Withdrawals;
const stopping: (() => Promise<void>)[] = [];

beforeEach(async () => {
  database = await createTestDatabase();
  simnet = await startTestNetwork('submission-budget');
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

/** @returns how often the participant was asked to prepare so far. */
function start(limits: BudgetLimits): () => number {
  const [treasury] = ingestion.treasuries;
  if (treasury === undefined) throw new Error('No treasury.');
  let prepared = 0;
  const payouts = startPayouts({
    db: database.db,
    treasury,
    ledgerUrl: simnet.ledgerUrl(),
    registry: registryOf(simnet),
    logger: database.logger,
    limits: LIMITS,
    budget: createSubmissionBudget({
      db: database.db,
      treasuryId: treasury.id,
      clock: systemClock,
      random: systemRandom,
      limits,
    }),
    wrapSubmitter: (submitter) => ({
      ...submitter,
      prepare: async (request) => {
        prepared += 1;
        return await submitter.prepare(request);
      },
    }),
  });
  stopping.push(payouts.stop);
  return () => prepared;
}

async function ask(count: number): Promise<void> {
  for (let index = 0; index < count; index += 1) {
    simnet.network.tap({ instrument: 'amulet', owner: 'treasury', amount: '10' });
    await withdrawals.create({
      client: 'exchange',
      idempotencyKey: `key-${index}`,
      account: 'alice',
      treasuryParty: simnet.network.party('treasury'),
      instrument: simnet.network.instrument('amulet'),
      receiver: simnet.network.party('bob'),
      amount: parseAmount('5'),
      memo: null,
    });
  }
}

async function completed(): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    SELECT count(*)::int AS count FROM withdrawal WHERE state = 'COMPLETED'`.execute(database.db);
  return rows[0]?.count ?? 0;
}

const pauses = async () => await database.db.selectFrom('submission_pause').selectAll().execute();

test('E17: an overloaded participant is asked less and less, and paid through again when it has recovered', async () => {
  const participant = simnet.network.participant('participant1');
  participant.faults.rejectCalls({
    share: 1,
    refusal: knownRefusal('PARTICIPANT_BACKPRESSURE'),
    calls: ['prepareSubmission'],
  });
  await ask(10);
  const prepared = start(PLENTY);
  await eventually(async () => expect((await pauses())[0]?.refusals).toBeGreaterThanOrEqual(3), PATIENCE);

  // The first ones went at once; from then on one at a time, each after a longer wait.
  expect(prepared()).toBeLessThanOrEqual(16 + 3 + 2);
  expect(await pauses()).toMatchObject([{ code: 'PARTICIPANT_BACKPRESSURE' }]);
  participant.faults.acceptCalls();
  await eventually(async () => expect(await completed()).toBe(10), PATIENCE);
  expect(await pauses()).toEqual([]);
});

test('E16: a participant without traffic is left alone until it has some', async () => {
  const participant = simnet.network.participant('participant1');
  participant.faults.rejectCalls({
    share: 1,
    refusal: knownRefusal('SEQUENCER_NOT_ENOUGH_TRAFFIC_CREDIT'),
    calls: ['executeSubmission'],
  });
  await ask(3);
  start(PLENTY);
  await eventually(
    async () => expect(await pauses()).toMatchObject([{ code: 'SEQUENCER_NOT_ENOUGH_TRAFFIC_CREDIT' }]),
    PATIENCE,
  );
  expect(await completed()).toBe(0);
  participant.faults.acceptCalls();
  await eventually(async () => expect(await completed()).toBe(3), PATIENCE);
});

test('E16: below the reserve of traffic nothing is submitted, and nothing is reserved', async () => {
  const balance = async (limit: bigint) =>
    await sql`
      INSERT INTO traffic_reading (network_id, participant, read_at, total_consumed, total_limit)
      SELECT id, 'participant1', (SELECT count(*) FROM traffic_reading), 0, ${limit} FROM network`.execute(database.db);
  await balance(199_999n);
  await ask(2);
  const prepared = start({ ...PLENTY, trafficReserve: 200_000 });
  await systemClock.sleep(1_500);
  expect(prepared()).toBe(0);
  expect(await database.db.selectFrom('reservation').selectAll().execute()).toEqual([]);

  await balance(300_000n);
  await eventually(async () => expect(await completed()).toBe(2), PATIENCE);
});

test('E16: bytes are counted as the participant estimates them, and submissions wait for the bucket to fill', async () => {
  await ask(4);
  start({ ...PLENTY, trafficPerSecond: 2_000 });
  await eventually(async () => expect(await completed()).toBe(4), PATIENCE);

  await eventually(async () => {
    const row = await database.db
      .selectFrom('submission_budget')
      .select('level')
      .where('unit', '=', 'TRAFFIC_BYTES')
      .executeTakeFirst();
    expect(row?.level).toBeLessThan(4_000n);
  }, PATIENCE);
});

test('I24, E17: a process whose clock is ahead leaves nothing behind that others would have to wait for', async () => {
  const [treasury] = ingestion.treasuries;
  if (treasury === undefined) throw new Error('No treasury.');
  const budgetAt = (aheadMs: number) =>
    createSubmissionBudget({
      db: database.db,
      treasuryId: treasury.id,
      clock: { ...systemClock, nowMicros: () => systemClock.nowMicros() + millisToMicros(aheadMs) },
      random: systemRandom,
      limits: { ...PLENTY, submissionsPerSecond: 1 },
    });
  const ahead = budgetAt(20 * 60_000);
  const right = budgetAt(0);
  await ahead.spend(2);
  await ahead.noteRefusal(new RetryableError('PARTICIPANT_BACKPRESSURE', 'Too much.'));
  await ahead.noteRefusal(new RetryableError('PARTICIPANT_BACKPRESSURE', 'Too much.'));
  await right.spend(0); // Nothing was begun, and the bucket is not touched.
  await right.spend(1);
  await eventually(async () => expect(await right.room('WITHDRAWALS', 4)).toBe(1), { deadlineMs: 10_000 });
  // What is begun by a clock that is right counts again.
  await right.noteRefusal(new RetryableError('PARTICIPANT_BACKPRESSURE', 'Too much.'));
  expect(await right.room('WITHDRAWALS', 4)).toBe(0);
});

test('E16: what a transfer to ourselves would cost holds up no withdrawal that is cheaper', async () => {
  const [treasury] = ingestion.treasuries;
  if (treasury === undefined) throw new Error('No treasury.');
  await sql`
    INSERT INTO traffic_reading (network_id, participant, read_at, total_consumed, total_limit)
    SELECT id, 'participant1', 0, 0, 250000 FROM network`.execute(database.db);
  let later = 0n;
  const budget = createSubmissionBudget({
    db: database.db,
    treasuryId: treasury.id,
    clock: { ...systemClock, nowMicros: () => systemClock.nowMicros() + later },
    random: systemRandom,
    limits: { ...PLENTY, trafficReserve: 200_000 },
  });
  await expect(budget.claimTraffic(60_000n, 'UPKEEP')).rejects.toMatchObject({ code: 'TRAFFIC_RESERVE' });
  expect(await budget.room('UPKEEP', 1)).toBe(0);
  expect(await budget.room('WITHDRAWALS', 4)).toBe(4);
  await budget.claimTraffic(20_000n);
  expect(await budget.room('WITHDRAWALS', 4)).toBe(1);
  // One that is dear keeps its own lane waiting, and not for as long as nobody buys traffic.
  await expect(budget.claimTraffic(60_000n)).rejects.toMatchObject({ code: 'TRAFFIC_RESERVE' });
  expect(await budget.room('WITHDRAWALS', 4)).toBe(0);
  later = 61_000_000n;
  expect(await budget.room('WITHDRAWALS', 4)).toBe(4);
});
