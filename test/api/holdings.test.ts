/** Holdings with who locks and who reserves them, and what finding some of many costs. */
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startApi, type TestApi } from '../support/api.ts';
import { type CountedDatabase, countStatements } from '../support/counted.ts';
import { DAY } from '../support/rows.ts';
import { startWithdrawalApi, type WithdrawalApi } from '../support/withdrawal-api.ts';

const MANY = 5_000;
/** A page and its look-ahead, twice over; far below {@link MANY}. */
const VISITED_MAX = 60;

let scene: WithdrawalApi;
let counted: CountedDatabase;
let api: TestApi;
let withdrawalId: string;
let instrument: string;

beforeAll(async () => {
  scene = await startWithdrawalApi();
  const { database, rows } = scene;
  await rows.holding('locked', '3', { lockHolders: ['DSO::1220aa'], createdAt: DAY - 5n });
  await rows.holding('reserved', '4', { createdAt: DAY - 4n });
  await sql`
    INSERT INTO holding (treasury_id, contract_id, instrument_id, amount, template, created_update_id, created_record_time,
      archived_update_id, archived_record_time)
    SELECT treasury_id, n::text, instrument_id, round(1 + n / 1000.0, 10), template, 'u' || n, ${DAY}::bigint + n,
      CASE WHEN n % 10 <> 0 THEN 'a' || n END, CASE WHEN n % 10 <> 0 THEN ${DAY}::bigint + n + 1 END
    FROM holding, generate_series(1, ${MANY}::int) AS n WHERE contract_id = 'reserved'`.execute(database.db);
  withdrawalId = await scene.idOf('one');
  await sql`
    WITH made AS (
      INSERT INTO submission (id, treasury_id, instrument_id, purpose, withdrawal_id, created_at)
      SELECT 'sub-1', treasury_id, instrument_id, 'WITHDRAWAL', id, 1 FROM withdrawal RETURNING id, treasury_id
    ), opened AS (
      INSERT INTO attempt (submission_id, number, state, synchronizer_id, target_record_time, transfer_object, next_try_at, opened_at)
      SELECT id, 1, 'OPEN', 'sync::1220ee', ${DAY + 9n}, '{}', 1, ${DAY} FROM made
    )
    INSERT INTO reservation (submission_id, number, treasury_id, contract_id, is_open) SELECT id, 1, treasury_id, 'reserved', true FROM made
  `.execute(database.db);
  await sql`ANALYZE`.execute(database.db);
  counted = countStatements(database);
  api = await startApi(database, { db: counted.db });
  const { data } = await api.query('{ instruments(isAccepted: true) { nodes { id } } }');
  instrument = data.instruments.nodes[0].id;
});

afterAll(async () => {
  await api.stop();
  await counted.close();
  await scene.close();
});

async function contractsOf(args: string): Promise<string[]> {
  counted.forget();
  const { data, errors } = await api.query(`{ holdings(${args}) { nodes { contractId } } }`);
  expect(errors).toBeUndefined();
  return data.holdings.nodes.map((node: { contractId: string }) => node.contractId);
}

test('a reservation says for what, by which attempt, and until when', async () => {
  const { data, errors } =
    await api.query(`{ holdings(isReserved: true) { nodes { contractId lock { context } reservation {
    purpose attempt until since synchronizerId brokenBy selfTransferId withdrawal { withdrawalId } offer { id } } } } }`);

  expect(errors).toBeUndefined();
  expect(data.holdings.nodes).toEqual([
    {
      contractId: 'reserved',
      lock: null,
      reservation: {
        purpose: 'WITHDRAWAL',
        attempt: 1,
        until: '2026-11-22T00:00:00.000009Z',
        since: '2026-11-22T00:00:00.000000Z',
        synchronizerId: 'sync::1220ee',
        brokenBy: null,
        selfTransferId: null,
        withdrawal: { withdrawalId },
        offer: null,
      },
    },
  ]);
});

test('what is locked or reserved is found among many, and so is what is not', async () => {
  expect(await contractsOf('isLocked: true')).toEqual(['locked']);
  expect(await counted.visited('holding')).toBeLessThanOrEqual(VISITED_MAX);
  expect(await contractsOf('isReserved: true')).toEqual(['reserved']);
  expect(await counted.visited('holding')).toBeLessThanOrEqual(VISITED_MAX);
  expect(await contractsOf('isLocked: false, isReserved: false, orderBy: OLDEST, first: 2')).toEqual(['10', '20']);
  expect(await counted.visited('holding')).toBeLessThanOrEqual(VISITED_MAX);
});

test('by age and by amount a page costs what it shows', async () => {
  for (const [args, expected] of [
    ['orderBy: NEWEST, first: 3', ['5000', '4990', '4980']],
    ['orderBy: OLDEST, first: 3', ['locked', 'reserved', '10']],
    [`orderBy: LARGEST, first: 3, instrument: "${instrument}"`, ['5000', '4990', '4980']],
    [`orderBy: SMALLEST, first: 3, instrument: "${instrument}"`, ['10', '20', '30']],
    [`orderBy: SMALLEST, amountMin: "5.99", first: 3, instrument: "${instrument}"`, ['4990', '5000']],
  ] as const) {
    expect(await contractsOf(args)).toEqual(expected);
    expect(await counted.visited('holding'), args).toBeLessThanOrEqual(VISITED_MAX);
  }
});

test('pages by amount follow each other, also where amounts are equal', async () => {
  await scene.rows.holding('twin-a', '100', {});
  await scene.rows.holding('twin-b', '100', {});
  const seen: string[] = [];
  let after: string | null = null;
  for (let pages = 0; pages < 4; pages++) {
    const { data, errors } = await api.query(
      `query ($after: String, $instrument: ID) { holdings(first: 1, orderBy: LARGEST, instrument: $instrument, after: $after) {
        pageInfo { endCursor } nodes { contractId } } }`,
      { after, instrument },
    );
    expect(errors).toBeUndefined();
    seen.push(data.holdings.nodes[0].contractId);
    after = data.holdings.pageInfo.endCursor;
  }

  expect(seen).toEqual(['twin-b', 'twin-a', '5000', '4990']);
});

test.each([
  ['amounts of every instrument', 'orderBy: LARGEST'],
  ['a least amount of every instrument', 'amountMin: "1"'],
])('%s do not compare', async (_what, args) => {
  const { errors } = await api.query(`{ holdings(${args}) { nodes { id } } }`);

  expect(errors[0].extensions.code).toBe('FILTER_INVALID');
});

test.each(['1e5', '-1', 'NaN', '1.12345678901', "1'; DROP TABLE holding"])(
  'a cursor with the amount %s is refused',
  async (amount) => {
    const after = Buffer.from(JSON.stringify(['1', 'holdingsByAmount', amount, 'c', 'testnet', 'p'])).toString(
      'base64url',
    );

    const { errors } = await api.query(
      'query ($after: String, $instrument: ID) { holdings(orderBy: LARGEST, instrument: $instrument, after: $after) { nodes { id } } }',
      { after, instrument },
    );

    expect(errors[0].extensions.code).toBe('PAGE_CURSOR_INVALID');
  },
);
