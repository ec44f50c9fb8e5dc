/** What a queued withdrawal waits for, as the API tells it: the same that keeps the automation from opening an attempt. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { liftFreeze, openFreeze } from '../../src/ingestion/freezes.ts';
import { openAttempts } from '../../src/withdrawals/attempt-funding.ts';
import { DEFAULT_LIMITS } from '../../src/withdrawals/automation.ts';
import { startApi, type TestApi } from '../support/api.ts';
import { createVirtualClock } from '../support/clock.ts';
import { DAY } from '../support/rows.ts';
import { startWithdrawalApi, type WithdrawalApi } from '../support/withdrawal-api.ts';

const LIMITS = { ...DEFAULT_LIMITS, ttlMs: 60_000, attemptsMax: 1 };
const HOUR = 3_600_000_000n;

let withdrawals: WithdrawalApi;
let api: TestApi;

beforeAll(async () => {
  withdrawals = await startWithdrawalApi();
  api = await startApi(withdrawals.database, { clock: createVirtualClock(DAY) });
});

afterAll(async () => {
  await api.stop();
  await withdrawals.close();
});

test('one thing after the other is out of the way, and then an attempt opens', async () => {
  const { database, rows, treasury, idOf } = withdrawals;
  const { db } = database;
  const id = await idOf('waiting', { amount: '5' });
  const waitsFor = async (): Promise<unknown> => {
    const { data } = await api.query(`{ withdrawal(withdrawalId: "${id}") { waitsFor } }`);
    return data.withdrawal.waitsFor;
  };
  const opened = async (): Promise<number> => await openAttempts(db, treasury, LIMITS, DAY);
  const freeze = {
    treasuryId: treasury,
    instrumentKey: null,
    reason: 'OPERATOR' as const,
    detail: 'Looking.',
    cause: 'test',
  };
  await openFreeze(db, { ...freeze, openedBy: 'test', nowMicros: DAY });
  await rows.stream({ status: 'HALTED' });
  await rows.holding('locked', '100', { lockHolders: ['somebody::1220aa'] });
  await rows.holding('little', '4.9999999999');

  expect([await waitsFor(), await opened()]).toEqual(['FREEZE', 0]);

  const [{ id: frozen } = { id: 0n }] = await db.selectFrom('money_freeze').select('id').execute();
  await liftFreeze(db, { id: frozen, by: 'test', detail: 'Looked.', nowMicros: DAY });
  expect([await waitsFor(), await opened()]).toEqual(['LEDGER', 0]);

  // The directory comes before the ledger: it takes a person, too.
  await rows.token({ pays_direct: false });
  expect([await waitsFor(), await opened()]).toEqual(['POLICY', 0]);
  await db.updateTable('token').set({ pays_direct: true, registry_differs: '[]' }).execute();
  expect([await waitsFor(), await opened()]).toEqual(['POLICY', 0]);
  await db.updateTable('token').set({ registry_differs: null }).execute();
  expect([await waitsFor(), await opened()]).toEqual(['LEDGER', 0]);

  await rows.stream({ status: 'RUNNING' }, DAY - HOUR);
  expect([await waitsFor(), await opened()]).toEqual(['LEDGER', 0]);
  await rows.stream({ status: 'RUNNING' }, DAY + HOUR);
  expect([await waitsFor(), await opened()]).toEqual(['LEDGER', 0]);

  await rows.stream({ status: 'RUNNING' }, DAY);
  expect([await waitsFor(), await opened()]).toEqual(['FUNDS', 0]);

  await rows.holding('enough', '0.0000000001');
  expect([await waitsFor(), await opened()]).toEqual(['TURN', 1]);
  expect(await waitsFor()).toBeNull();

  // What that one spends is not free for another.
  const second = await idOf('second', { amount: '1' });
  const { data } = await api.query(`{ withdrawal(withdrawalId: "${second}") { waitsFor } }`);
  expect([data.withdrawal.waitsFor, await opened()]).toEqual(['FUNDS', 0]);
});
