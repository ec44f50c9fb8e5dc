/** Lists cost a fixed number of statements, however many rows they have. */
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createDatabase, type DatabaseConnection } from '../../src/db/connection.ts';
import { startApi, type TestApi } from '../support/api.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { createRows, DAY } from '../support/rows.ts';

let database: TestDatabase;
let counted: DatabaseConnection;
let api: TestApi;
let statements: string[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
  const rows = createRows(database.db);
  for (let line = 0; line < 60; line++) {
    const owner = `customer-${line % 20}`;
    const depositAccount = await rows.depositAccount(`memo-${line}`, owner);
    const transfer = await rows.transfer({ updateId: `u-${line}`, recordTime: DAY + BigInt(line) });
    await rows.attribution(transfer, owner, depositAccount);
    await rows.booking(`transfer:${transfer}`, owner, '1.5');
    await rows.holding(`c-${line}`, '1', { createdAt: DAY + BigInt(line), party: `treasury-${line % 3}::1220bb` });
  }
  await sql`
    INSERT INTO desk_case (transfer_id, treasury_id, instrument_id, state, why, amount, memo, sender, update_id, record_time)
    SELECT id, treasury_id, instrument_id, 'OFFERED', 'UNKNOWN_MEMO', 1, memo, counterparty, update_id, record_time FROM transfer`.execute(
    database.db,
  );
  counted = createDatabase({
    connectionString: database.connectionString,
    applicationName: 'sluice-test-counted',
    poolSizeMax: 4,
    logger: database.logger,
  });
  const db = counted.db.withPlugin({
    transformQuery: ({ node }) => {
      statements.push(node.kind);
      return node;
    },
    transformResult: async ({ result }) => result,
  });
  api = await startApi(database, { db });
});

afterAll(async () => {
  await api.stop();
  await counted.close();
  await database.close();
});

async function statementsOf(query: string): Promise<{ count: number; data: unknown }> {
  statements = [];
  const { data, errors } = await api.query(query);
  expect(errors).toBeUndefined();
  return { count: statements.length, data };
}

test.each([
  [
    'transfers with all that belongs to them',
    (rows: number) => `{ transfers(first: ${rows}) { nodes { id amount treasury { id name } instrument { id name }
      attribution { account { customer } depositAccount { memo } } } } }`,
    2,
  ],
  [
    'accounts with balances and memos',
    (rows: number) =>
      `{ accounts(first: ${rows}) { nodes { customer balances { amount instrument { name } } depositAccounts { memo } } } }`,
    3,
  ],
  [
    'deposit accounts with addresses',
    (rows: number) =>
      `{ depositAccounts(first: ${rows}) { nodes { memo account { customer } addresses { party treasury { name } } } } }`,
    2,
  ],
  [
    'holdings',
    (rows: number) =>
      `{ holdings(first: ${rows}) { nodes { amount treasury { name } instrument { name } lock { holders } } } }`,
    1,
  ],
  [
    'treasury parties with balances',
    (rows: number) => `{ treasuryParties(first: ${rows}) { nodes { name balances { total instrument { name } } } } }`,
    2,
  ],
  [
    'cases of the desk with all that belongs to them',
    (rows: number) =>
      `{ deskCases(states: [OFFERED, OPEN], first: ${rows}) { nodes {
        memo treasury { name } instrument { name } account { customer } transfer { status } screening { state } decisions { kind } } } }`,
    4,
  ],
  // One before the rows, for whatever tells how fresh it is.
  ['streams', () => '{ ingestionStreams { treasury { name } synchronizers { recordTime } freshness { state } } }', 2],
  ['streams with their epochs', () => '{ ingestionStreams { epoch epochs { epoch reason gap { recordedBy } } } }', 2],
])('%s', async (_what, query, statementsCount) => {
  const one = await statementsOf(query(1));
  const fifty = await statementsOf(query(50));

  expect(one.count).toBe(statementsCount);
  expect(fifty.count).toBe(statementsCount);
});

test('nodes of one type are read together', async () => {
  const { data } = await statementsOf('{ transfers(first: 50) { nodes { id } } }');
  const ids: string[] = (data as { transfers: { nodes: { id: string }[] } }).transfers.nodes.map(({ id }) => id);

  const { count } = await statementsOf(`{ nodes(ids: ${JSON.stringify(ids)}) { id ... on Transfer { amount } } }`);

  expect(count).toBe(1);
});

test('pages of transfers and of holdings come from an index in order, without a sort of all rows', async () => {
  const explained = await database.db.transaction().execute(async (tx) => {
    await sql`SET LOCAL enable_seqscan = off`.execute(tx);
    return await sql<{ 'QUERY PLAN': string }>`
      EXPLAIN SELECT id FROM transfer WHERE treasury_id = 1 AND (record_time, id) < (${DAY}::bigint, 'x')
      ORDER BY record_time DESC, id DESC LIMIT 21
    `.execute(tx);
  });
  const plan = explained.rows.map((row) => row['QUERY PLAN']).join('\n');

  expect(plan).toContain('transfer_by_treasury');
  expect(plan).not.toContain('Sort');
});
