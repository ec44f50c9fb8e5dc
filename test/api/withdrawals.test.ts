/** Withdrawals through the API: asked for once under any number of retries, refused with advice, followed to their end, and proven where they fail. */
import { createHash } from 'node:crypto';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createDatabase } from '../../src/db/connection.ts';
import { formatEventCursor } from '../../src/db/event-cursor.ts';
import { systemClock } from '../../src/env/system.ts';
import { parseApiKey } from '../../src/server/principals.ts';
import { withdrawalId } from '../../src/tokens/ids.ts';
import { openAttempts } from '../../src/withdrawals/attempt-funding.ts';
import {
  lapseAttempts,
  recordSignatureRequest,
  recordTrouble,
  recordTry,
  takeDueAttempts,
} from '../../src/withdrawals/attempts.ts';
import { DEFAULT_LIMITS } from '../../src/withdrawals/automation.ts';
import type { WithdrawalEvent } from '../../src/withdrawals/withdrawal-state.ts';
import { applyWithdrawalEvent, type ChangeFacts } from '../../src/withdrawals/withdrawal-store.ts';
import { ID_KEY, startApi, type TestApi } from '../support/api.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { AMULET_ADMIN, createRows, DAY, type Rows } from '../support/rows.ts';
import { subscribeSse } from '../support/sse-client.ts';
import { connectAcknowledged, type WsClient } from '../support/ws-client.ts';

let database: TestDatabase;
let api: TestApi;
let rows: Rows;
let treasury: number;

beforeAll(async () => {
  database = await createTestDatabase();
  rows = createRows(database.db);
  treasury = await rows.treasury();
  await rows.instrument();
  await rows.instrument('Spam', false);
  await rows.stream({});
  // A small ring, so that resuming goes through the database as well.
  api = await startApi(database, { ringCountMax: 8 });
});

afterAll(async () => {
  await api.stop();
  await database.close();
});

const SYNCHRONIZER = 'global-domain::1220ee';
const RECEIVER = `bob::1220${'ab'.repeat(32)}`;
const INPUT = {
  account: 'alice',
  instrumentAdmin: AMULET_ADMIN,
  instrumentId: 'Amulet',
  receiver: RECEIVER,
  amount: '12.5',
};

const CREATE = `mutation ($input: CreateWithdrawalInput!) {
  createWithdrawal(input: $input) {
    __typename
    ... on CreateWithdrawalPayload {
      replayed
      withdrawal {
        id withdrawalId state isFinal isCancelRequested receiver amount memo createdBy idempotencyKey updateId decidableBy
        account { customer } treasury { party } instrument { admin instrumentId } failure { code } transfer { id }
        attempts { number } definiteFailureProof { explanation }
      }
    }
    ... on Error { code message why fix retryable }
    ... on WithdrawalInputError { field }
  }
}`;

async function create(input: Record<string, unknown>, headers: Record<string, string> = {}) {
  const { data, errors } = await api.query(CREATE, { input: { ...INPUT, ...input } }, headers);
  expect(errors).toBeUndefined();
  return data.createWithdrawal;
}

async function idOf(idempotencyKey: string, input: Record<string, unknown> = {}): Promise<string> {
  return (await create({ idempotencyKey, ...input })).withdrawal.withdrawalId;
}

const CANCEL = `mutation ($withdrawalId: String!) {
  cancelWithdrawal(input: { withdrawalId: $withdrawalId }) {
    __typename
    ... on CancelWithdrawalPayload { withdrawal { state isFinal isCancelRequested } }
    ... on Error { code message why fix retryable }
  }
}`;

async function cancel(id: string, headers: Record<string, string> = {}) {
  const { data, errors } = await api.query(CANCEL, { withdrawalId: id }, headers);
  expect(errors).toBeUndefined();
  return data.cancelWithdrawal;
}

async function apply(id: string, event: WithdrawalEvent, facts: Partial<ChangeFacts> = {}): Promise<void> {
  const done = await database.db
    .transaction()
    .execute(async (tx) => await applyWithdrawalEvent(tx, id, event, { nowMicros: systemClock.nowMicros(), ...facts }));
  expect(done.kind).not.toBe('ALARM');
}

