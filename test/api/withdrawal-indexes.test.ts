/** What reading withdrawals costs where there are many and nearly all were paid: by the server’s own count of the rows it looked at. */
import { type CompiledQuery, sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createDatabase, type DatabaseConnection } from '../../src/db/connection.ts';
import { formatEventCursor } from '../../src/db/event-cursor.ts';
import { startApi, type TestApi } from '../support/api.ts';
import { subscribeSse } from '../support/sse-client.ts';
import { startWithdrawalApi, type WithdrawalApi } from '../support/withdrawal-api.ts';

const MANY = 4_000;
/** A page and its look-ahead, twice over; far below {@link MANY}. */
const VISITED_MAX = 100;

let withdrawals: WithdrawalApi;
let counted: DatabaseConnection;
let api: TestApi;
let id: string;
let statements: CompiledQuery[] = [];

beforeAll(async () => {
  withdrawals = await startWithdrawalApi();
  const { database, rows, idOf, apply, untilSequenced } = withdrawals;
  const quiet = await rows.treasury('quiet::1220bb');
  id = await idOf('one', { treasuryParty: 'treasury::1220bb' });
  await apply(id, { kind: 'ATTEMPT_OPENED' });
  await apply(id, { kind: 'TRANSFER_SEEN' });
  await untilSequenced();
  await sql`
    INSERT INTO withdrawal (id, network_id, client, idempotency_key, request_hash, account_id, treasury_id, instrument_id,
      receiver, amount, state, created_at, changed_at)
    SELECT 'wd_' || n, network_id, 'bulk', n::text, request_hash, account_id,
      CASE WHEN n = 77 THEN ${quiet}::int ELSE treasury_id END, instrument_id, receiver, amount,
      CASE WHEN n IN (5, 6) THEN 'FAILED' WHEN n IN (7, 8) THEN 'IN_FLIGHT' ELSE 'COMPLETED' END, n, n
    FROM withdrawal, generate_series(1, ${MANY}::int) AS n`.execute(database.db);
  await sql`
    INSERT INTO event (position, event_id, type, subject, payload, recorded_at)
    SELECT last_position + n, 'bulk-' || n, 'withdrawal.changed', 'wd_' || n, '{}', n
    FROM event_log, generate_series(1, ${MANY}::int) AS n`.execute(database.db);
  await sql`UPDATE event_log SET last_position = last_position + ${MANY}::int`.execute(database.db);
  await sql`ANALYZE`.execute(database.db);

  counted = createDatabase({
    connectionString: database.connectionString,
    applicationName: 'sluice-test-counted',
    poolSizeMax: 2,
    logger: database.logger,
  });
  const db = counted.db.withPlugin({
    transformQuery: ({ node, queryId }) => {
      statements.push(counted.db.getExecutor().compileQuery(node, queryId));
      return node;
    },
    transformResult: async ({ result }) => result,
  });
  api = await startApi(database, { db });
});

afterAll(async () => {
  await api.stop();
  await counted.close();
  await withdrawals.close();
});

test.each([
  ['all', null, 20],
  ['those that were paid', { states: ['COMPLETED'] }, 20],
  ['those that failed', { states: ['FAILED'] }, 2],
  ['those that are open', { isFinal: false }, 2],
  ['some states that are open', { states: ['IN_FLIGHT', 'QUEUED'] }, 2],
  ['a customer’s that were not paid', { states: ['FAILED', 'RETURNED'], account: 'alice' }, 2],
  [
    'a treasury’s that seldom pays',
    { treasury: Buffer.from('TreasuryParty:testnet/quiet%3A%3A1220bb').toString('base64url') },
    1,
  ],
  ['a time', { createdFrom: '1970-01-01T00:00:00.000100Z', createdBefore: '1970-01-01T00:00:00.000110Z' }, 10],
])('a page of %s looks at no more than it shows', async (_what, filter, count) => {
  const query = 'query ($filter: WithdrawalFilter) { withdrawals(filter: $filter, first: 20) { nodes { id } } }';
  statements = [];

  const { data, errors } = await api.query(query, { filter });

  expect(errors).toBeUndefined();
  expect(data.withdrawals.nodes).toHaveLength(count);
  expect(await visited('withdrawal')).toBeLessThanOrEqual(VISITED_MAX);
});

test('the withdrawal that a transfer paid is found by the transfer', async () => {
  const transferId = await withdrawals.rows.transfer({ updateId: 'paid', direction: 'OUT' });
  await sql`UPDATE withdrawal SET transfer_id = ${transferId} WHERE id = ${id}`.execute(withdrawals.database.db);
  statements = [];

  const { data } = await api.query(`{ transfer(transferId: "${transferId}") { withdrawal { withdrawalId } } }`);

  expect(data.transfer.withdrawal).toEqual({ withdrawalId: id });
  expect(await visited('withdrawal')).toBeLessThanOrEqual(VISITED_MAX);
});

test('a follower who comes back after long looks at the events of his withdrawal alone', async () => {
  const { epoch } = api.log.tail.head();
  const after = formatEventCursor({ epoch, position: 1n });
  const query = `subscription ($id: String!, $after: Cursor) { withdrawalUpdated(withdrawalId: $id, after: $after) { state } }`;
  statements = [];

  const { stream } = await subscribeSse(api.url, { query, variables: { id, after } });
  const states: string[] = [];
  for (let event = await stream.next(); event?.event === 'next'; event = await stream.next()) {
    states.push(JSON.parse(event.data).data.withdrawalUpdated.state);
  }
  stream.cut();

  expect(states).toEqual(['QUEUED', 'IN_FLIGHT', 'COMPLETED']);
  expect(await visited('event')).toBeLessThanOrEqual(VISITED_MAX);
});

type PlanNode = {
  readonly 'Relation Name'?: string;
  readonly 'Actual Rows'?: number;
  readonly 'Actual Loops'?: number;
  readonly 'Rows Removed by Filter'?: number;
  readonly Plans?: readonly PlanNode[];
};

/** Rows of a table that the noted statements look at, when they are run again. */
async function visited(table: string): Promise<number> {
  let sum = 0;
  for (const { sql: text, parameters } of statements.splice(0)) {
    const { rows } = await counted.pool.query<{ 'QUERY PLAN': readonly { Plan: PlanNode }[] }>(
      `EXPLAIN (ANALYZE, FORMAT JSON) ${text}`,
      [...parameters],
    );
    sum += visitedIn(rows[0]?.['QUERY PLAN'][0]?.Plan, table);
  }
  return sum;
}

function visitedIn(node: PlanNode | undefined, table: string): number {
  if (node === undefined) return Number.NaN;
  const own = ((node['Actual Rows'] ?? 0) + (node['Rows Removed by Filter'] ?? 0)) * (node['Actual Loops'] ?? 0);
  const below = (node.Plans ?? []).map((child) => visitedIn(child, table)).reduce((sum, count) => sum + count, 0);
  return (node['Relation Name'] === table ? own : 0) + below;
}
