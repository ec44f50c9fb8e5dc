/** The list of withdrawals: order, pages, filters, and what it costs. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createDatabase } from '../../src/db/connection.ts';
import { formatRecordTime } from '../../src/env/record-time.ts';
import { startApi } from '../support/api.ts';
import { startWithdrawalApi, type WithdrawalApi } from '../support/withdrawal-api.ts';

let withdrawals: WithdrawalApi;
let database: WithdrawalApi['database'];
let api: WithdrawalApi['api'];
let rows: WithdrawalApi['rows'];
let idOf: WithdrawalApi['idOf'];
let cancel: WithdrawalApi['cancel'];
let apply: WithdrawalApi['apply'];

beforeAll(async () => {
  withdrawals = await startWithdrawalApi();
  ({ database, api, rows, idOf, cancel, apply } = withdrawals);
});

afterAll(async () => {
  await withdrawals.close();
});

const LIST = `query ($filter: WithdrawalFilter, $first: Int, $after: String) {
  withdrawals(filter: $filter, first: $first, after: $after) { nodes { withdrawalId } pageInfo { endCursor hasNextPage } }
}`;

async function list(variables: Record<string, unknown>) {
  const { data, errors } = await api.query(LIST, variables);
  expect(errors).toBeUndefined();
  const { nodes, pageInfo } = data.withdrawals;
  return { ids: nodes.map((node: { withdrawalId: string }) => node.withdrawalId), ...pageInfo };
}

const idsOf = async (filter: Record<string, unknown>): Promise<string[]> => (await list({ filter, first: 100 })).ids;

describe('the list', () => {
  /** Newest first. */
  const wanted: string[] = [];

  beforeAll(async () => {
    for (let line = 0; line < 7; line++) wanted.unshift(await idOf(`list-${line}`, { account: 'lister' }));
    const [newest = '', second = ''] = wanted;
    await cancel(newest);
    await apply(second, { kind: 'ATTEMPT_OPENED' });
    await apply(second, { kind: 'TRANSFER_SEEN' });
  });

  test('is newest first, in pages without gap or repetition', async () => {
    const paged: string[] = [];
    for (let after: string | null = null, isMore = true; isMore; ) {
      const page = await list({ filter: { account: 'lister' }, first: 3, after });
      paged.push(...page.ids);
      after = page.endCursor;
      isMore = page.hasNextPage;
    }

    expect(paged).toEqual(wanted);
    expect((await list({})).ids).toEqual(wanted);
  });

  test('is filtered by states, by what is over, by account and by treasury', async () => {
    const [newest, second, ...others] = wanted;
    const { nodes } = (await api.query('{ treasuryParties { nodes { id } } }')).data.treasuryParties;

    expect(await idsOf({ states: ['CANCELLED'] })).toEqual([newest]);
    expect(await idsOf({ states: ['COMPLETED', 'CANCELLED'] })).toEqual([newest, second]);
    expect(await idsOf({ isFinal: false })).toEqual(others);
    expect(await idsOf({ isFinal: true, states: ['QUEUED', 'COMPLETED'] })).toEqual([second]);
    expect(await idsOf({ isFinal: true, states: ['QUEUED'] })).toEqual([]);
    expect(await idsOf({ states: [] })).toEqual([]);
    expect(await idsOf({ account: 'nobody' })).toEqual([]);
    expect(await idsOf({ account: 'a\u0000' })).toEqual([]);
    expect(await idsOf({ account: 'lister', treasury: nodes[0].id })).toEqual(wanted);
    expect(await idsOf({ treasury: Buffer.from('TreasuryParty:testnet/none').toString('base64url') })).toEqual([]);
    expect((await api.query(LIST, { filter: { treasury: 'x' } })).errors[0].extensions.code).toBe('ID_INVALID');
  });

  test('is filtered by the time of the request: from the first one named, before the last', async () => {
    const rows = await database.db.selectFrom('withdrawal').select(['id', 'created_at']).execute();
    const micros = new Map(rows.map(({ id, created_at }) => [id, created_at]));
    const at = (id: string | undefined): string => formatRecordTime(micros.get(id ?? '') ?? 0n);

    const between = await idsOf({ createdFrom: at(wanted[5]), createdBefore: at(wanted[2]) });

    // The clock has milliseconds, so some may share one.
    expect(between).toEqual(wanted.filter((id) => at(id) >= at(wanted[5]) && at(id) < at(wanted[2])));
    expect(await idsOf({ createdBefore: at(wanted[6]) })).toEqual([]);
    expect(await idsOf({ createdFrom: at(wanted[0]) })).toContain(wanted[0]);
  });
});

test('costs a fixed number of statements, however many rows it has', async () => {
  const counted = createDatabase({
    connectionString: database.connectionString,
    applicationName: 'sluice-test-counted',
    poolSizeMax: 2,
    logger: database.logger,
  });
  let statements = 0;
  const db = counted.db.withPlugin({
    transformQuery: ({ node }) => {
      statements++;
      return node;
    },
    transformResult: async ({ result }) => result,
  });
  const counting = await startApi(database, { db });
  for (let line = 0; line < 30; line++) await idOf(`cost-${line}`);
  const read = async (count: number) => {
    statements = 0;
    const { data, errors } = await counting.query(`{ withdrawals(first: ${count}) { nodes {
      id state account { customer } treasury { name } instrument { name } decidableBy definiteFailureProof { explanation }
      attempts { number inputs proof { explanation } } transfer { status } } } }`);
    expect(errors).toBeUndefined();
    return { statements, rows: data.withdrawals.nodes.length };
  };

  // The page, its attempts, and the transfers where there are any.
  const paid = await idOf('cost-paid');
  await apply(paid, { kind: 'ATTEMPT_OPENED' });
  const transferId = await rows.transfer({ updateId: 'cost-paid', direction: 'OUT' });
  await apply(paid, { kind: 'TRANSFER_SEEN' }, { evidence: { transferId, updateId: 'cost-paid' } });
  await idOf('cost-last');
  expect(await read(1)).toEqual({ statements: 2, rows: 1 });
  expect(await read(30)).toEqual({ statements: 3, rows: 30 });
  await counting.stop();
  await counted.close();
});