const as = (name: string) => ({ authorization: `Bearer dev-${name}` });

async function bookingsOf(id: string) {
  return await database.db
    .selectFrom('journal_entry')
    .select('cause')
    .where('cause', 'like', `withdrawal:${id}:%`)
    .orderBy('cause')
    .execute();
}

describe('createWithdrawal', () => {
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

const FOLLOW = `subscription ($id: String!, $after: Cursor) {
  withdrawalUpdated(withdrawalId: $id, after: $after) { cursor eventId state isFinal updateId failureCode withdrawal { state } }
}`;
type Update = {
  readonly cursor: string;
  readonly eventId: string | null;
  readonly state: string;
  readonly isFinal: boolean;
  readonly withdrawal: { readonly state: string };
};

async function follow(id: string, after: string | null = null): Promise<WsClient> {
  const client = await connectAcknowledged(api.url);
  client.send({ id: 'f', type: 'subscribe', payload: { query: FOLLOW, variables: { id, after } } });
  return client;
}

async function nextUpdate(client: WsClient): Promise<Update> {
  const message = await client.next();
  expect(message.type).toBe('next');
  return (message.payload as { data: { withdrawalUpdated: Update } }).data.withdrawalUpdated;
}

async function untilSequenced(): Promise<void> {
  await eventually(async () => {
    expect(await database.db.selectFrom('event_outbox').select('seq').execute()).toEqual([]);
    const end = await database.db.selectFrom('event_log').select('last_position').executeTakeFirstOrThrow();
    expect(api.log.tail.head().position).toBe(end.last_position);
  });
}

describe('withdrawalUpdated', () => {
  test('tells the present state at once, then every change, and completes after the final one', async () => {
    const id = await idOf('follow');
    const client = await follow(id);

    // Asked for right after the mutation, while its events may still be in the outbox.
    expect(await nextUpdate(client)).toMatchObject({ eventId: null, state: 'QUEUED', isFinal: false });
    await apply(id, { kind: 'ATTEMPT_OPENED' });
    expect(await nextUpdate(client)).toMatchObject({ eventId: expect.any(String), state: 'IN_FLIGHT' });
    await apply(
      id,
      { kind: 'TRANSFER_SEEN' },
      { evidence: { transferId: await rows.transfer({ updateId: 'paid-1', direction: 'OUT' }), updateId: 'paid-1' } },
    );
    expect(await nextUpdate(client)).toMatchObject({
      state: 'COMPLETED',
      isFinal: true,
      updateId: 'paid-1',
      withdrawal: { state: 'COMPLETED' },
    });
    expect(await client.next()).toMatchObject({ id: 'f', type: 'complete' });
    await client.close();
    const { data } = await api.query(
      `{ withdrawal(withdrawalId: "${id}") { updateId transfer { status direction } } }`,
    );
    expect(data.withdrawal).toEqual({ updateId: 'paid-1', transfer: { status: 'COMPLETED', direction: 'OUT' } });
  });

  test('never goes back behind the state it began with, and has no gap, whenever it begins', async () => {
    for (let round = 0; round < 15; round++) {
      const id = await idOf(`race-${round}`);
      const changing = (async () => {
        await apply(id, { kind: 'ATTEMPT_OPENED' });
        await apply(id, { kind: 'OFFER_SEEN' });
        await apply(id, { kind: 'OFFER_ACCEPTED' });
      })();
      await systemClock.sleep(round);
      const client = await follow(id);
      const seen: string[] = [];
      while (seen.at(-1) !== 'COMPLETED') seen.push((await nextUpdate(client)).state);
      await changing;

      const order = ['QUEUED', 'IN_FLIGHT', 'OFFERED', 'COMPLETED'];
      expect(seen).toEqual(order.slice(order.indexOf(seen[0] ?? '')));
      await client.close();
    }
  });

  test.each([['WebSocket'], ['SSE']])(
    'resumes after any cursor over %s, and completes at once after the last',
    async (transport) => {
      const id = await idOf(`resume-${transport}`);
      await apply(id, { kind: 'ATTEMPT_OPENED' });
      await apply(id, { kind: 'ATTEMPT_DEAD', next: 'RETRY', isCancelRequested: false });
      await apply(id, { kind: 'DEADLINE_PASSED' }, { failure: { code: 'DEADLINE_PASSED', detail: 'Too late.' } });
      await untilSequenced();
      const { startCursor } = (await api.query('{ eventLog { startCursor } }')).data.eventLog;

      const all = await readOver(transport, id, startCursor);

      // No attempt has a row here, so both times in the queue are one event: the second one is not told again.
      expect(all.map(({ state }) => state)).toEqual(['REQUESTED', 'QUEUED', 'IN_FLIGHT', 'FAILED']);
      expect(new Set(all.map(({ eventId }) => eventId)).size).toBe(all.length);
      for (const [index, { cursor }] of all.entries()) {
        expect(await readOver(transport, id, cursor)).toEqual(all.slice(index + 1));
      }
      expect(await readOver(transport, id, null)).toEqual([
        expect.objectContaining({ eventId: null, state: 'FAILED', isFinal: true, failureCode: 'DEADLINE_PASSED' }),
      ]);
    },
  );

  async function readOver(transport: string, id: string, after: string | null): Promise<Update[]> {
    const taken: Update[] = [];
    if (transport === 'WebSocket') {
      const client = await follow(id, after);
      for (let message = await client.next(); message.type !== 'complete'; message = await client.next()) {
        taken.push((message.payload as { data: { withdrawalUpdated: Update } }).data.withdrawalUpdated);
      }
      await client.close();
      return taken;
    }
    const { stream } = await subscribeSse(api.url, { query: FOLLOW, variables: { id, after } });
    for (let event = await stream.next(); event?.event === 'next'; event = await stream.next()) {
      taken.push(JSON.parse(event.data).data.withdrawalUpdated);
    }
    stream.cut();
    return taken;
  }

  test('of an unknown one, or after a cursor of another log, is refused', async () => {
    const id = await idOf('cursors');
    const foreign = formatEventCursor({ epoch: 'abcdef', position: 1n });
    for (const [wanted, after, code] of [
      ['wd_none', null, 'WITHDRAWAL_UNKNOWN'],
      ['\u0000', null, 'WITHDRAWAL_UNKNOWN'],
      [id, foreign, 'CURSOR_FROM_ANOTHER_LOG'],
      [id, 'bm9uZQ', 'CURSOR_INVALID'],
    ] as const) {
      const { stream } = await subscribeSse(api.url, { query: FOLLOW, variables: { id: wanted, after } });
      expect(JSON.parse((await stream.next())?.data ?? '').errors[0].extensions.code).toBe(code);
      stream.cut();
    }
  });

  test('a follower who leaves while nothing happens leaves nothing behind', async () => {
    await eventually(() => expect(api.log.tail.stats().waiting).toBe(0));
    const client = await follow(await idOf('leaving'));
    await nextUpdate(client);
    await eventually(() => expect(api.log.tail.stats().waiting).toBe(1));

    client.socket.terminate();

    await eventually(() => expect(api.log.tail.stats().waiting).toBe(0));
  });
});

test('the feed of all withdrawals tells every change of each, resumable', async () => {
  await untilSequenced();
  const { headCursor } = (await api.query('{ eventLog { headCursor } }')).data.eventLog;
  const first = await idOf('feed-1');
  await untilSequenced();
  const second = await idOf('feed-2');
  const query = 'subscription ($after: Cursor) { withdrawals(after: $after) { cursor withdrawalId state isFinal } }';

  const read = async (after: string, count: number) => {
    const client = await connectAcknowledged(api.url);
    client.send({ id: 'w', type: 'subscribe', payload: { query, variables: { after } } });
    const taken: { cursor: string; withdrawalId: string; state: string }[] = [];
    while (taken.length < count) {
      const { payload } = await client.next();
      taken.push((payload as { data: { withdrawals: (typeof taken)[number] } }).data.withdrawals);
    }
    await client.close();
    return taken;
  };
  const all = await read(headCursor, 4);

  expect(all.map((update) => [update.withdrawalId, update.state])).toEqual([
    [first, 'REQUESTED'],
    [first, 'QUEUED'],
    [second, 'REQUESTED'],
    [second, 'QUEUED'],
  ]);
  expect(await read(all[1]?.cursor ?? '', 2)).toEqual(all.slice(2));
});

const SECOND = 1_000_000n;
const DECISION = `query ($id: String!) { withdrawal(withdrawalId: $id) {
  state isFinal decidableBy failure { code detail }
  attempts { number state openedAt closedAt synchronizerId targetRecordTime tries lastError isSignatureRequested inputs
    proof { attempt targetRecordTime passedRecordTime } }
  definiteFailureProof { attempt synchronizerId targetRecordTime passedRecordTime explanation }
} }`;

test('shows by when it is decided, and then the proof that it failed', async () => {
  const { db } = database;
  // Nothing else is to take the funds.
  await db.updateTable('withdrawal').set({ state: 'CANCELLED' }).where('state', '=', 'QUEUED').execute();
  const id = await idOf('proof', { amount: '5' });
  await rows.holding('proof-1', '3');
  await rows.holding('proof-2', '4');
  const limits = { ...DEFAULT_LIMITS, ttlMs: 60_000, attemptsMax: 1 };
  const decision = async () => (await api.query(DECISION, { id })).data.withdrawal;

  expect(await openAttempts(db, treasury, limits, DAY)).toBe(1);
  const [attempt] = await takeDueAttempts(db, treasury, limits, { nowMicros: DAY, countMax: 10 });
  if (attempt === undefined) throw new Error('No attempt is due.');
  await recordSignatureRequest(db, attempt, { hash: Buffer.from('ab', 'hex'), scheme: 'V3', nowMicros: DAY });
  await recordTry(db, attempt, DAY + SECOND);
  await recordTrouble(db, attempt, { message: 'The participant did not answer.', nextTryAt: DAY + SECOND });

  const open = {
    number: 1,
    state: 'OPEN',
    openedAt: '2026-11-22T00:00:00.000000Z',
    closedAt: null,
    synchronizerId: SYNCHRONIZER,
    targetRecordTime: '2026-11-22T00:01:00.000000Z',
    tries: 1,
    lastError: 'The participant did not answer.',
    isSignatureRequested: true,
    inputs: ['proof-1', 'proof-2'],
    proof: null,
  };
  expect(await decision()).toEqual({
    state: 'IN_FLIGHT',
    isFinal: false,
    decidableBy: '2026-11-22T00:01:00.000000Z',
    failure: null,
    attempts: [open],
    definiteFailureProof: null,
  });

  // At exactly the target it may still commit; a microsecond later it may not.
  await rows.stream({}, DAY + 60n * SECOND);
  expect(await lapseAttempts(db, treasury, limits, DAY + SECOND)).toBe(0);
  expect((await decision()).state).toBe('IN_FLIGHT');
  await rows.stream({}, DAY + 60n * SECOND + 1n);
  expect(await lapseAttempts(db, treasury, limits, DAY + SECOND)).toBe(1);

  const times = { targetRecordTime: '2026-11-22T00:01:00.000000Z', passedRecordTime: '2026-11-22T00:01:00.000001Z' };
  expect(await decision()).toEqual({
    state: 'FAILED',
    isFinal: true,
    decidableBy: null,
    failure: { code: 'NOT_COMMITTED', detail: expect.any(String) },
    attempts: [{ ...open, state: 'LAPSED', closedAt: '2026-11-22T00:00:01.000000Z', proof: { attempt: 1, ...times } }],
    definiteFailureProof: {
      attempt: 1,
      synchronizerId: SYNCHRONIZER,
      ...times,
      explanation: expect.stringContaining('2026-11-22T00:01:00.000001Z'),
    },
  });
});

test('a lapsed attempt is proof of its own end only, while its withdrawal goes on', async () => {
  const { db } = database;
  await rows.stream({}, DAY + 120n * SECOND);
  const id = await idOf('goes-on', { amount: '5' });
  const limits = { ...DEFAULT_LIMITS, ttlMs: 60_000, attemptsMax: 3 };
  expect(await openAttempts(db, treasury, limits, DAY)).toBe(1);
  await rows.stream({}, DAY + 181n * SECOND);
  expect(await lapseAttempts(db, treasury, limits, DAY)).toBe(1);

  const { data } = await api.query(DECISION, { id });

  expect(data.withdrawal).toMatchObject({
    state: 'QUEUED',
    decidableBy: null,
    definiteFailureProof: null,
    attempts: [{ number: 1, state: 'LAPSED', isSignatureRequested: false, proof: { attempt: 1 } }],
  });
  expect(await cancel(id)).toMatchObject({ withdrawal: { state: 'CANCELLED' } });
  expect((await api.query(DECISION, { id })).data.withdrawal.definiteFailureProof).toMatchObject({ attempt: 1 });
});

describe('the list', () => {
  test('is newest first, in pages without gap or repetition, by state, account and treasury', async () => {
    const wanted: string[] = [];
    for (let line = 0; line < 7; line++) wanted.unshift(await idOf(`list-${line}`, { account: 'lister' }));
    await cancel(wanted[0] ?? '');
    const query = `query ($state: WithdrawalState, $account: String, $treasury: ID, $first: Int, $after: String) {
      withdrawals(state: $state, account: $account, treasury: $treasury, first: $first, after: $after) {
        nodes { withdrawalId } pageInfo { endCursor hasNextPage } } }`;
    const list = async (variables: Record<string, unknown>) => {
      const { data, errors } = await api.query(query, variables);
      expect(errors).toBeUndefined();
      const { nodes, pageInfo } = data.withdrawals;
      return { ids: nodes.map((node: { withdrawalId: string }) => node.withdrawalId), ...pageInfo };
    };

    const paged: string[] = [];
    for (let after: string | null = null, isMore = true; isMore; ) {
      const page = await list({ account: 'lister', first: 3, after });
      paged.push(...page.ids);
      after = page.endCursor;
      isMore = page.hasNextPage;
    }
    expect(paged).toEqual(wanted);
    expect((await list({ account: 'lister', state: 'CANCELLED' })).ids).toEqual(wanted.slice(0, 1));
    expect((await list({ account: 'lister', state: 'QUEUED' })).ids).toEqual(wanted.slice(1));
    expect((await list({ account: 'a\u0000' })).ids).toEqual([]);
    const treasuries = (await api.query('{ treasuryParties { nodes { id } } }')).data.treasuryParties.nodes;
    expect((await list({ account: 'lister', treasury: treasuries[0].id })).ids).toEqual(wanted);
    const none = Buffer.from('TreasuryParty:testnet/none').toString('base64url');
    expect((await list({ treasury: none })).ids).toEqual([]);
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
    const statementsOf = async (count: number) => {
      statements = 0;
      const { data, errors } = await counting.query(`{ withdrawals(first: ${count}) { nodes {
        id state account { customer } treasury { name } instrument { name } decidableBy definiteFailureProof { explanation }
        attempts { number inputs proof { explanation } } transfer { status } } } }`);
      expect(errors).toBeUndefined();
      return { statements, rows: data.withdrawals.nodes.length };
    };

    // The page, its attempts, and the transfers where there are any.
    expect(await statementsOf(1)).toEqual({ statements: 2, rows: 1 });
    const fifty = await statementsOf(50);
    expect(fifty.rows).toBeGreaterThan(20);
    expect(fifty.statements).toBe(3);
    await counting.stop();
    await counted.close();
  });
});

describe('where several treasury parties are served', () => {
  const SECOND_PARTY = `second::1220${'cd'.repeat(32)}`;

  test('one must be named, but a request that was stored without stays what it is', async () => {
    const before = await create({ idempotencyKey: 'before-second' });
    await rows.treasury(SECOND_PARTY);

    expect(await create({ idempotencyKey: 'before-second' })).toEqual({ ...before, replayed: true });
    expect(await create({ idempotencyKey: 'after-second' })).toMatchObject({
      code: 'TREASURY_UNKNOWN',
      field: 'treasuryParty',
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
