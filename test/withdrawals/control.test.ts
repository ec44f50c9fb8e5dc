/** What people do about withdrawals, and what the loop beside the payments does: hold, park, cancel, try sooner, deadlines. */

import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { checkBooks } from '../../src/books/check-books.ts';
import { systemClock } from '../../src/env/system.ts';
import { recordSignatureRequest, recordTry } from '../../src/submissions/attempt-signing.ts';
import { lapseAttempts, type OpenAttempt, takeDueAttempts } from '../../src/submissions/attempts.ts';
import { haltMoney, liftHalt } from '../../src/submissions/halts.ts';
import { releaseNotLet } from '../../src/submissions/release.ts';
import { openAttempts } from '../../src/withdrawals/attempt-funding.ts';
import { WITHDRAWALS } from '../../src/withdrawals/attempts.ts';
import { DEFAULT_LIMITS } from '../../src/withdrawals/automation.ts';
import { failOverdue } from '../../src/withdrawals/overdue.ts';
import { releaseWithdrawal, stopWithdrawal } from '../../src/withdrawals/withdrawal-stops.ts';
import { DAY } from '../support/rows.ts';
import { as, startWithdrawalApi, type WithdrawalApi } from '../support/withdrawal-api.ts';

const LIMITS = { ...DEFAULT_LIMITS, ttlMs: 60_000, attemptsMax: 2 };
const SECOND = 1_000_000n;

let api: WithdrawalApi;

beforeEach(async () => {
  api = await startWithdrawalApi();
  await api.rows.stream({ status: 'RUNNING' }, DAY);
  await api.rows.holding('funds', '1000');
});

afterEach(async () => await api.close());

const word = (by = 'mia') => ({ by, why: 'Because of a test.', nowMicros: DAY });
const opened = (nowMicros = DAY) => openAttempts(api.database.db, api.treasury, LIMITS, nowMicros);
const due = (nowMicros = DAY) =>
  takeDueAttempts(api.database.db, WITHDRAWALS, api.treasury, LIMITS, { nowMicros, countMax: 9 });
const sign = (attempt: OpenAttempt, byte = 1) =>
  recordSignatureRequest(api.database.db, WITHDRAWALS, attempt, {
    hash: new Uint8Array(32).fill(byte),
    scheme: 'V3',
    nowMicros: DAY,
  });
const release = (nowMicros = DAY + 60n * SECOND) =>
  releaseNotLet(api.database.db, WITHDRAWALS, api.treasury, nowMicros);
const attempts = () =>
  api.database.db.selectFrom('attempt').select(['number', 'state', 'tries']).orderBy('number').execute();
const stateOf = async (id: string) =>
  (await api.database.db.selectFrom('withdrawal').select('state').where('id', '=', id).executeTakeFirstOrThrow()).state;
const reservedCount = async () =>
  (await api.database.db.selectFrom('reservation').select('contract_id').where('is_open', '=', true).execute()).length;

async function onlyDue(): Promise<OpenAttempt> {
  const [attempt] = await due();
  if (attempt === undefined) throw new Error('No attempt is due.');
  return attempt;
}

test.each(['HOLD', 'PARK'] as const)('%s stops what is queued, and it goes on when released', async (kind) => {
  const { db } = api.database;
  const id = await api.idOf('one');
  expect(await stopWithdrawal(db, id, kind, word())).toBe(true);
  expect(await stopWithdrawal(db, id, kind, word('noah'))).toBe(false);

  expect(await opened()).toBe(0);
  const { data } = await api.api.query(
    `{ withdrawal(withdrawalId: "${id}") { state waitsFor stops { kind setBy releasedBy } } }`,
  );
  expect(data.withdrawal).toEqual({
    state: 'QUEUED',
    waitsFor: kind === 'HOLD' ? 'HELD' : 'PARKED',
    stops: [{ kind, setBy: 'mia', releasedBy: null }],
  });

  const other = kind === 'HOLD' ? 'PARK' : 'HOLD';
  await expect(releaseWithdrawal(db, id, other, word())).rejects.toMatchObject({
    code: kind === 'HOLD' ? 'NOT_PARKED' : 'NOT_HELD',
  });
  await releaseWithdrawal(db, id, kind, word('noah'));
  expect(await opened()).toBe(1);
});

test('a hold gives an attempt back that nobody asked a signature for, and uses none up', async () => {
  const { db } = api.database;
  const id = await api.idOf('one');
  for (let round = 1; round <= 4; round += 1) {
    expect(await opened()).toBe(1);
    await stopWithdrawal(db, id, 'HOLD', word());
    expect(await due(DAY + SECOND)).toEqual([]);
    expect([await release(), await stateOf(id), await reservedCount()]).toEqual([1, 'QUEUED', 0]);
    expect(await opened()).toBe(0);
    await releaseWithdrawal(db, id, 'HOLD', word());
  }

  // Two attempts may lapse, however many were given back before.
  expect(await opened()).toBe(1);
  await api.rows.stream({ status: 'RUNNING' }, DAY + 61n * SECOND);
  expect(await lapseAttempts(db, WITHDRAWALS, api.treasury, LIMITS, DAY)).toBe(1);
  expect(await stateOf(id)).toBe('QUEUED');
});

