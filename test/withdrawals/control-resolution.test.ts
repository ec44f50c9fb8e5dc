/** Withdrawals that nobody can read, and how two people end them; with every step a second time, too early, by one person, or overtaken by the ledger. */
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { checkWithdrawals } from '../../src/books/check-withdrawals.ts';
import { openFreeze } from '../../src/ingestion/freezes.ts';
import { SNAPSHOT_PREFIX } from '../../src/ingestion/known-updates.ts';
import { recordSignatureRequest } from '../../src/submissions/attempt-signing.ts';
import { lapseAttempts, takeDueAttempts } from '../../src/submissions/attempts.ts';
import { openAttempts } from '../../src/withdrawals/attempt-funding.ts';
import { WITHDRAWALS } from '../../src/withdrawals/attempts.ts';
import { DEFAULT_LIMITS } from '../../src/withdrawals/automation.ts';
import { approveResolution, askResolution, refuseResolution } from '../../src/withdrawals/resolution.ts';
import { markUnreadable } from '../../src/withdrawals/unreadable-attempts.ts';
import type { Resolution } from '../../src/withdrawals/withdrawal-state.ts';
import { DAY } from '../support/rows.ts';
import { as, RECEIVER, startWithdrawalApi, type WithdrawalApi } from '../support/withdrawal-api.ts';

const LIMITS = { ...DEFAULT_LIMITS, ttlMs: 60_000, attemptsMax: 2 };
const SECOND = 1_000_000n;
const TARGET = DAY + 60n * SECOND;

let api: WithdrawalApi;

beforeEach(async () => {
  api = await startWithdrawalApi();
  await api.rows.stream({ status: 'RUNNING' }, DAY);
  await api.rows.holding('funds', '1000');
});

afterEach(async () => await api.close());

const mark = () => markUnreadable(api.database.db, api.treasury, DAY);
const stateOf = async (id: string) =>
  (await api.database.db.selectFrom('withdrawal').select('state').where('id', '=', id).executeTakeFirstOrThrow()).state;
const ask = (withdrawalId: string, outcome: Resolution, more: { by?: string; updateId?: string } = {}) =>
  askResolution(api.database.db, {
    withdrawalId,
    outcome,
    evidence: 'The receiver says so.',
    updateId: more.updateId ?? null,
    by: more.by ?? 'mia',
    nowMicros: DAY,
  });
const approve = (resolutionId: bigint, by = 'noah') =>
  approveResolution(api.database.db, { resolutionId, reason: 'Looked as well.', by, nowMicros: DAY });
const attemptState = async () =>
  (await api.database.db.selectFrom('attempt').select('state').execute()).map(({ state }) => state);
const reserved = async () =>
  (await api.database.db.selectFrom('reservation').select('contract_id').where('is_open', '=', true).execute()).length;
const faults = () => api.database.db.transaction().execute(async (tx) => await checkWithdrawals(tx));

/** In flight, signed, and its input gone behind a gap of history. */
async function vanished(): Promise<string> {
  const { db } = api.database;
  const id = await api.idOf('vanished');
  expect(await openAttempts(db, api.treasury, LIMITS, DAY)).toBe(1);
  const [attempt] = await takeDueAttempts(db, WITHDRAWALS, api.treasury, LIMITS, { nowMicros: DAY, countMax: 1 });
  if (attempt === undefined) throw new Error('No attempt is due.');
  const hash = new Uint8Array(32).fill(1);
  await recordSignatureRequest(db, WITHDRAWALS, attempt, { hash, scheme: 'V3', nowMicros: DAY });
  await sql`UPDATE holding SET archived_update_id = ${`${SNAPSHOT_PREFIX}1`}, archived_record_time = ${DAY}`.execute(
    db,
  );
  await api.rows.stream({ status: 'RUNNING' }, TARGET + 1n);
  return id;
}

async function unresolved(): Promise<string> {
  const id = await vanished();
  expect(await mark()).toBe(1);
  return id;
}

