/** What people decide about deposits that name nobody: once, with a second person above the limit, and in books that stay right. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createDesk, type Desk } from '../../src/deposits/desk.ts';
import { systemClock } from '../../src/env/system.ts';
import { parseAmount } from '../../src/tokens/amount.ts';
import { type DepositScene, startDepositScene } from './harness.ts';

let scene: DepositScene;
let desk: Desk;

beforeEach(async () => {
  scene = await startDepositScene();
  desk = deskOf();
});

afterEach(async () => {
  await scene.close();
});

function deskOf(): Desk {
  const { admin, id } = scene.simnet.network.instrument('amulet');
  return createDesk({
    db: scene.database.db,
    clock: systemClock,
    limits: new Map([[`${admin}/${id}`, parseAmount('100')]]),
    withdrawals: scene.withdrawals,
  });
}

async function wrongMemo(amount: string): Promise<string> {
  scene.pay({ amount, memo: 'ALICE-MEMO' });
  await scene.settled();
  return (await scene.transferIds()).at(-1) ?? '';
}

const assign = (transferId: string, account = 'alice', by = 'support') =>
  desk.assign({ transferId, account, reason: 'ticket 7', by });
const refused = (code: string) => expect.objectContaining({ code });

test('G1: a wrong memo waits at the desk and is assigned once, however often and by however many', async () => {
  const transferId = await wrongMemo('50');
  expect(await scene.balances()).toEqual({ UNATTRIBUTED: '50.0000000000' });

  const results = await Promise.allSettled([
    assign(transferId),
    assign(transferId),
    assign(transferId, 'bob', 'other'),
    assign(transferId, 'alice', 'other'),
  ]);
  await scene.settled();

  const done = results.filter((result) => result.status === 'fulfilled').map(({ value }) => value);
  expect(done.filter(({ isReplayed }) => !isReplayed)).toHaveLength(1);
  const [winner = ''] = Object.keys(await scene.balances());
  expect(['CUSTOMER:alice', 'CUSTOMER:bob']).toContain(winner);
  expect(await scene.balances()).toEqual({ [winner]: '50.0000000000' });
  expect(await scene.eventsOf(transferId)).toEqual([
    'deposit.unattributed',
    `deposit.credited ${winner.slice('CUSTOMER:'.length)}`,
    `desk.decision ${winner.slice('CUSTOMER:'.length)} DONE`,
  ]);
  const loser = winner === 'CUSTOMER:alice' ? 'bob' : 'alice';
  await expect(assign(transferId, loser)).rejects.toEqual(refused('CASE_CLOSED'));
});

test('above the limit two people decide, and the one who asked is not the second', async () => {
  const transferId = await wrongMemo('100.0000000001');

  const { decisionId } = await assign(transferId);
  expect(await scene.balances()).toEqual({ UNATTRIBUTED: '100.0000000001' });
  await expect(desk.approve({ decisionId, reason: 'mine', by: 'support' })).rejects.toEqual(refused('SAME_PERSON'));
  await expect(desk.approve({ decisionId, reason: 'mine', by: 'support/phone' })).rejects.toEqual(
    refused('SAME_PERSON'),
  );
  await expect(assign(transferId, 'bob')).rejects.toEqual(refused('DECISION_PENDING'));
  await desk.refuse({ decisionId, reason: 'wrong customer', by: 'lead' });
  await expect(desk.approve({ decisionId, reason: 'late', by: 'lead' })).rejects.toEqual(refused('DECISION_UNKNOWN'));

  const second = await assign(transferId, 'bob');
  await desk.approve({ decisionId: second.decisionId, reason: 'checked', by: 'lead' });
  const again = await desk.approve({ decisionId: second.decisionId, reason: 'checked', by: 'lead' });
  await scene.settled();

  expect(again.isReplayed).toBe(true);
  expect(await scene.balances()).toEqual({ 'CUSTOMER:bob': '100.0000000001' });
  const decisions = await scene.database.db.selectFrom('desk_decision').selectAll().orderBy('id').execute();
  expect(decisions.map(({ state, requested_by, decided_by }) => [state, requested_by, decided_by])).toEqual([
    ['REFUSED', 'support', 'lead'],
    ['DONE', 'support', 'lead'],
  ]);
});

test('an instrument without a limit, and a limit of others, need two people', async () => {
  desk = createDesk({
    db: scene.database.db,
    clock: systemClock,
    limits: new Map(),
    withdrawals: null,
  });
  const transferId = await wrongMemo('0.0000000001');

  await assign(transferId);

  expect(await scene.balances()).toEqual({ UNATTRIBUTED: '0.0000000001' });
});

test('what cannot be decided is refused, with what to do', async () => {
  const transferId = await wrongMemo('1');

  await expect(assign('tr_nothing')).rejects.toEqual(refused('CASE_UNKNOWN'));
  await expect(assign('tr\0')).rejects.toEqual(refused('CASE_UNKNOWN'));
  await expect(assign(transferId, 'nobody')).rejects.toEqual(refused('ACCOUNT_UNKNOWN'));
  await expect(desk.assign({ transferId, account: 'alice', reason: ' ', by: 'support' })).rejects.toEqual(
    refused('REASON_INVALID'),
  );
  await scene.database.db.updateTable('instrument').set({ is_accepted: false }).execute();
  await expect(assign(transferId)).rejects.toEqual(refused('INSTRUMENT_NOT_ACCEPTED'));
  expect(await scene.balances()).toEqual({ UNATTRIBUTED: '1.0000000000' });
});

test('an offer that names nobody is assigned, and its acceptance credits the one it was assigned to', async () => {
  const instructionCid = scene.pay({ amount: '5', memo: 'nobody', kind: 'offer' });
  await scene.settled();
  const [transferId = ''] = await scene.transferIds();

  await assign(transferId);
  await assign(transferId);
  expect(await scene.balances()).toEqual({});
  scene.simnet.network.accept({ instructionCid: instructionCid ?? '' });
  await scene.settled();

  expect(await scene.balances()).toEqual({ 'CUSTOMER:alice': '5.0000000000' });
  expect(await scene.eventsOf(transferId)).toEqual([
    'offer.received',
    'desk.decision alice DONE',
    'deposit.credited alice',
  ]);
});

test.each(['withdraw', 'reject'] as const)('a case of an offer ends with it (%s)', async (end) => {
  const instructionCid = scene.pay({ amount: '5', kind: 'offer' });
  await scene.settled();
  const [transferId = ''] = await scene.transferIds();

  scene.simnet.network[end]({ instructionCid: instructionCid ?? '' });
  await scene.settled();

  await expect(assign(transferId)).rejects.toEqual(refused('CASE_CLOSED'));
  expect(await scene.database.db.selectFrom('desk_case').select(['state', 'why']).execute()).toEqual([
    { state: 'ENDED', why: 'NO_MEMO' },
  ]);
});

test('decisions survive that the tables are derived anew: a deposit assigned by hand stays assigned', async () => {
  const transferId = await wrongMemo('7');
  await assign(transferId);

  await scene.settled();

  const { db } = scene.database;
  expect(await db.selectFrom('attribution').select(['transfer_id', 'decided_by']).execute()).toEqual([
    { transfer_id: transferId, decided_by: 'support' },
  ]);
});

test('a deposit whose transfer is gone from the derived tables is not given away', async () => {
  const transferId = await wrongMemo('7');
  await scene.database.db.deleteFrom('transfer').where('id', '=', transferId).execute();

  await expect(assign(transferId)).rejects.toEqual(refused('DEPOSIT_GONE'));
});