test('a hold does not touch what is signed: it is sent, seen or lapses as the ledger has it, and is not signed anew', async () => {
  const { db } = api.database;
  const id = await api.idOf('one');
  await opened();
  const attempt = await onlyDue();
  expect(await sign(attempt)).toBe(true);
  await stopWithdrawal(db, id, 'HOLD', word());

  expect(await recordTry(db, attempt, DAY)).toBe(true);
  expect(await sign(attempt, 2)).toBe(false);
  expect(await due(DAY + 3_600n * SECOND)).toEqual([]);
  expect([await release(), await stateOf(id), await reservedCount()]).toEqual([0, 'IN_FLIGHT', 1]);
  await api.apply(id, { kind: 'TRANSFER_SEEN' });
  expect(await stateOf(id)).toBe('COMPLETED');
  await expect(stopWithdrawal(db, id, 'HOLD', word())).rejects.toMatchObject({ code: 'WITHDRAWAL_FINAL' });
});

test('a halt gives unsigned attempts back as well, and keeps signed ones', async () => {
  const { db } = api.database;
  await api.rows.holding('more', '1000');
  const signed = await api.idOf('signed', { amount: '900' });
  expect(await opened()).toBe(1);
  await sign(await onlyDue());
  const unsigned = await api.idOf('unsigned', { amount: '900' });
  expect(await opened()).toBe(1);
  const { haltId } = await haltMoney(db, { treasury: null, instrument: null }, word());

  expect(await release()).toBe(1);
  expect([await stateOf(signed), await stateOf(unsigned)]).toEqual(['IN_FLIGHT', 'QUEUED']);
  await liftHalt(db, haltId, word('mia'));
  await liftHalt(db, haltId, word('noah'));
  expect(await opened()).toBe(1);
});

test('what is just being tried is not taken from under its feet', async () => {
  const { db } = api.database;
  const id = await api.idOf('one');
  await opened();
  await onlyDue();
  await stopWithdrawal(db, id, 'HOLD', word());

  expect(await release(DAY)).toBe(0);
  expect(await release(DAY + 60n * SECOND)).toBe(1);
});

test('cancelling ends at once what nobody asked a signature for, also in flight; what is signed it only stops from being signed anew', async () => {
  const unsigned = await api.idOf('unsigned');
  await opened();
  expect(await api.cancel(unsigned)).toMatchObject({ withdrawal: { state: 'IN_FLIGHT', isCancelRequested: true } });
  expect([await release(), await stateOf(unsigned), await reservedCount()]).toEqual([1, 'CANCELLED', 0]);
  expect(await api.bookingsOf(unsigned)).toHaveLength(2);

  const signed = await api.idOf('signed');
  await opened();
  const attempt = await onlyDue();
  await sign(attempt);
  await api.cancel(signed);
  expect([await release(), await stateOf(signed)]).toEqual([0, 'IN_FLIGHT']);
  expect([await sign(attempt, 2), await due(DAY + 3_600n * SECOND)]).toEqual([false, []]);
  await api.apply(signed, { kind: 'OFFER_SEEN' });
  expect(await api.cancel(signed)).toMatchObject({ withdrawal: { state: 'OFFERED', isCancelRequested: true } });
});

test('S5: past its target an attempt is neither tried nor signed nor sent', async () => {
  const { db } = api.database;
  await api.idOf('one');
  await opened();
  const attempt = await onlyDue();
  await api.rows.stream({ status: 'RUNNING' }, DAY + 60n * SECOND);
  expect(await sign(attempt)).toBe(true);
  await api.rows.stream({ status: 'RUNNING' }, DAY + 60n * SECOND + 1n);

  expect([await sign(attempt, 2), await recordTry(db, attempt, DAY), await due(DAY + 3_600n * SECOND)]).toEqual([
    false,
    false,
    [],
  ]);
});