test('what nobody can read becomes UNRESOLVED past its target, and not while a freeze may still tell', async () => {
  const { db } = api.database;
  const id = await vanished();
  await api.rows.stream({ status: 'RUNNING' }, TARGET);
  expect(await mark()).toBe(0);
  await api.rows.stream({ status: 'RUNNING' }, TARGET + 1n);
  const freeze = {
    treasuryId: api.treasury,
    instrumentKey: null,
    detail: 'x',
    cause: 'x',
    openedBy: 'x',
    nowMicros: DAY,
  };
  await openFreeze(db, { ...freeze, reason: 'QUARANTINE' });
  expect(await mark()).toBe(0);
  await db.updateTable('money_freeze').set({ lifted_at: 1n, lifted_by: 'x', lift_detail: 'x' }).execute();

  expect(await mark()).toBe(1);
  expect(await mark()).toBe(0);
  expect(await lapseAttempts(db, WITHDRAWALS, api.treasury, LIMITS, DAY)).toBe(0);
  expect([await stateOf(id), await attemptState(), await reserved()]).toEqual(['UNRESOLVED', ['OPEN'], 1]);
  const { data } = await api.api.query(
    `{ withdrawal(withdrawalId: "${id}") { state doubt { code } resolutions { outcome } } }`,
  );
  expect(data.withdrawal).toEqual({ state: 'UNRESOLVED', doubt: { code: 'INPUTS_VANISHED' }, resolutions: [] });
});

test('two people complete it: booked once, settled, and free', async () => {
  const id = await unresolved();
  const resolution = await ask(id, 'COMPLETED', { updateId: 'behind-the-gap' });
  expect(await ask(id, 'COMPLETED', { updateId: 'behind-the-gap' })).toBe(resolution);
  await expect(ask(id, 'FAILED')).rejects.toMatchObject({ code: 'RESOLUTION_PENDING' });
  await expect(approve(resolution, 'mia')).rejects.toMatchObject({ code: 'SAME_PERSON' });
  await expect(approve(resolution, 'Mia/phone')).rejects.toMatchObject({ code: 'SAME_PERSON' });
  expect(await stateOf(id)).toBe('UNRESOLVED');

  const both = await Promise.allSettled([approve(resolution), approve(resolution), approve(resolution, 'ida')]);
  expect(both.filter(({ status }) => status === 'fulfilled').length).toBeGreaterThan(0);
  expect([await stateOf(id), await attemptState(), await reserved()]).toEqual(['COMPLETED', ['SETTLED'], 0]);
  expect((await api.bookingsOf(id)).map(({ cause }) => cause)).toEqual([
    `withdrawal:${id}:paid`,
    `withdrawal:${id}:requested`,
  ]);
  expect(await faults()).toEqual([]);
  await expect(ask(id, 'FAILED')).rejects.toMatchObject({ code: 'NOT_RESOLVABLE' });
});

test('two people fail it: booked back once, and never paid again', async () => {
  const { db } = api.database;
  const id = await unresolved();
  await approve(await ask(id, 'FAILED'));

  expect([await stateOf(id), await attemptState(), await reserved()]).toEqual(['FAILED', ['LAPSED'], 0]);
  expect((await api.bookingsOf(id)).map(({ cause }) => cause)).toEqual([
    `withdrawal:${id}:back`,
    `withdrawal:${id}:requested`,
  ]);
  expect(await faults()).toEqual([]);
  await api.rows.holding('more', '1000');
  expect(await openAttempts(db, api.treasury, LIMITS, TARGET)).toBe(0);
  await expect(sql`UPDATE withdrawal_resolution SET decided_by = requested_by`.execute(db)).rejects.toMatchObject({
    message: expect.stringContaining('withdrawal_resolution_by_two'),
  });
});

