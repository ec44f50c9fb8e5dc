/** Asking for withdrawals through the API: once under any number of retries, refused with advice, cancelled by who asked. */
import { createHash } from 'node:crypto';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseApiKey } from '../../src/server/principals.ts';
import { withdrawalId } from '../../src/tokens/ids.ts';
import { ID_KEY, startApi } from '../support/api.ts';
import { AMULET_ADMIN } from '../support/rows.ts';
import { subscribeSse } from '../support/sse-client.ts';
import {
  as,
  CANCEL,
  CREATE,
  INPUT,
  RECEIVER,
  startWithdrawalApi,
  type WithdrawalApi,
} from '../support/withdrawal-api.ts';

let withdrawals: WithdrawalApi;
let database: WithdrawalApi['database'];
let api: WithdrawalApi['api'];
let rows: WithdrawalApi['rows'];
let create: WithdrawalApi['create'];
let idOf: WithdrawalApi['idOf'];
let cancel: WithdrawalApi['cancel'];
let apply: WithdrawalApi['apply'];
let bookingsOf: WithdrawalApi['bookingsOf'];

beforeAll(async () => {
  withdrawals = await startWithdrawalApi();
  ({ database, api, rows, create, idOf, cancel, apply, bookingsOf } = withdrawals);
});

afterAll(async () => {
  await withdrawals.close();
});

