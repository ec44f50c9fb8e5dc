/** E16, E17 with a network that counts: traffic is read from Scan, a reserve is never touched, and what waited is paid after a top-up; an overload is borne within the budget, and its end noticed. */
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createLocalSigner, ed25519PrivateKey } from '../../src/custody/local-signer.ts';
import { createLeases } from '../../src/db/lease.ts';
import { systemClock, systemRandom } from '../../src/env/system.ts';
import type { Treasury } from '../../src/ingestion/effect-sink.ts';
import { createRegistries, sourcesOf } from '../../src/scan/registries.ts';
import { knownRefusal } from '../../src/simnet/ledger/known-refusals.ts';
import type { AttemptLimits } from '../../src/submissions/attempts.ts';
import { createSubmissionBudget } from '../../src/submissions/submission-budget.ts';
import { parseAmount } from '../../src/tokens/amount.ts';
import { runTrafficMonitor } from '../../src/treasury/traffic-monitor.ts';
import { createWithdrawals, type Withdrawals } from '../../src/withdrawals/withdrawal-requests.ts';
import { createWithdrawalSink } from '../../src/withdrawals/withdrawal-sink.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { type RunningIngestion, startIngestion } from '../support/ingestion.ts';
import { NETWORK, startTestNetwork, type TestNetwork } from '../support/network.ts';
import { SIGNER_SEED, startPayouts } from '../support/payouts.ts';
import { registryOf } from '../support/simnet-registry.ts';

const LIMITS: AttemptLimits = {
  ttlMs: 600_000,
  recordTimeAgeMsMax: 600_000,
  recordTimeAheadMsMax: 600_000,
  attemptsMax: 2,
  triesMax: 100,
  tryHoldMs: 5_000,
};
const PATIENCE = { deadlineMs: 60_000 };
const RESERVE = 200_000;
const PAUSE_MICROS_MAX = 8_000_000n;

let database: TestDatabase;
let simnet: TestNetwork;
let ingestion: RunningIngestion;
let withdrawals: Withdrawals;
const stopping: (() => Promise<void>)[] = [];
const alarms: string[] = [];

beforeEach(async () => {
  alarms.length = 0;
  database = await createTestDatabase();
  simnet = await startTestNetwork('traffic');
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

function treasuryOf(): Treasury {
  const [treasury] = ingestion.treasuries;
  if (treasury === undefined) throw new Error('No treasury.');
  return treasury;
}

/** @returns how often the participant was asked to prepare so far. */
function pay(submissionsPerSecond: number): () => number {
  const treasury = treasuryOf();
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
      limits: { submissionsPerSecond, trafficPerSecond: null, trafficReserve: RESERVE },
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

/** Through real Scans, as the service reads them. */
function watch(): void {
  const { scan } = createRegistries({
    clock: systemClock,
    random: systemRandom,
    logger: database.logger,
    sourceOf: sourcesOf([]),
    scan: { strategy: 'rotate', urls: simnet.scans.map(({ url }) => url) },
    validator: null,
    isPrivateAllowed: true,
    callsPerSecondMax: 1_000,
  });
  if (scan === null) throw new Error('No Scan.');
  const ending = new AbortController();
  const running = runTrafficMonitor({
    db: database.db,
    networkId: treasuryOf().networkId,
    scan,
    participants: async () => [simnet.network.participant('participant1').participantId],
    limits: { reserve: BigInt(RESERVE), hoursMin: 24 },
    leases: createLeases({ db: database.db }),
    holder: 'test',
    everyMs: 600,
    clock: systemClock,
    random: systemRandom,
    logger: { ...database.logger, error: (message: string) => alarms.push(message) },
    signal: ending.signal,
  });
  stopping.push(async () => {
    ending.abort();
    await running;
  });
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

const readings = async () => await database.db.selectFrom('traffic_reading').selectAll().execute();

test('E16: the reserve of traffic is never touched, and what waited is paid after a top-up', async () => {
  const { traffic } = simnet.network.participant('participant1');
  traffic.meter({ baseBytes: 0n, windowSeconds: 1_200n, extraBytes: BigInt(RESERVE) + 60_000n });
  const left = (): bigint => {
    const { totalLimit, totalConsumed } = traffic.status() ?? { totalLimit: 0n, totalConsumed: 0n };
    return totalLimit - totalConsumed;
  };
  await ask(12);
  watch();
  await eventually(async () => expect((await readings()).length).toBeGreaterThan(0), PATIENCE);
  pay(100);
  await eventually(async () => expect(await completed()).toBeGreaterThan(0), PATIENCE);
  // Several readings later: whatever could be sent was sent.
  const before = (await readings()).length;
  await eventually(async () => expect((await readings()).length).toBeGreaterThan(before + 5), PATIENCE);
  const paid = await completed();
  expect(paid).toBeLessThan(12);
  expect(left()).toBeGreaterThanOrEqual(BigInt(RESERVE));

  traffic.drain(BigInt(RESERVE) - 1n);
  await eventually(async () => expect(alarms.length).toBeGreaterThan(0), PATIENCE);
  expect(await completed()).toBe(paid);

  traffic.buy(1_000_000n);
  await eventually(async () => expect(await completed()).toBe(12), PATIENCE);
  expect(left()).toBeGreaterThanOrEqual(BigInt(RESERVE));
});

test('E17: an overload of some seconds is borne within the budget, and its end noticed within ten', async () => {
  const perSecond = 10;
  const participant = simnet.network.participant('participant1');
  participant.faults.rejectCalls({
    share: 1,
    refusal: knownRefusal('PARTICIPANT_BACKPRESSURE'),
    calls: ['prepareSubmission', 'executeSubmission'],
  });
  await ask(20);
  const began = systemClock.nowMicros();
  const prepared = pay(perSecond);
  await eventually(async () => {
    const [pause] = await database.db.selectFrom('submission_pause').selectAll().execute();
    expect(pause?.refusals).toBeGreaterThanOrEqual(4);
  }, PATIENCE);

  const seconds = Number((systemClock.nowMicros() - began) / 1_000_000n) + 1;
  expect(prepared()).toBeLessThanOrEqual(perSecond * 2 + perSecond * seconds);
  // One at a time after the first ones, each after a longer pause; and none of them is longer than the end may take to be noticed.
  expect(prepared()).toBeLessThanOrEqual(perSecond * 2 + 8);
  const [pause] = await database.db.selectFrom('submission_pause').selectAll().execute();
  expect((pause?.paused_until ?? 0n) - systemClock.nowMicros()).toBeLessThanOrEqual(PAUSE_MICROS_MAX);

  participant.faults.acceptCalls();
  await eventually(async () => expect(await completed()).toBe(20), PATIENCE);
  expect(await database.db.selectFrom('submission_pause').selectAll().execute()).toEqual([]);
});
