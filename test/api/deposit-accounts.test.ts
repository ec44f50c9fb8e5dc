/** Registering memos: once, for ever, under retries and races. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DEPOSIT_ACCOUNT_CREATED } from '../../src/deposits/deposit-accounts.ts';
import { depositAccountId } from '../../src/tokens/ids.ts';
import { startApi, type TestApi } from '../support/api.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { createRows } from '../support/rows.ts';

let database: TestDatabase;
let api: TestApi;

beforeAll(async () => {
  database = await createTestDatabase();
  await createRows(database.db).treasury();
  api = await startApi(database);
});

afterAll(async () => {
  await api.stop();
  await database.close();
});

const MUTATION = `mutation ($input: CreateDepositAccountInput!) {
  createDepositAccount(input: $input) {
    __typename
    ... on CreateDepositAccountPayload {
      replayed
      depositAccount { id depositAccountId memo network createdBy account { customer } addresses { party memo } }
    }
    ... on Error { code message why fix retryable }
    ... on DepositInputError { field }
  }
}`;

async function create(input: Record<string, unknown>, headers: Record<string, string> = {}) {
  const { data, errors } = await api.query(MUTATION, { input }, headers);
  expect(errors).toBeUndefined();
  return data.createDepositAccount;
}

describe('createDepositAccount', () => {
  test('registers a memo and shows the address to pay to', async () => {
    const created = await create({ account: 'alice', memo: 'Alice-1' }, { authorization: 'Bearer dev-operator' });

    expect(created).toEqual({
      __typename: 'CreateDepositAccountPayload',
      replayed: false,
      depositAccount: {
        id: expect.any(String),
        depositAccountId: depositAccountId('testnet', 'Alice-1'),
        memo: 'Alice-1',
        network: 'testnet',
        createdBy: 'operator',
        account: { customer: 'alice' },
        addresses: [{ party: 'treasury::1220bb', memo: 'Alice-1' }],
      },
    });
  });

  test('the same again is a replay, another account’s is refused and told nothing', async () => {
    const first = await create({ account: 'carol', memo: 'Carol-1' });

    const again = await create({ account: 'carol', memo: 'Carol-1' });
    const stolen = await create({ account: 'mallory', memo: 'Carol-1' });
    const otherCase = await create({ account: 'mallory', memo: 'CAROL-1' });

    expect(again).toEqual({ ...first, replayed: true });
    expect(stolen).toMatchObject({ __typename: 'MemoTakenError', code: 'MEMO_TAKEN', retryable: false });
    expect(JSON.stringify(stolen)).not.toContain('carol');
    expect(otherCase).toMatchObject({ replayed: false });
    const accounts = await database.db.selectFrom('account').select('owner').where('owner', '=', 'mallory').execute();
    expect(accounts).toHaveLength(1);
  });

  test('a refused registration leaves no account behind', async () => {
    await create({ account: 'dave', memo: 'Dave-1' });

    await create({ account: 'never-was', memo: 'Dave-1' });

    const left = await database.db.selectFrom('account').select('id').where('owner', '=', 'never-was').execute();
    expect(left).toEqual([]);
  });

  test('of many at once with one memo, one account gets it and the others are refused', async () => {
    const racers = Array.from({ length: 12 }, (_, index) => `racer-${index % 3}`);

    const results = await Promise.all(racers.map(async (account) => await create({ account, memo: 'Race' })));

    const winners = results.filter((result) => result.__typename === 'CreateDepositAccountPayload');
    const owner = winners[0].depositAccount.account.customer;
    expect(winners.filter((result) => !result.replayed)).toHaveLength(1);
    for (const [index, result] of results.entries()) {
      expect(result.__typename).toBe(racers[index] === owner ? 'CreateDepositAccountPayload' : 'MemoTakenError');
    }
  });

  test('without a memo a new one is made, easy to read aloud', async () => {
    const memos = new Set<string>();
    for (let round = 0; round < 5; round++) memos.add((await create({ account: 'erin' })).depositAccount.memo);

    expect(memos.size).toBe(5);
    for (const memo of memos) expect(memo).toMatch(/^[0-9A-HJKMNP-TV-Z]{16}$/);
  });

  test('any text a person can type is taken as it is', async () => {
    const memos = [
      'a',
      ' ',
      'ä',
      'a\u0308',
      '‮txet',
      '💣'.repeat(64),
      'x'.repeat(256),
      "'; DROP TABLE account; --",
      '{"$ne":null}',
      '\u007f',
    ];
    for (const memo of memos) {
      const { depositAccount } = await create({ account: 'frank', memo });
      expect(depositAccount.memo).toBe(memo);
    }
  });

  test.each([
    ['memo', ''],
    ['memo', 'x'.repeat(257)],
    ['memo', '💣'.repeat(65)],
    ['memo', 'a\u0000b'],
    ['memo', 'a\nb'],
    ['memo', '\u001f'],
    ['memo', '\ud800'],
    ['account', ''],
    ['account', 'a\tb'],
    ['account', 'x'.repeat(256)],
  ])('%s %j is refused with advice', async (field, text) => {
    const refused = await create({ account: 'gina', [field]: text });

    expect(refused).toEqual({
      __typename: 'DepositInputError',
      code: `${field.toUpperCase()}_INVALID`,
      field,
      message: expect.any(String),
      why: expect.any(String),
      fix: expect.any(String),
      retryable: false,
    });
  });

  test('an unknown network is refused, and so is none where there are several', async () => {
    expect(await create({ account: 'hugo', network: 'mainnet' })).toMatchObject({
      __typename: 'NetworkUnknownError',
      code: 'NETWORK_UNKNOWN',
      fix: expect.stringContaining('testnet'),
    });
    await createRows(database.db, 'second-net').networkId();
    expect(await create({ account: 'hugo' })).toMatchObject({ __typename: 'NetworkUnknownError' });
    expect(await create({ account: 'hugo', network: 'second-net', memo: 'Alice-1' })).toMatchObject({
      replayed: false,
    });
    await database.db
      .deleteFrom('deposit_account')
      .where('id', '=', depositAccountId('second-net', 'Alice-1'))
      .execute();
    await database.db.deleteFrom('account').where('owner', '=', 'hugo').execute();
    await database.db.deleteFrom('network').where('name', '=', 'second-net').execute();
  });

  test('each registration is told to the event log once', async () => {
    await create({ account: 'ida', memo: 'Ida-1' });
    await create({ account: 'ida', memo: 'Ida-1' });

    const events = await eventually(async () => {
      const found = await database.db
        .selectFrom('event')
        .select(['type', 'payload'])
        .where('subject', '=', depositAccountId('testnet', 'Ida-1'))
        .execute();
      expect(found).not.toEqual([]);
      return found;
    });

    expect(events).toEqual([
      {
        type: DEPOSIT_ACCOUNT_CREATED,
        payload: {
          depositAccountId: depositAccountId('testnet', 'Ida-1'),
          network: 'testnet',
          memo: 'Ida-1',
          account: 'ida',
          createdBy: 'developer',
        },
      },
    ]);
  });
});
