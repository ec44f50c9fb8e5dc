/** Customers' books through the API: post transfers, what accounts have, their journal, and amounts that are none. */
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AMULET_ADMIN } from '../support/rows.ts';
import { as, startWithdrawalApi, type WithdrawalApi } from '../support/withdrawal-api.ts';

let scene: WithdrawalApi;

const INSTRUMENT = { instrumentAdmin: AMULET_ADMIN, instrumentId: 'Amulet' };
const TREASURY = { treasuryParty: 'treasury::1220bb' };

const POST = `mutation ($input: PostTransferInput!) {
  postTransfer(input: $input) {
    __typename
    ... on PostTransferPayload {
      replayed
      postTransfer { postTransferId createdBy idempotencyKey reference postedAt lines { account { customer } houseAccount amount instrument { instrumentId } } }
    }
    ... on Error { code message why fix retryable }
    ... on PostTransferInputError { line }
    ... on CustomerFundsError { shortfalls { account instrumentAdmin instrumentId available asked } }
  }
}`;

const WITHDRAW = `mutation ($input: CreateWithdrawalInput!) {
  createWithdrawal(input: $input) {
    __typename
    ... on Error { code message why fix retryable }
    ... on CustomerFundsError { shortfalls { account available asked } }
  }
}`;

const FUNDS = `query ($customer: String!) {
  account(customer: $customer) { customer funds { instrument { instrumentId } available inWithdrawals total held } balances { amount } }
}`;

beforeAll(async () => {
  scene = await startWithdrawalApi();
  const { db } = scene.database;
  await sql`INSERT INTO customer_books (network_id, mode, changed_at, changed_by) SELECT id, 'INTERNAL', 0, 'test' FROM network`.execute(
    db,
  );
});

afterAll(async () => {
  await scene.close();
});

const line = (account: string, amount: unknown) => ({ ...INSTRUMENT, account, amount });
const house = (amount: unknown, houseAccount = 'HOUSE') => ({ ...INSTRUMENT, houseAccount, amount });

async function post(idempotencyKey: string, lines: readonly unknown[], more = {}, headers = {}) {
  const { data, errors } = await scene.api.query(POST, { input: { idempotencyKey, lines, ...more } }, headers);
  expect(errors).toBeUndefined();
  return data.postTransfer;
}

async function fundsOf(customer: string) {
  const { data, errors } = await scene.api.query(FUNDS, { customer });
  expect(errors).toBeUndefined();
  return data.account;
}

async function withdraw(idempotencyKey: string, account: string, amount: string) {
  const input = {
    ...INSTRUMENT,
    ...TREASURY,
    idempotencyKey,
    account,
    amount,
    receiver: `bob::1220${'ab'.repeat(32)}`,
  };
  const { data, errors } = await scene.api.query(WITHDRAW, { input });
  expect(errors).toBeUndefined();
  return data.createWithdrawal;
}