describe('Z36: createWithdrawal', () => {
  test('stores, debits and announces, and shows the withdrawal', async () => {
    const created = await create({ idempotencyKey: 'first', memo: 'Bob-7' });

    const id = withdrawalId(ID_KEY, 'developer', 'first');
    expect(created).toEqual({
      __typename: 'CreateWithdrawalPayload',
      replayed: false,
      withdrawal: {
        id: Buffer.from(`Withdrawal:${id}`).toString('base64url'),
        withdrawalId: id,
        state: 'QUEUED',
        isFinal: false,
        isCancelRequested: false,
        receiver: RECEIVER,
        amount: '12.5000000000',
        memo: 'Bob-7',
        createdBy: 'developer',
        idempotencyKey: 'first',
        updateId: null,
        decidableBy: null,
        account: { customer: 'alice' },
        treasury: { party: 'treasury::1220bb' },
        instrument: { admin: AMULET_ADMIN, instrumentId: 'Amulet' },
        failure: null,
        transfer: null,
        attempts: [],
        definiteFailureProof: null,
      },
    });
    expect(await bookingsOf(id)).toEqual([{ cause: `withdrawal:${id}:requested` }]);
    const { data } = await api.query(
      'query ($id: ID!, $withdrawalId: String!) { node(id: $id) { ... on Withdrawal { memo } } withdrawal(withdrawalId: $withdrawalId) { memo } }',
      { id: created.withdrawal.id, withdrawalId: id },
    );
    expect(data).toEqual({ node: { memo: 'Bob-7' }, withdrawal: { memo: 'Bob-7' } });
  });

  test('the same again is a replay, however the amount is written', async () => {
    const first = await create({ idempotencyKey: 'again' });

    const again = await create({ idempotencyKey: 'again', amount: '12.5000000000', treasuryParty: 'treasury::1220bb' });

    expect(again).toEqual({ ...first, replayed: true });
  });

  test.each([
    ['amount', '12.5000000001'],
    ['receiver', `eve::1220${'ab'.repeat(32)}`],
    ['account', 'mallory'],
    ['memo', 'other'],
  ])('the same key with another %s is refused and changes nothing', async (field, value) => {
    const idempotencyKey = `reused-${field}`;
    const id = await idOf(idempotencyKey);

    const refused = await create({ idempotencyKey, [field]: value });

    expect(refused).toEqual({
      __typename: 'IdempotencyKeyReusedError',
      code: 'IDEMPOTENCY_KEY_REUSED',
      message: expect.any(String),
      why: expect.any(String),
      fix: expect.any(String),
      retryable: false,
    });
    const stored = await database.db.selectFrom('withdrawal').selectAll().where('id', '=', id).executeTakeFirst();
    expect(stored).toMatchObject({ amount: '12.5000000000', receiver: RECEIVER, memo: null });
    expect(await bookingsOf(id)).toHaveLength(1);
  });

  test('a hundred at once with one key are one withdrawal and one booking', async () => {
    const answers = await Promise.all(
      Array.from({ length: 100 }, async () => await create({ idempotencyKey: 'hundred', account: 'carol' })),
    );

    const id = withdrawalId(ID_KEY, 'developer', 'hundred');
    expect(new Set(answers.map(({ withdrawal }) => withdrawal.withdrawalId))).toEqual(new Set([id]));
    expect(answers.filter(({ replayed }) => !replayed)).toHaveLength(1);
    expect(await bookingsOf(id)).toHaveLength(1);
    const { data } = await api.query('{ accounts(first: 100) { nodes { customer balances { amount } } } }');
    const carol = data.accounts.nodes.find(({ customer }: { customer: string }) => customer === 'carol');
    expect(carol.balances).toEqual([{ amount: '-12.5000000000' }]);
  });

  test('another principal’s key is another withdrawal', async () => {
    const mine = await create({ idempotencyKey: 'shared' });
    const theirs = await create({ idempotencyKey: 'shared', amount: '3' }, as('service'));

    expect(theirs).toMatchObject({ replayed: false, withdrawal: { createdBy: 'service', amount: '3.0000000000' } });
    expect(theirs.withdrawal.withdrawalId).not.toBe(mine.withdrawal.withdrawalId);
  });

  test.each([
    ['IDEMPOTENCY_KEY_INVALID', 'idempotencyKey', ''],
    ['IDEMPOTENCY_KEY_INVALID', 'idempotencyKey', 'x'.repeat(256)],
    ['IDEMPOTENCY_KEY_INVALID', 'idempotencyKey', '\ud800'],
    ['IDEMPOTENCY_KEY_INVALID', 'idempotencyKey', 'a\u0000b'],
    ['ACCOUNT_INVALID', 'account', ''],
    ['ACCOUNT_INVALID', 'account', '\udc00'],
    ['MEMO_INVALID', 'memo', 'a\nb'],
    ['MEMO_INVALID', 'memo', ''],
    ['MEMO_INVALID', 'memo', 'x\ud83d'],
    ['RECEIVER_INVALID', 'receiver', 'bob'],
    ['RECEIVER_INVALID', 'receiver', `bob::1220${'AB'.repeat(32)}`],
    ['RECEIVER_INVALID', 'receiver', `${RECEIVER}\n`],
    ['AMOUNT_NOT_POSITIVE', 'amount', '0'],
    ['AMOUNT_NOT_POSITIVE', 'amount', '-1'],
    ['INSTRUMENT_NOT_ACCEPTED', 'instrumentId', 'Spam'],
    ['INSTRUMENT_NOT_ACCEPTED', 'instrumentId', 'Unheard\u0000'],
    ['TREASURY_UNKNOWN', 'treasuryParty', 'nobody::1220bb'],
    ['TREASURY_UNKNOWN', 'treasuryParty', '\u0000'],
  ])('%s: %s %j is refused with advice, and nothing is stored', async (code, field, text) => {
    const countOf = async () =>
      await database.db.selectFrom('withdrawal').select(sql<bigint>`count(*)`.as('count')).executeTakeFirst();
    const before = await countOf();

    const refused = await create({ idempotencyKey: 'refused', [field]: text });

    expect(refused).toEqual({
      __typename: 'WithdrawalInputError',
      code,
      field,
      message: expect.any(String),
      why: expect.any(String),
      fix: expect.any(String),
      retryable: false,
    });
    expect(await countOf()).toEqual(before);
  });

  test('another admin’s instrument of the same id is another instrument', async () => {
    expect(await create({ idempotencyKey: 'other-admin', instrumentAdmin: 'Mallory::1220aa' })).toMatchObject({
      code: 'INSTRUMENT_NOT_ACCEPTED',
    });
  });

  test('an amount that is no exact decimal is refused before anything else', async () => {
    for (const amount of ['1.00000000001', '1e3', 'NaN', 5]) {
      const { errors } = await api.query(CREATE, { input: { ...INPUT, idempotencyKey: 'decimal', amount } });
      expect(errors[0].extensions.code).toBe('AMOUNT_INVALID');
    }
  });

  test('an installation that does not pay out says so', async () => {
    const without = await startApi(database, { isPayingOut: false });

    const created = await without.query(CREATE, { input: { ...INPUT, idempotencyKey: 'off' } });
    const cancelled = await without.query(CANCEL, { withdrawalId: 'wd_x' });

    expect(created.data.createWithdrawal).toMatchObject({ __typename: 'WithdrawalsOffError', code: 'WITHDRAWALS_OFF' });
    expect(cancelled.data.cancelWithdrawal).toMatchObject({ code: 'WITHDRAWALS_OFF' });
    await without.stop();
  });
});

