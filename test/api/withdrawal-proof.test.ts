/** By when a withdrawal is decided, and the proof that an attempt never paid, through the API. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { recordSignatureRequest, recordTry } from '../../src/submissions/attempt-signing.ts';
import { lapseAttempts, recordTrouble, takeDueAttempts } from '../../src/submissions/attempts.ts';
import { openAttempts } from '../../src/withdrawals/attempt-funding.ts';
import { WITHDRAWALS } from '../../src/withdrawals/attempts.ts';
import { DEFAULT_LIMITS } from '../../src/withdrawals/automation.ts';
import { DAY, SYNCHRONIZER } from '../support/rows.ts';
import { startWithdrawalApi, type WithdrawalApi } from '../support/withdrawal-api.ts';

let withdrawals: WithdrawalApi;
let database: WithdrawalApi['database'];
let api: WithdrawalApi['api'];
let rows: WithdrawalApi['rows'];
let treasury: WithdrawalApi['treasury'];
let idOf: WithdrawalApi['idOf'];
let cancel: WithdrawalApi['cancel'];

beforeAll(async () => {
  withdrawals = await startWithdrawalApi();
  ({ database, api, rows, treasury, idOf, cancel } = withdrawals);
});

afterAll(async () => {
  await withdrawals.close();
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

  const reserved = async () => {
    const { data } = await api.query('{ balances { nodes { total available reserved } } }');
    return data.balances.nodes;
  };
  const held = { total: '7.0000000000', available: '7.0000000000' };
  expect(await reserved()).toEqual([{ ...held, reserved: '0.0000000000' }]);

  expect(await openAttempts(db, treasury, limits, DAY)).toBe(1);
  expect(await reserved()).toEqual([{ ...held, reserved: '7.0000000000' }]);
  const [attempt] = await takeDueAttempts(db, WITHDRAWALS, treasury, limits, { nowMicros: DAY, countMax: 10 });
  if (attempt === undefined) throw new Error('No attempt is due.');
  await recordSignatureRequest(db, WITHDRAWALS, attempt, {
    hash: Buffer.from('ab', 'hex'),
    scheme: 'V3',
    nowMicros: DAY,
  });
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
  expect(await lapseAttempts(db, WITHDRAWALS, treasury, limits, DAY + SECOND)).toBe(0);
  expect((await decision()).state).toBe('IN_FLIGHT');
  await rows.stream({}, DAY + 60n * SECOND + 1n);
  // Past it, the participant has to have an input active, too.
  expect(await lapseAttempts(db, WITHDRAWALS, treasury, limits, DAY + SECOND)).toBe(0);
  await db.updateTable('attempt').set({ inputs_active_offset: 7n }).execute();
  expect(await lapseAttempts(db, WITHDRAWALS, treasury, limits, DAY + SECOND)).toBe(1);

  expect(await reserved()).toEqual([{ ...held, reserved: '0.0000000000' }]);
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
  const limits = { ...DEFAULT_LIMITS, recordTimeAheadMsMax: 600_000, ttlMs: 60_000, attemptsMax: 3 };
  expect(await openAttempts(db, treasury, limits, DAY)).toBe(1);
  await rows.stream({}, DAY + 181n * SECOND);
  expect(await lapseAttempts(db, WITHDRAWALS, treasury, limits, DAY)).toBe(1);

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
