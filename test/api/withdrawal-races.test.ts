/** Callers that come all at once, to several servers on one database: with one key, and for the same money. */
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createDatabase, type DatabaseConnection } from '../../src/db/connection.ts';
import { withdrawalId } from '../../src/tokens/ids.ts';
import { openAttempts } from '../../src/withdrawals/attempt-funding.ts';
import { DEFAULT_LIMITS } from '../../src/withdrawals/automation.ts';
import { ID_KEY, startApi, type TestApi } from '../support/api.ts';
import { DAY } from '../support/rows.ts';
import { INPUT, startWithdrawalApi, type WithdrawalApi } from '../support/withdrawal-api.ts';

const CALLERS = 1_000;
const RIVALS = 100;
const SERVERS = 3;
const AT_ONCE = 60; // Of the callers; the rest have their turn as soon as one is answered.

const BRIEF = `mutation ($input: CreateWithdrawalInput!) {
  createWithdrawal(input: $input) {
    ... on CreateWithdrawalPayload { replayed withdrawal { withdrawalId amount } }
    ... on Error { code }
  }
}`;

let scene: WithdrawalApi;
const servers: TestApi[] = [];
const connections: DatabaseConnection[] = [];

beforeAll(async () => {
  scene = await startWithdrawalApi();
  const { connectionString, logger } = scene.database;
  for (let count = 0; count < SERVERS; count += 1) {
    const connection = createDatabase({
      connectionString,
      applicationName: 'test-races',
      poolSizeMax: 6,
      connectTimeoutMs: 60_000,
      logger,
    });
    connections.push(connection);
    servers.push(await startApi(scene.database, { db: connection.db }));
  }
});

afterAll(async () => {
  for (const server of servers) await server.stop();
  for (const connection of connections) await connection.close();
  await scene.close();
});

// biome-ignore lint/suspicious/noExplicitAny: answers are looked into by tests, which fail where they are not what they seem.
type Looked = any;

/** As many calls as there are inputs, spread over the servers. @returns the answers, in the order of the inputs. */
async function createAll(inputs: readonly Record<string, unknown>[]): Promise<readonly Looked[]> {
  const answers: Looked[] = [];
  let next = 0;
  const call = async (): Promise<void> => {
    for (let index = next++; index < inputs.length; index = next++) {
      const server = servers[index % servers.length];
      const { data, errors } = (await server?.query(BRIEF, { input: { ...INPUT, ...inputs[index] } })) ?? {};
      expect(errors).toBeUndefined();
      answers[index] = data.createWithdrawal;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, call));
  return answers;
}

test(`Z37: ${CALLERS} callers with one key at three servers are one withdrawal, one debit and one event`, {
  timeout: 120_000,
}, async () => {
  const answers = await createAll(Array.from({ length: CALLERS }, () => ({ idempotencyKey: 'one' })));

  const id = withdrawalId(ID_KEY, 'developer', 'one');
  expect(new Set(answers.map(({ withdrawal }) => withdrawal?.withdrawalId))).toEqual(new Set([id]));
  expect(answers.filter(({ replayed }) => replayed === false)).toHaveLength(1);
  expect(await scene.bookingsOf(id)).toEqual([{ cause: `withdrawal:${id}:requested` }]);
  await scene.untilSequenced();
  const events = await scene.database.db.selectFrom('event').select('type').where('subject', '=', id).execute();
  expect(events).toHaveLength(new Set(['REQUESTED', 'QUEUED']).size);
});

test('Z37: callers with one key and different bodies: one is taken, the others are told, and nothing is mixed', {
  timeout: 60_000,
}, async () => {
  const amounts = Array.from({ length: RIVALS }, (_, index) => `${index + 1}.0000000000`);
  const answers = await createAll(amounts.map((amount) => ({ idempotencyKey: 'bodies', amount })));

  const taken = answers.filter(({ withdrawal }) => withdrawal !== undefined);
  expect(taken).toHaveLength(1);
  expect(answers.filter(({ code }) => code === 'IDEMPOTENCY_KEY_REUSED')).toHaveLength(RIVALS - 1);
  const winner = answers.findIndex(({ withdrawal }) => withdrawal !== undefined);
  expect(taken[0].withdrawal.amount).toBe(amounts[winner]);
  expect(await scene.bookingsOf(taken[0].withdrawal.withdrawalId)).toHaveLength(1);
});

test(`Z37: ${RIVALS} withdrawals of all that there is, and three funders at once: one is given it, the others wait`, {
  timeout: 60_000,
}, async () => {
  const { db } = scene.database;
  await db.updateTable('withdrawal').set({ state: 'CANCELLED' }).execute();
  await scene.rows.stream({ status: 'RUNNING' }, DAY);
  for (const [contract, amount] of [
    ['all-1', '60'],
    ['all-2', '40'],
  ] as const) {
    await scene.rows.holding(contract, amount);
  }
  const answers = await createAll(
    Array.from({ length: RIVALS }, (_, caller) => ({ idempotencyKey: `all-${caller}`, amount: '100' })),
  );
  expect(answers.every(({ replayed }) => replayed === false)).toBe(true);

  const limits = { ...DEFAULT_LIMITS, ttlMs: 60_000, attemptsMax: 1 };
  let opened = 0;
  for (let round = 0; round < 10; round += 1) {
    const counts = await Promise.all(
      Array.from({ length: 3 }, async () => await openAttempts(db, scene.treasury, limits, DAY)),
    );
    opened += counts.reduce((sum, count) => sum + count, 0);
  }

  expect(opened).toBe(1);
  const { rows } = await sql<{ contract: string; times: number }>`
    SELECT contract_id AS contract, count(*)::int AS times FROM reservation WHERE is_open GROUP BY 1 ORDER BY 1`.execute(
    db,
  );
  expect(rows).toEqual([
    { contract: 'all-1', times: 1 },
    { contract: 'all-2', times: 1 },
  ]);
  const states = await sql<{ state: string; count: number }>`
    SELECT state, count(*)::int AS count FROM withdrawal WHERE idempotency_key LIKE 'all-%' GROUP BY 1 ORDER BY 1`.execute(
    db,
  );
  expect(states.rows).toEqual([
    { state: 'IN_FLIGHT', count: 1 },
    { state: 'QUEUED', count: RIVALS - 1 },
  ]);
});
