/** A deposit that goes back to its sender: by a withdrawal that pays it for real, once; and where that cannot be paid, the money is here again and somebody decides anew. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createLocalSigner, ed25519PrivateKey } from '../../src/custody/local-signer.ts';
import { createDesk, type Desk } from '../../src/deposits/desk.ts';
import { systemClock } from '../../src/env/system.ts';
import { parseAmount } from '../../src/tokens/amount.ts';
import { eventually } from '../support/eventually.ts';
import { SIGNER_SEED, startPayouts } from '../support/payouts.ts';
import { registryOf } from '../support/simnet-registry.ts';
import { type DepositScene, startDepositScene } from './harness.ts';

let scene: DepositScene;
let desk: Desk;
let payouts: ReturnType<typeof startPayouts>;

beforeEach(async () => {
  scene = await startDepositScene();
  const { network } = scene.simnet;
  const key = await createLocalSigner({ privateKey: ed25519PrivateKey(SIGNER_SEED) }).currentKey();
  network.registerKey('treasury', key.publicKey.export({ type: 'spki', format: 'der' }));
  const { admin, id } = network.instrument('amulet');
  desk = createDesk({
    db: scene.database.db,
    clock: systemClock,
    limits: new Map([[`${admin}/${id}`, parseAmount('1000')]]),
    withdrawals: scene.withdrawals,
  });
  const [treasury] = scene.ingestion.treasuries;
  if (treasury === undefined) throw new Error('No treasury.');
  payouts = startPayouts({
    db: scene.database.db,
    treasury,
    ledgerUrl: scene.simnet.ledgerUrl(),
    registry: registryOf(scene.simnet),
    logger: scene.database.logger,
    limits: {
      ttlMs: 4_000,
      recordTimeAgeMsMax: 600_000,
      recordTimeAheadMsMax: 600_000,
      attemptsMax: 2,
      triesMax: 6,
      tryHoldMs: 1_000,
    },
  });
});

afterEach(async () => {
  await payouts.stop();
  await scene.close();
});

async function strange(amount: string): Promise<string> {
  scene.pay({ amount, memo: 'nobody' });
  await scene.settled();
  return (await scene.transferIds()).at(-1) ?? '';
}

const refund = (transferId: string, by = 'support') => desk.refund({ transferId, reason: 'the sender asks', by });
const refused = (code: string) => expect.objectContaining({ code });

async function become(state: string): Promise<void> {
  await eventually(
    async () => {
      payouts.throwIfFailed();
      const rows = await scene.database.db.selectFrom('withdrawal').select('state').orderBy('created_at').execute();
      expect(rows.at(-1)?.state).toBe(state);
    },
    { deadlineMs: 60_000 },
  );
}

test('is paid to the sender once, however often and by however many it is asked for', { timeout: 90_000 }, async () => {
  scene.simnet.network.preapprove({ instrument: 'amulet', receiver: 'alice' });
  const transferId = await strange('50');
  const before = scene.simnet.network.balance({ instrument: 'amulet', owner: 'alice' });

  const results = await Promise.allSettled(
    ['support', 'support', 'other', 'third'].map(async (by) => await refund(transferId, by)),
  );
  await expect(desk.assign({ transferId, account: 'alice', reason: 'too late', by: 'support' })).rejects.toEqual(
    refused('CASE_CLOSED'),
  );
  await become('COMPLETED');
  await scene.settled();

  expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(4);
  expect(await scene.database.db.selectFrom('withdrawal').select('state').execute()).toHaveLength(1);
  expect(Number(scene.simnet.network.balance({ instrument: 'amulet', owner: 'alice' })) - Number(before)).toBe(50);
  expect(await scene.balances()).toEqual({});
  expect(await scene.eventsOf(transferId)).toEqual(['deposit.unattributed', 'deposit.refunded', 'desk.decision DONE']);
});

test('one that cannot be paid comes back to the desk, and is assigned instead', { timeout: 90_000 }, async () => {
  // The sender takes the instrument only as an offer: nothing is ever signed.
  const transferId = await strange('7');
  await refund(transferId);
  await become('FAILED');
  await scene.settled();
  expect(await scene.balances()).toEqual({ REFUNDS: '7.0000000000' });

  await desk.assign({ transferId, account: 'alice', reason: 'it was alice', by: 'support' });
  await scene.settled();

  expect(await scene.balances()).toEqual({ 'CUSTOMER:alice': '7.0000000000' });
  await expect(refund(transferId)).rejects.toEqual(refused('CASE_CLOSED'));
});

test('one that was not paid can be sent back again, by another withdrawal', { timeout: 90_000 }, async () => {
  const transferId = await strange('7');
  await refund(transferId);
  await become('FAILED');
  scene.simnet.network.preapprove({ instrument: 'amulet', receiver: 'alice' });

  await refund(transferId);
  await become('COMPLETED');
  await scene.settled();

  expect(await scene.balances()).toEqual({});
  const decisions = await scene.database.db.selectFrom('desk_decision').select(['state', 'withdrawal_id']).execute();
  expect(new Set(decisions.map(({ withdrawal_id }) => withdrawal_id)).size).toBe(2);
});

test('what only was offered, and what is not paid out here, is not sent back', async () => {
  scene.pay({ amount: '5', kind: 'offer' });
  await scene.settled();
  const [offer = ''] = await scene.transferIds();
  await expect(refund(offer)).rejects.toEqual(refused('NOTHING_HERE'));

  const transferId = await strange('5');
  const poor = createDesk({
    db: scene.database.db,
    clock: systemClock,
    limits: new Map(),
    withdrawals: null,
  });
  await expect(poor.refund({ transferId, reason: 'asked', by: 'support' })).rejects.toEqual(refused('WITHDRAWALS_OFF'));
});