test('what was never offered cannot have come back, and what is not for people is refused', async () => {
  const id = await unresolved();
  await expect(ask(id, 'RETURNED')).rejects.toMatchObject({ code: 'OUTCOME_IMPOSSIBLE' });
  await expect(ask('wd_none', 'FAILED')).rejects.toMatchObject({ code: 'WITHDRAWAL_UNKNOWN' });
  await expect(ask(await api.idOf('queued'), 'FAILED')).rejects.toMatchObject({ code: 'NOT_RESOLVABLE' });
  const { db } = api.database;
  await expect(
    askResolution(db, {
      withdrawalId: id,
      outcome: 'FAILED',
      evidence: ' ',
      updateId: null,
      by: 'mia',
      nowMicros: DAY,
    }),
  ).rejects.toMatchObject({ code: 'REASON_INVALID' });
  for (const resolutionId of [0n, 99n, 2n ** 70n]) {
    await expect(approve(resolutionId)).rejects.toMatchObject({ code: 'RESOLUTION_UNKNOWN' });
  }
});

test('an update that was read and does not pay it is no evidence', async () => {
  const id = await unresolved();
  await expect(ask(id, 'COMPLETED', { updateId: 'first' })).rejects.toMatchObject({ code: 'UPDATE_UNKNOWN' });
});

test('the ledger’s word goes first: a resolution that it overtakes is outdated', async () => {
  const id = await unresolved();
  const resolution = await ask(id, 'FAILED');
  await api.apply(id, { kind: 'TRANSFER_SEEN' }, { evidence: { transferId: 'tr_seen', updateId: 'seen' } });
  expect(await stateOf(id)).toBe('COMPLETED');

  await expect(approve(resolution)).rejects.toMatchObject({ code: 'RESOLUTION_OUTDATED' });
  const { db } = api.database;
  await refuseResolution(db, { resolutionId: resolution, reason: 'It was seen.', by: 'mia', nowMicros: DAY });
  expect(await stateOf(id)).toBe('COMPLETED');
});

test('a transfer that is seen after two people said it was paid is no surprise; one they did not mean is', async () => {
  const id = await unresolved();
  await approve(await ask(id, 'COMPLETED', { updateId: 'meant' }));
  const { db } = api.database;
  const { nextState } = await import('../../src/withdrawals/withdrawal-state.ts');
  expect(nextState('COMPLETED', { kind: 'TRANSFER_SEEN' })).toEqual({ kind: 'ALARM' });
  await expect(
    api.apply(id, { kind: 'TRANSFER_SEEN' }, { evidence: { transferId: 'tr_other', updateId: 'other' } }),
  ).rejects.toThrow();
  await api.apply(id, { kind: 'TRANSFER_SEEN' }, { evidence: { transferId: 'tr_meant', updateId: 'meant' } });
  const row = await db
    .selectFrom('withdrawal')
    .select(['state', 'transfer_id'])
    .where('id', '=', id)
    .executeTakeFirst();
  expect(row).toEqual({ state: 'COMPLETED', transfer_id: 'tr_meant' });
  // Once.
  await expect(
    api.apply(id, { kind: 'TRANSFER_SEEN' }, { evidence: { transferId: 'tr_again', updateId: 'meant' } }),
  ).rejects.toThrow();
});

test('what waits for ever because the ledger shows an earlier payment is ended the same way', async () => {
  const { db } = api.database;
  const id = await api.idOf('paid before');
  const other = await api.idOf('also', { amount: '7' });
  const paid = {
    direction: 'OUT',
    updateId: 'earlier',
    amount: '12.5',
    transferObject: { meta: { values: { 'sluice.dev/withdrawal-id': id } } },
  } as const;
  await api.rows.transfer(paid);
  await db.updateTable('transfer').set({ counterparty: RECEIVER }).execute();
  const { data } = await api.api.query(`{ withdrawal(withdrawalId: "${id}") { waitsFor } }`);
  expect(data.withdrawal.waitsFor).toBe('PAID_BEFORE');

  await expect(ask(id, 'RETURNED')).rejects.toMatchObject({ code: 'OUTCOME_IMPOSSIBLE' });
  await expect(ask(id, 'COMPLETED', { updateId: 'first' })).rejects.toMatchObject({ code: 'UPDATE_UNKNOWN' });
  await expect(ask(other, 'COMPLETED')).rejects.toMatchObject({ code: 'NOT_RESOLVABLE' });
  await approve(await ask(id, 'COMPLETED'));

  const row = await db.selectFrom('withdrawal').select(['state', 'update_id']).where('id', '=', id).executeTakeFirst();
  expect(row).toEqual({ state: 'COMPLETED', update_id: 'earlier' });
  expect(await api.bookingsOf(id)).toHaveLength(2);
  expect(await faults()).toEqual([]);
});