describe('postTransfer', () => {
  test('books its lines and shows them, and again under its key', async () => {
    const lines = [line('p-alice', '10'), house('-10.5'), house('0.5', 'FEES')];
    const posted = await post('first', lines, { reference: 'opening 1' });

    expect(posted).toMatchObject({
      replayed: false,
      postTransfer: {
        postTransferId: expect.stringMatching(/^pt_/),
        createdBy: expect.any(String),
        idempotencyKey: 'first',
        reference: 'opening 1',
        lines: [
          { account: { customer: 'p-alice' }, houseAccount: null, amount: '10.0000000000' },
          { account: null, houseAccount: 'FEES', amount: '0.5000000000' },
          { account: null, houseAccount: 'HOUSE', amount: '-10.5000000000' },
        ],
      },
    });
    expect(await post('first', [...lines].reverse(), { reference: 'opening 1' })).toEqual({
      ...posted,
      replayed: true,
    });
    const { data } = await scene.api.query(
      `query ($id: String!) { byId: postTransfer(postTransferId: $id) { reference } byKey: postTransfer(idempotencyKey: "first") { postTransferId }
        none: postTransfer(idempotencyKey: "nobody’s") { postTransferId } }`,
      { id: posted.postTransfer.postTransferId },
    );
    expect(data).toEqual({
      byId: { reference: 'opening 1' },
      byKey: { postTransferId: posted.postTransfer.postTransferId },
      none: null,
    });
  });

  test('H5, Z36: refuses its key for anything else, with advice, and another client’s key is another one', async () => {
    await post('reused', [line('r-bob', '1'), house('-1')]);

    expect(await post('reused', [line('r-bob', '2'), house('-2')])).toMatchObject({
      __typename: 'PostTransferInputError',
      code: 'IDEMPOTENCY_KEY_REUSED',
      why: expect.stringMatching(/./),
      fix: expect.stringMatching(/./),
      retryable: false,
    });
    expect(await post('reused', [line('r-bob', '2'), house('-2')], {}, as('service'))).toMatchObject({
      replayed: false,
    });
  });

  test('tells who has too little, and how much', async () => {
    await post('short-1', [line('s-alice', '3'), house('-3')]);

    expect(await post('short-2', [line('s-alice', '-3.0000000001'), line('s-bob', '3.0000000001')])).toMatchObject({
      __typename: 'CustomerFundsError',
      code: 'INSUFFICIENT_FUNDS',
      shortfalls: [{ account: 's-alice', ...INSTRUMENT, available: '3.0000000000', asked: '3.0000000001' }],
    });
  });

  test.each([
    ['both accounts', [{ ...line('a', '1'), houseAccount: 'FEES' }, house('-1')], 'LINE_ACCOUNT_INVALID', 0],
    ['no account', [house('-1'), { ...INSTRUMENT, amount: '1' }], 'LINE_ACCOUNT_INVALID', 1],
    ['lines that do not balance', [line('a', '1'), house('-2')], 'LINES_UNBALANCED', null],
    [
      'an instrument with U+0000',
      [{ ...line('a', '1'), instrumentId: '\u0000' }, house('-1')],
      'INSTRUMENT_UNKNOWN',
      0,
    ],
  ])('refuses %s', async (_what, lines, code, at) => {
    expect(await post('refused', lines)).toMatchObject({ __typename: 'PostTransferInputError', code, line: at });
  });

  test.each(['TREASURY', 'UNATTRIBUTED', 'HELD', 'WITHDRAWALS', 'UNEXPLAINED'])(
    'knows no %s among the accounts that may be named',
    async (houseAccount) => {
      const { errors } = await scene.api.query(POST, {
        input: { idempotencyKey: 'kinds', lines: [line('a', '1'), house('-1', houseAccount)] },
      });
      expect(errors).toHaveLength(1);
    },
  );

  test('Z36: nobody posts who may not, and nothing is booked', async () => {
    const before = await postingsCount();
    const { errors } = await scene.api.query(
      POST,
      { input: { idempotencyKey: 'forbidden', lines: [line('a', '1'), house('-1')] } },
      as('viewer'),
    );
    expect(errors).toBeDefined();
    expect(await postingsCount()).toBe(before);
  });
});

async function postingsCount(): Promise<string> {
  const { rows } = await sql<{ count: string }>`SELECT count(*)::text AS count FROM posting`.execute(scene.database.db);
  return rows[0]?.count ?? '';
}