describe('withdrawal', () => {
  const query = 'query ($id: String, $key: String) { withdrawal(withdrawalId: $id, idempotencyKey: $key) { memo } }';

  test('is found by its id, and by the own key of who asked for it', async () => {
    const id = await idOf('found', { memo: 'mine' });
    await create({ idempotencyKey: 'found', memo: 'theirs' }, as('service'));

    expect((await api.query(query, { id })).data.withdrawal).toEqual({ memo: 'mine' });
    expect((await api.query(query, { key: 'found' })).data.withdrawal).toEqual({ memo: 'mine' });
    expect((await api.query(query, { key: 'found' }, as('service'))).data.withdrawal).toEqual({ memo: 'theirs' });
    expect((await api.query(query, { id }, as('service'))).data.withdrawal).toEqual({ memo: 'mine' });
    for (const none of [{ id: 'wd_none' }, { key: 'none' }, { id: '\u0000' }, { key: '\ud800' }]) {
      expect((await api.query(query, none)).data).toEqual({ withdrawal: null });
    }
    expect((await api.query(query, { key: 'found' }, as('frontend'))).data).toEqual({ withdrawal: null });
  });

  test('must be named in one way', async () => {
    for (const variables of [{}, { id: 'wd_none', key: 'none' }]) {
      expect((await api.query(query, variables)).errors[0].extensions.code).toBe('WITHDRAWAL_NOT_NAMED');
    }
  });
});

describe('scopes', () => {
  test.each([['frontend'], ['operator']])('dev-%s may read withdrawals and not make or cancel any', async (name) => {
    const id = await idOf('scopes');

    const made = await api.query(CREATE, { input: { ...INPUT, idempotencyKey: `by-${name}` } }, as(name));
    const cancelled = await api.query(CANCEL, { withdrawalId: id }, as(name));
    const read = await api.query(`{ withdrawal(withdrawalId: "${id}") { state } }`, {}, as(name));

    expect(made.errors[0].extensions.code).toBe('FORBIDDEN');
    expect(cancelled.errors[0].extensions.code).toBe('FORBIDDEN');
    expect(read.data.withdrawal.state).toBe('QUEUED');
    expect(await bookingsOf(withdrawalId(ID_KEY, name, `by-${name}`))).toEqual([]);
  });

  test('a key makes withdrawals with both scopes, and is stopped at the door without one of them', async () => {
    const key = (name: string, scopes: string) =>
      parseApiKey(`${name}:${scopes}:${createHash('sha256').update(`secret-of-${name}`).digest('hex')}`);
    const production = await startApi(database, {
      apiKeys: [
        key('payer', 'read+withdrawals'),
        key('blind', 'withdrawals'),
        key('reader', 'read+subscribe+deposits'),
      ],
    });

    for (const [name, isAllowed] of [
      ['payer', true],
      ['blind', false],
      ['reader', false],
    ] as const) {
      const headers = { authorization: `Bearer secret-of-${name}` };
      const { data, errors } = await production.query(CREATE, { input: { ...INPUT, idempotencyKey: 'key' } }, headers);
      expect(errors?.[0].extensions.code).toBe(isAllowed ? undefined : 'FORBIDDEN');
      expect(data?.createWithdrawal.withdrawal.createdBy).toBe(isAllowed ? 'payer' : undefined);
      expect(await bookingsOf(withdrawalId(ID_KEY, name, 'key'))).toHaveLength(isAllowed ? 1 : 0);
    }
    await production.stop();
  });

  test('following needs the scope to subscribe', async () => {
    const id = await idOf('scopes');
    const query = `subscription { withdrawalUpdated(withdrawalId: "${id}") { state } }`;
    const { stream } = await subscribeSse(api.url, { query }, as('frontend'));

    expect((await stream.next())?.data).toContain('FORBIDDEN');
    stream.cut();
  });
});