test('what waits for approvals that nobody can give, because it was paid before, is ended the same way', async () => {
  const { db } = api.database;
  const id = await api.idOf('paid before its approval');
  await db.updateTable('withdrawal').set({ state: 'AWAITING_APPROVAL' }).execute();
  await expect(ask(id, 'COMPLETED')).rejects.toMatchObject({ code: 'NOT_RESOLVABLE' });
  const transferObject = { meta: { values: { 'sluice.dev/withdrawal-id': id } } };
  await api.rows.transfer({ direction: 'OUT', updateId: 'earlier', amount: '12.5', transferObject });
  await db.updateTable('transfer').set({ counterparty: RECEIVER }).execute();

  await db.updateTable('transfer').set({ status: 'FAILED' }).execute();
  await expect(ask(id, 'COMPLETED')).rejects.toMatchObject({ code: 'OUTCOME_IMPOSSIBLE' });
  await db.updateTable('transfer').set({ status: 'COMPLETED' }).execute();
  await expect(ask(id, 'COMPLETED', { updateId: 'first' })).rejects.toMatchObject({ code: 'UPDATE_UNKNOWN' });

  await approve(await ask(id, 'COMPLETED'));

  // By the transfer that paid it, which is then nobody else's.
  const row = await db
    .selectFrom('withdrawal')
    .innerJoin('transfer', 'transfer.id', 'withdrawal.transfer_id')
    .select(['withdrawal.state', 'withdrawal.update_id', 'transfer.update_id as paidIn'])
    .where('withdrawal.id', '=', id)
    .executeTakeFirst();
  expect(row).toEqual({ state: 'COMPLETED', update_id: 'earlier', paidIn: 'earlier' });
  expect(await api.bookingsOf(id)).toHaveLength(2);
  expect(await faults()).toEqual([]);
});

test('through the API it takes two principals, and both words are kept and announced', async () => {
  const id = await unresolved();
  const operator = as('operator');
  const RESULT =
    '__typename ... on WithdrawalControlPayload { withdrawal { state resolutions { resolutionId state requestedBy decidedBy } } } ... on Error { code }';
  const asked = await api.api.query(
    `mutation ($id: String!) { resolveWithdrawal(input: { withdrawalId: $id, outcome: FAILED, evidence: "Their node shows no such holding." }) { ${RESULT} } }`,
    { id },
    operator,
  );
  const [resolution] = asked.data.resolveWithdrawal.withdrawal.resolutions;
  expect(resolution).toMatchObject({ state: 'AWAITING_APPROVAL', requestedBy: 'operator', decidedBy: null });
  const judge = async (headers: Record<string, string>) =>
    (
      await api.api.query(
        `mutation ($id: BigInt!) { approveResolution(input: { resolutionId: $id, reason: "Looked too." }) { ${RESULT} } }`,
        { id: resolution.resolutionId },
        headers,
      )
    ).data.approveResolution;
  expect(await judge(operator)).toMatchObject({ code: 'SAME_PERSON' });
  expect(await judge(as('developer'))).toMatchObject({
    withdrawal: { state: 'FAILED', resolutions: [{ state: 'DONE', decidedBy: 'developer' }] },
  });
  await api.untilSequenced();
  const events = await api.database.db
    .selectFrom('event')
    .select('payload')
    .where('type', '=', 'withdrawal.resolution')
    .orderBy('position')
    .execute();
  expect(events.map(({ payload }) => payload)).toMatchObject([
    { state: 'AWAITING_APPROVAL' },
    { state: 'DONE', decidedBy: 'developer' },
  ]);
});