test('a deadline fails what is queued, by the ledger’s clock alone, and bounds every attempt', async () => {
  const { db } = api.database;
  const deadline = '2026-11-22T00:00:30.000000Z';
  const queued = await api.idOf('queued', { deadline, amount: '5000' });
  const flying = await api.idOf('flying', { deadline, amount: '5' });
  expect(await opened()).toBe(1);
  const { target_record_time: target } = await db
    .selectFrom('attempt')
    .select('target_record_time')
    .executeTakeFirstOrThrow();
  expect(target).toBe(DAY + 30n * SECOND);

  const overdue = () => failOverdue(db, api.treasury, DAY + 86_400n * SECOND);
  await api.rows.stream({ status: 'RUNNING' }, DAY + 30n * SECOND);
  expect(await overdue()).toBe(0);
  await api.rows.stream({ status: 'RUNNING' }, DAY + 30n * SECOND + 1n);
  const { data } = await api.api.query(`{ withdrawal(withdrawalId: "${queued}") { waitsFor } }`);
  expect(data.withdrawal.waitsFor).toBe('DEADLINE');
  expect([await overdue(), await overdue()]).toEqual([1, 0]);
  expect([await stateOf(queued), await stateOf(flying)]).toEqual(['FAILED', 'IN_FLIGHT']);
  expect(await api.bookingsOf(queued)).toHaveLength(2);

  expect(await lapseAttempts(db, WITHDRAWALS, api.treasury, LIMITS, DAY)).toBe(1);
  expect([await opened(DAY + 31n * SECOND), await overdue()]).toEqual([0, 1]);
  const failed = await db
    .selectFrom('withdrawal')
    .select(['state', 'failure_code'])
    .where('id', '=', flying)
    .executeTakeFirst();
  expect(failed).toEqual({ state: 'FAILED', failure_code: 'DEADLINE_PASSED' });
  // The holdings of this test came from nowhere; nothing else is off.
  expect((await checkBooks(db)).filter(({ kind }) => kind !== 'TREASURY_OFF')).toEqual([]);
});

test('a deadline is part of what an idempotency key stands for', async () => {
  const first = await api.create({ idempotencyKey: 'k', deadline: '2026-12-01T00:00:00Z' });
  expect(first.withdrawal.state).toBe('QUEUED');
  expect(await api.create({ idempotencyKey: 'k', deadline: '2026-12-01T00:00:00Z' })).toMatchObject({ replayed: true });
  expect(await api.create({ idempotencyKey: 'k' })).toMatchObject({ code: 'IDEMPOTENCY_KEY_REUSED' });
});

test('E18: the next try comes sooner on a word, never more often than the gap, nor more than the tries there are', async () => {
  const { db } = api.database;
  const retry = async (id: string) =>
    (
      await api.api.query(
        `mutation ($id: String!) { retryWithdrawalNow(input: { withdrawalId: $id, why: "Now." }) { __typename ... on Error { code } } }`,
        { id },
        as('operator'),
      )
    ).data.retryWithdrawalNow;
  const id = await api.idOf('one');
  expect(await retry('wd_none')).toMatchObject({ code: 'WITHDRAWAL_UNKNOWN' });
  expect(await retry(id)).toMatchObject({ code: 'NOTHING_TO_TRY' });
  await opened();
  await onlyDue();
  await sql`UPDATE attempt SET next_try_at = ${2n ** 60n}, taken_at = ${systemClock.nowMicros() + 5_000_000n}`.execute(
    db,
  );
  expect(await retry(id)).toMatchObject({ code: 'TRIED_JUST_NOW' });
  expect((await db.selectFrom('attempt').select('next_try_at').executeTakeFirstOrThrow()).next_try_at).toBe(2n ** 60n);

  // By a clock that was ahead it says nothing.
  await sql`UPDATE attempt SET taken_at = ${2n ** 59n}`.execute(db);
  expect(await retry(id)).toEqual({ __typename: 'WithdrawalControlPayload' });
  expect((await db.selectFrom('attempt').select('next_try_at').executeTakeFirstOrThrow()).next_try_at).toBeLessThan(
    2n ** 60n,
  );
  expect(await attempts()).toEqual([{ number: 1, state: 'OPEN', tries: 0 }]);

  await db
    .updateTable('attempt')
    .set({ tries: DEFAULT_LIMITS.triesMax, next_try_at: 2n ** 60n })
    .execute();
  expect(await retry(id)).toMatchObject({ code: 'TRIES_EXHAUSTED' });
});

test('only who may operate holds, and says why', async () => {
  const id = await api.idOf('one');
  const hold = async (input: Record<string, unknown>, headers: Record<string, string>) =>
    await api.api.query(
      `mutation ($input: WithdrawalControlInput!) { holdWithdrawal(input: $input) { __typename ... on WithdrawalControlPayload { withdrawal { stops { setBy why } } } ... on Error { code } } }`,
      { input },
      headers,
    );
  expect((await hold({ withdrawalId: id, why: 'x' }, as('service'))).errors?.[0]?.extensions?.code).toBe('FORBIDDEN');
  expect((await hold({ withdrawalId: id, why: ' ' }, as('operator'))).data.holdWithdrawal).toMatchObject({
    code: 'REASON_INVALID',
  });
  expect((await hold({ withdrawalId: id, why: 'Strange.' }, as('operator'))).data.holdWithdrawal).toEqual({
    __typename: 'WithdrawalControlPayload',
    withdrawal: { stops: [{ setBy: 'operator', why: 'Strange.' }] },
  });
});