describe('Z38: an amount', () => {
  const TRICKS = [
    '0.00000000001',
    '1e-11',
    '1e3',
    '+1',
    ' 1',
    '1 ',
    '1,5',
    '1_000',
    '.5',
    '1.',
    '--1',
    '−1',
    '١',
    '１',
    'NaN',
    'Infinity',
    '0x10',
    '',
    '10000000000000000000000000000',
    '9'.repeat(100_000),
    '1\u0000',
    '1\n',
  ];

  test.each([...TRICKS, 1, 1.5, -0, 1e28, 0.1, true, ['1'], { value: '1' }])(
    '%j in a variable is refused, in postTransfer as in createWithdrawal',
    async (amount) => {
      const before = await postingsCount();

      const posted = await scene.api.query(POST, {
        input: { idempotencyKey: 'z38', lines: [line('a', amount), house('-1')] },
      });
      const withdrawn = await scene.api.query(WITHDRAW, {
        input: {
          ...INSTRUMENT,
          ...TREASURY,
          idempotencyKey: 'z38',
          account: 'a',
          receiver: `bob::1220${'ab'.repeat(32)}`,
          amount,
        },
      });

      for (const { data, errors } of [posted, withdrawn]) {
        expect(errors?.length).toBeGreaterThan(0);
        expect(data?.postTransfer ?? data?.createWithdrawal ?? null).toBeNull();
      }
      expect(await postingsCount()).toBe(before);
    },
  );

  test.each([
    '1',
    '1.5',
    '-1',
    '1e-11',
    '-0',
    '10000000000000000000000000000',
    '"1e-11"',
    '"1,5"',
    '"NaN"',
    'true',
    'one',
  ])('%s as a literal is refused, in postTransfer as in createWithdrawal', async (literal) => {
    const before = await postingsCount();
    const party = JSON.stringify(AMULET_ADMIN);
    const documents = [
      `mutation { postTransfer(input: { idempotencyKey: "z38", lines: [
          { account: "a", instrumentAdmin: ${party}, instrumentId: "Amulet", amount: ${literal} },
          { houseAccount: HOUSE, instrumentAdmin: ${party}, instrumentId: "Amulet", amount: "-1" }] }) { __typename } }`,
      `mutation { createWithdrawal(input: { idempotencyKey: "z38", account: "a", treasuryParty: "treasury::1220bb",
          instrumentAdmin: ${party}, instrumentId: "Amulet", receiver: "bob::1220${'ab'.repeat(32)}", amount: ${literal} }) { __typename } }`,
    ];

    for (const document of documents) {
      const { errors } = await scene.api.query(document);
      expect(errors?.length).toBeGreaterThan(0);
    }
    expect(await postingsCount()).toBe(before);
  });

  test('of nothing, with whatever sign and zeros before it, moves nothing; leading zeros are the same amount', async () => {
    for (const amount of ['0', '-0', '0.0000000000', '-0.0']) {
      expect(await post('zero', [line('a', amount), house(amount)])).toMatchObject({ code: 'LINE_AMOUNT_INVALID' });
    }
    const posted = await post('zeros', [line('z-alice', '0001.50'), house('-1.5')]);
    expect(await post('zeros', [line('z-alice', '1.5'), house('-01.5000000000')])).toEqual({
      ...posted,
      replayed: true,
    });
  });

  test('is exact from the smallest to the largest', async () => {
    for (const [index, amount] of ['0.0000000001', '9999999999999999999999999999.9999999999'].entries()) {
      await post(`exact-${index}`, [line(`exact-${index}`, amount), house(`-${amount}`)]);
      expect((await fundsOf(`exact-${index}`)).funds[0].available).toBe(amount);
    }
    // Twice the largest is no amount of the ledger, and a balance all the same.
    await post('exact-2', [
      line('exact-1', '9999999999999999999999999999.9999999999'),
      house('-9999999999999999999999999999.9999999999'),
    ]);
    expect((await fundsOf('exact-1')).funds[0].available).toBe('19999999999999999999999999999.9999999998');
  });
});

