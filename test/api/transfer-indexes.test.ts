/** What finding some of many transfers and withdrawals costs: by the server’s own count of the rows it looked at. */
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startApi, type TestApi } from '../support/api.ts';
import { type CountedDatabase, countStatements } from '../support/counted.ts';
import { startWithdrawalApi, type WithdrawalApi } from '../support/withdrawal-api.ts';

const MANY = 10_000;
/** A page and its look-ahead, twice over; far below {@link MANY}. */
const VISITED_MAX = 60;

let scene: WithdrawalApi;
let counted: CountedDatabase;
let api: TestApi;
let rare: string;

beforeAll(async () => {
  scene = await startWithdrawalApi();
  const { database, rows, idOf } = scene;
  await idOf('one', { treasuryParty: 'treasury::1220bb' });
  await rows.transfer({ updateId: 'first', memo: 'm-0' });
  await rows.instrument('Rare');
  await sql`
    INSERT INTO transfer (treasury_id, update_id, rank, id, kind, direction, status, instrument_id, amount, holdings_delta, counterparty, memo,
      record_time, concluded_update_id, concluded_record_time)
    SELECT treasury_id, 'u-' || n, 0, 'tr_' || n, kind, direction, status,
      CASE WHEN n % 1000 = 0 THEN (SELECT id FROM instrument WHERE instrument_id = 'Rare') ELSE instrument_id END, n, n,
      'party-' || n % 2000, CASE WHEN n IN (5, 6) THEN repeat('x', 64) || n ELSE 'm-' || n % 2000 END, n, CASE WHEN n = 9 THEN 'ended' ELSE 'u-' || n END, n
    FROM transfer, generate_series(1, ${MANY}::int) AS n`.execute(database.db);
  await sql`
    INSERT INTO withdrawal (id, network_id, client, idempotency_key, request_hash, account_id, treasury_id, instrument_id,
      receiver, amount, state, created_at, changed_at)
    SELECT 'wd_' || n, network_id, 'bulk', n::text, request_hash, account_id, treasury_id,
      CASE WHEN n % 1000 = 0 THEN (SELECT id FROM instrument WHERE instrument_id = 'Rare') ELSE instrument_id END,
      'receiver-' || n % 2000, amount, 'COMPLETED', n, n
    FROM withdrawal, generate_series(1, ${MANY}::int) AS n`.execute(database.db);
  await sql`ANALYZE`.execute(database.db);
  counted = countStatements(database);
  api = await startApi(database, { db: counted.db });
  const { data } = await api.query('{ instruments(first: 100) { nodes { id name } } }');
  rare = data.instruments.nodes.find(({ name }: { name: string }) => name === 'Rare').id;
});

afterAll(async () => {
  await api.stop();
  await counted.close();
  await scene.close();
});

test.each([
  ['with a memo', { memo: 'm-77' }, ['tr_8077', 'tr_6077', 'tr_4077', 'tr_2077', 'tr_77']],
  ['with a long memo that begins like another', { memo: `${'x'.repeat(64)}5` }, ['tr_5']],
  ['with a memo that nobody wrote', { memo: 'x'.repeat(100_000) }, []],
  ['from or to a party', { counterparty: 'party-3' }, ['tr_8003', 'tr_6003', 'tr_4003', 'tr_2003', 'tr_3']],
  ['that ended in an update', { updateId: 'ended' }, ['tr_9']],
  ['that began in an update', { updateId: 'u-12' }, ['tr_12']],
  ['of a time', { from: '1970-01-01T00:00:00.000100Z', before: '1970-01-01T00:00:00.000102Z' }, ['tr_101', 'tr_100']],
  [
    'not credited, of a time',
    { isAttributed: false, from: '1970-01-01T00:00:00.009999Z', before: '1970-01-01T00:00:01.000000Z' },
    ['tr_10000', 'tr_9999'],
  ],
])('a page of transfers %s looks at no more than it shows', async (_what, filter, expected) => {
  counted.forget();
  const { data, errors } = await api.query(
    'query ($filter: TransferFilter) { transfers(filter: $filter, first: 20) { nodes { transferId } } }',
    { filter },
  );

  expect(errors).toBeUndefined();
  expect(data.transfers.nodes.map(({ transferId }: { transferId: string }) => transferId)).toEqual(expected);
  expect(await counted.visited('transfer')).toBeLessThanOrEqual(VISITED_MAX);
});

test('amounts are looked at along their instrument', async () => {
  counted.forget();
  const { data, errors } = await api.query(
    'query ($filter: TransferFilter) { transfers(filter: $filter) { nodes { amount } } }',
    { filter: { instrument: rare, amountMin: '3000', amountMax: '4000' } },
  );

  expect(errors).toBeUndefined();
  expect(data.transfers.nodes).toEqual([{ amount: '4000.0000000000' }, { amount: '3000.0000000000' }]);
  expect(await counted.visited('transfer')).toBeLessThanOrEqual(VISITED_MAX);
});

test('amounts of every instrument do not compare', async () => {
  const { errors } = await api.query('{ transfers(filter: { amountMin: "1" }) { nodes { id } } }');

  expect(errors[0].extensions.code).toBe('FILTER_INVALID');
});

test('withdrawals to a receiver, and of an instrument, are found among many', async () => {
  for (const [filter, count] of [
    [{ receiver: 'receiver-5' }, 5],
    [{ instrument: rare }, 10],
    [{ instrument: rare, receiver: 'receiver-0', createdFrom: '1970-01-01T00:00:00.008000Z' }, 2],
  ] as const) {
    counted.forget();
    const { data, errors } = await api.query(
      'query ($filter: WithdrawalFilter) { withdrawals(filter: $filter) { nodes { withdrawalId } } }',
      { filter },
    );
    expect(errors).toBeUndefined();
    expect(data.withdrawals.nodes).toHaveLength(count);
    expect(await counted.visited('withdrawal')).toBeLessThanOrEqual(VISITED_MAX);
  }
});
