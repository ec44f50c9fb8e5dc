/** What is left of the participants' traffic, through the API and in a look ahead: rest, hours, and when it was read. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createAskingBudget } from '../../src/preflight/asking-budget.ts';
import { createOutsideFacts } from '../../src/preflight/outside-facts.ts';
import { createPreflight } from '../../src/preflight/preflight.ts';
import { claimTraffic, recordReading } from '../../src/submissions/traffic-readings.ts';
import { startApi, type TestApi } from '../support/api.ts';
import { createVirtualClock } from '../support/clock.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { AMULET_ADMIN, createRows, type Rows } from '../support/rows.ts';

const MINUTE = 60_000_000n;
const HOUR = 60n * MINUTE;
const clock = createVirtualClock();
const NOW = clock.nowMicros();

let database: TestDatabase;
let api: TestApi;
let rows: Rows;

beforeAll(async () => {
  database = await createTestDatabase();
  rows = createRows(database.db);
  await rows.treasury();
  await rows.instrument();
  const preflight = createPreflight({
    db: database.db,
    network: 'testnet',
    clock,
    ttlMs: 60_000,
    recordTimeAgeMsMax: 600_000,
    recordTimeAheadMsMax: 600_000,
    trafficReserve: 200_000,
    askOutside: createOutsideFacts({
      outside: { transferKind: async () => 'direct', preapproval: null, receiver: async () => ({ kind: 'REACHABLE' }) },
      budget: createAskingBudget({ clock, perSecond: 1_000 }),
      clock,
    }),
  });
  api = await startApi(database, { preflight, clock });
});
afterAll(async () => {
  await api.stop();
  await database.close();
});
beforeEach(async () => {
  await database.db.deleteFrom('traffic_reading').execute();
});

const read = async (participant: string, readAt: bigint, totalConsumed: bigint, totalLimit: bigint) =>
  await recordReading(database.db, {
    networkId: await rows.networkId(),
    participant,
    readAt,
    totalConsumed,
    totalLimit,
  });

async function shown() {
  const { data, errors } = await api.query('{ participantTraffic { participant balance hoursLeft state alarm asOf } }');
  expect(errors).toBeUndefined();
  return data.participantTraffic;
}

async function looked() {
  const input = {
    account: 'alice',
    instrumentAdmin: AMULET_ADMIN,
    instrumentId: 'Amulet',
    receiver: `bob::1220${'ab'.repeat(32)}`,
    amount: '1',
  };
  const { data, errors } = await api.query(
    'query ($input: WithdrawalPreflightInput!) { withdrawalPreflight(input: $input) { checks { kind outcome code } } }',
    { input },
  );
  expect(errors).toBeUndefined();
  return data.withdrawalPreflight.checks.find(({ kind }: { kind: string }) => kind === 'TRAFFIC');
}

test('E16: rest, burn and age are told, and of a participant that is not read any more nothing', async () => {
  expect(await shown()).toEqual([]);

  await read('left::1220aa', NOW - HOUR, 0n, 1n);
  await read('used::1220bb', NOW - HOUR, 100_000n, 1_000_000n);
  await read('used::1220bb', NOW - MINUTE, 159_000n, 1_000_000n);
  expect(await shown()).toMatchObject([
    {
      participant: 'used::1220bb',
      balance: '841000',
      hoursLeft: 14,
      state: 'LOW',
      asOf: '2025-12-31T23:59:00.000000Z',
    },
  ]);

  await read('used::1220bb', NOW, 159_000n, 100_000_000n);
  expect(await shown()).toMatchObject([{ balance: '99841000', state: 'ENOUGH', alarm: null }]);
});

test('E16: a look ahead says that it would wait below the reserve, and claims count until the next readings', async () => {
  expect(await looked()).toEqual({ kind: 'TRAFFIC', outcome: 'NOT_ASKED', code: null });

  await read('used::1220bb', NOW - MINUTE, 0n, 220_000n);
  expect(await looked()).toEqual({ kind: 'TRAFFIC', outcome: 'PASSED', code: null });

  const treasuryId = await rows.treasury();
  const claim = async (bytes: bigint) => await claimTraffic(database.db, { treasuryId, bytes, reserve: 200_000n });
  // Many at once: together they get what there is, and not a byte more.
  const taken = await Promise.all(Array.from({ length: 8 }, async () => await claim(5_000n)));
  expect(taken.filter(Boolean)).toHaveLength(4);
  await read('used::1220bb', NOW, 0n, 220_000n);
  expect(await claim(1n)).toBe(false);
  await read('used::1220bb', NOW + 1n, 20_000n, 220_000n);
  expect(await claim(1n)).toBe(false);

  await read('used::1220bb', NOW + 2n, 20_001n, 220_000n);
  expect(await looked()).toEqual({ kind: 'TRAFFIC', outcome: 'WAITS', code: 'TRAFFIC_RESERVE' });
  await read('used::1220bb', NOW + 3n, 20_001n, 0n);
  expect(await claim(1_000_000n)).toBe(true);
});