describe('cancelWithdrawal', () => {
  test('ends a queued one at once, books back, and may be repeated', async () => {
    const id = await idOf('cancel-queued', { account: 'dora' });

    const first = await cancel(id);
    const second = await cancel(id);

    expect(first).toEqual({
      __typename: 'CancelWithdrawalPayload',
      withdrawal: { state: 'CANCELLED', isFinal: true, isCancelRequested: false },
    });
    expect(second).toEqual(first);
    expect(await bookingsOf(id)).toEqual([{ cause: `withdrawal:${id}:back` }, { cause: `withdrawal:${id}:requested` }]);
  });

  test('takes one’s own key for the id', async () => {
    const id = await idOf('cancel-by-key');
    const query = `mutation ($input: CancelWithdrawalInput!) { cancelWithdrawal(input: $input) {
      ... on CancelWithdrawalPayload { withdrawal { withdrawalId state } } ... on Error { code } } }`;
    const ask = async (input: Record<string, unknown>, headers: Record<string, string> = {}) =>
      await api.query(query, { input }, headers);

    const foreign = await ask({ idempotencyKey: 'cancel-by-key' }, as('service'));
    const own = await ask({ idempotencyKey: 'cancel-by-key' });

    expect(foreign.data.cancelWithdrawal).toEqual({ code: 'WITHDRAWAL_UNKNOWN' });
    expect(own.data.cancelWithdrawal).toEqual({ withdrawal: { withdrawalId: id, state: 'CANCELLED' } });
    for (const input of [{}, { withdrawalId: id, idempotencyKey: 'cancel-by-key' }]) {
      expect((await ask(input)).errors[0].extensions.code).toBe('WITHDRAWAL_NOT_NAMED');
    }
  });

  test('is a wish while an attempt is open', async () => {
    const id = await idOf('cancel-in-flight');
    await apply(id, { kind: 'ATTEMPT_OPENED' });

    expect(await cancel(id)).toMatchObject({
      withdrawal: { state: 'IN_FLIGHT', isFinal: false, isCancelRequested: true },
    });
    await apply(id, { kind: 'TRANSFER_SEEN' });
    expect(await cancel(id)).toMatchObject({
      __typename: 'WithdrawalNotCancellableError',
      code: 'WITHDRAWAL_NOT_CANCELLABLE',
      message: 'The withdrawal is COMPLETED.',
    });
  });

  test('touches nobody else’s, and tells nothing of it', async () => {
    const id = await idOf('cancel-foreign');

    for (const unknown of [id, 'wd_none', '\u0000']) {
      expect(await cancel(unknown, as('service'))).toMatchObject({
        __typename: 'WithdrawalNotCancellableError',
        code: 'WITHDRAWAL_UNKNOWN',
      });
    }
    const { data } = await api.query(`{ withdrawal(withdrawalId: "${id}") { state isCancelRequested } }`);
    expect(data.withdrawal).toEqual({ state: 'QUEUED', isCancelRequested: false });
  });
});

describe('where several treasury parties are served', () => {
  const SECOND_PARTY = `second::1220${'cd'.repeat(32)}`;

  test('one without enough must be named, but a request that was stored without stays what it is', async () => {
    const before = await create({ idempotencyKey: 'before-second' });
    await rows.treasury(SECOND_PARTY);

    expect(await create({ idempotencyKey: 'before-second' })).toEqual({ ...before, replayed: true });
    expect(await create({ idempotencyKey: 'after-second' })).toMatchObject({
      code: 'INSUFFICIENT_FUNDS',
      field: 'amount',
    });
    expect(await create({ idempotencyKey: 'after-second', treasuryParty: SECOND_PARTY })).toMatchObject({
      replayed: false,
      withdrawal: { treasury: { party: SECOND_PARTY } },
    });
  });

  test('none of them is paid to', async () => {
    expect(
      await create({ idempotencyKey: 'to-us', treasuryParty: 'treasury::1220bb', receiver: SECOND_PARTY }),
    ).toMatchObject({ code: 'RECEIVER_INVALID' });
  });
});