describe('what an account has', () => {
  test('moves from available into withdrawals, and is refused beyond', async () => {
    await post('funds', [line('f-alice', '20'), house('-20')]);

    expect((await withdraw('funds', 'f-alice', '12.5')).__typename).toBe('CreateWithdrawalPayload');

    expect(await fundsOf('f-alice')).toMatchObject({
      funds: [
        { available: '7.5000000000', inWithdrawals: '12.5000000000', total: '20.0000000000', held: '0.0000000000' },
      ],
      balances: [{ amount: '7.5000000000' }],
    });
    expect(await withdraw('funds-2', 'f-alice', '7.6')).toMatchObject({
      __typename: 'CustomerFundsError',
      code: 'INSUFFICIENT_FUNDS',
      shortfalls: [{ account: 'f-alice', available: '7.5000000000', asked: '7.6000000000' }],
      why: expect.stringMatching(/./),
      fix: expect.stringMatching(/./),
    });
  });

  test('of nobody is null', async () => {
    expect(await fundsOf('nobody')).toBeNull();
    expect(await fundsOf('\u0000')).toBeNull();
  });

  test('is told by its journal, page by page, both ways, by instrument and time', async () => {
    for (let index = 1; index <= 5; index += 1)
      await post(`j-${index}`, [line('j-alice', `${index}`), house(`-${index}`)]);
    await withdraw('j-w', 'j-alice', '2');
    const JOURNAL = `query ($after: String, $before: String, $first: Int, $last: Int, $instrument: ID, $from: RecordTime, $to: RecordTime) {
      accountJournal(customer: "j-alice", after: $after, before: $before, first: $first, last: $last, instrument: $instrument, from: $from, to: $to) {
        nodes { amount cause causeId recordTime instrument { id instrumentId } } pageInfo { endCursor startCursor hasNextPage hasPreviousPage }
      }
    }`;
    const read = async (variables: Record<string, unknown>) => {
      const { data, errors } = await scene.api.query(JOURNAL, variables);
      expect(errors).toBeUndefined();
      return data.accountJournal;
    };
    const amounts = ({ nodes }: { nodes: readonly { amount: string }[] }) => nodes.map(({ amount }) => Number(amount));

    const all = await read({ first: 20 });
    expect(amounts(all)).toEqual([-2, 5, 4, 3, 2, 1]);
    expect(all.nodes[0]).toMatchObject({ cause: 'WITHDRAWAL', causeId: expect.stringMatching(/^wd_/) });
    expect(all.nodes[1]).toMatchObject({ cause: 'POST_TRANSFER', causeId: expect.stringMatching(/^pt_/) });
    const pages: number[] = [];
    for (let after: string | null = null; ; ) {
      const page = await read({ first: 4, after });
      pages.push(...amounts(page));
      if (page.pageInfo.hasNextPage !== true) break;
      after = page.pageInfo.endCursor;
    }
    expect(pages).toEqual([-2, 5, 4, 3, 2, 1]);
    expect(amounts(await read({ last: 2 }))).toEqual([2, 1]);
    expect(amounts(await read({ instrument: all.nodes[0].instrument.id, first: 2 }))).toEqual([-2, 5]);
    expect(amounts(await read({ from: all.nodes[0].recordTime }))).toEqual([-2]);
    expect(amounts(await read({ to: all.nodes[4].recordTime }))).toEqual([1]);
  });

  test('is the customer’s own to see: another’s funds and journal are empty to him', async () => {
    await post('own', [line('o-alice', '1'), line('o-bob', '1'), house('-2')]);
    const OWN = `{ mine: account(customer: "o-alice") { funds { available } } other: account(customer: "o-bob") { funds { available } }
      journal: accountJournal(customer: "o-alice") { nodes { amount causeId } } others: accountJournal(customer: "o-bob") { nodes { amount } } }`;

    const { data, errors } = await scene.api.query(OWN, {}, as('customer:o-alice'));

    expect(errors).toBeUndefined();
    expect(data).toMatchObject({
      mine: { funds: [{ available: '1.0000000000' }] },
      other: null,
      journal: { nodes: [{ amount: '1.0000000000' }] },
      others: { nodes: [] },
    });
    const { errors: refused } = await scene.api.query(
      POST,
      { input: { idempotencyKey: 'thief', lines: [line('o-alice', '1'), line('o-bob', '-1')] } },
      as('customer:o-alice'),
    );
    expect(refused[0].extensions.code).toBe('FORBIDDEN');
  });

  test('and what the house has, and who keeps it', async () => {
    const { data } = await scene.api.query('{ customerBooks { mode isBehind houseBalances { houseAccount amount } } }');

    expect(data.customerBooks).toMatchObject({ mode: 'INTERNAL', isBehind: false });
    expect(data.customerBooks.houseBalances).toContainEqual({ houseAccount: 'FEES', amount: '0.5000000000' });
  });
});

test('C12: after a restore one who has too little is not refused for good, before everything was sent again', async () => {
  const { db } = scene.database;
  await sql`
    INSERT INTO database_restore (cause, treasury_id, noticed_at, noticed_by, detail, safe_record_time, lost_events, put_back)
    VALUES ('test', NULL, 100, 'test', 'test', 0, 3, 'null')`.execute(db);

  const early = await post('behind', [line('b-alice', '-1'), line('b-bob', '1')]);
  expect(early).toMatchObject({
    __typename: 'CustomerBooksBehindError',
    code: 'BOOKS_BEHIND',
    fix: expect.stringMatching(/sluice books resent/),
    retryable: true,
  });
  await post('behind-gained', [line('b-alice', '1'), house('-1')]);

  expect(await post('behind', [line('b-alice', '-1'), line('b-bob', '1')])).toMatchObject({ replayed: false });
});
