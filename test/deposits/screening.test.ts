/**
 * Nothing is available before the screening service has said so: whatever it does instead of answering, the deposit is held; a verdict is given once, and outlives
 * every death of the process that asked.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { depositScreening } from '../../src/deposits/deposit-screening.ts';
import { createDesk } from '../../src/deposits/desk.ts';
import { isCleared } from '../../src/deposits/screening-gate.ts';
import { createScreeningRequests } from '../../src/deposits/screening-requests.ts';
import { systemClock } from '../../src/env/system.ts';
import { parseAmount } from '../../src/tokens/amount.ts';
import { COMPILE_CACHE } from '../support/compile-cache.ts';
import { decideScreening } from '../support/deposit-screening.ts';
import { eventually } from '../support/eventually.ts';
import { NETWORK } from '../support/network.ts';
import { SCREENING_SECRET } from '../support/screening-server.ts';
import { PATIENT, type ScreenedScene, startScreenedScene } from './screened-scene.ts';

let screened: ScreenedScene;
let scene: ScreenedScene['scene'];
let service: ScreenedScene['service'];

beforeEach(async () => {
  screened = await startScreenedScene();
  ({ scene, service } = screened);
});

afterEach(async () => {
  await screened.close();
});

const startLoop: ScreenedScene['startLoop'] = (...options) => screened.startLoop(...options);
const deposit: ScreenedScene['deposit'] = async (amount) => await screened.deposit(amount);
const screening: ScreenedScene['screening'] = async (transferId) => await screened.screening(transferId);
const become: ScreenedScene['become'] = async (...wanted) => await screened.become(...wanted);

async function mayAccept(transferId: string): Promise<boolean> {
  const offer = { transferId: sql`${transferId}::text`, networkId: sql`n.id` };
  const { rows } = await sql<{ may: boolean }>`SELECT ${isCleared(offer, null)} AS may FROM network n`.execute(
    scene.database.db,
  );
  return rows[0]?.may === true;
}

describe('a direct deposit', () => {
  test('is held, and credited once when it is allowed', async () => {
    const transferId = await deposit();
    expect(await scene.balances()).toEqual({ 'HELD:alice': '5.0000000000' });
    service.behave('allow');
    startLoop();
    startLoop();

    await become(transferId, 'ALLOWED');
    await scene.settled();

    expect(await scene.balances()).toEqual({ 'CUSTOMER:alice': '5.0000000000' });
    expect(await scene.eventsOf(transferId)).toEqual(['deposit.held alice', 'deposit.credited alice']);
    expect(service.forged).toEqual([]);
    expect(service.questions[0]).toMatchObject({
      transferId,
      kind: 'DEPOSIT',
      amount: '5.0000000000',
      account: 'alice',
      memo: 'alice-memo',
      sender: scene.simnet.network.party('alice'),
      instrument: scene.simnet.network.instrument('amulet'),
    });
  });

  test('answered twice, as two asked: the second answer is to nothing, whatever it says', async () => {
    const transferId = await deposit();
    const kind = depositScreening(scene.withdrawals);
    const [asked] = await kind.questionsOf(scene.database.db, [transferId]);
    if (asked === undefined) throw new Error('A held deposit is no question.');
    const answer = async (said: 'ALLOW' | 'DENY'): Promise<string> =>
      await scene.database.db
        .transaction()
        .execute(
          async (tx) =>
            await kind.record(tx, asked, { kind: said, caseId: null, reason: null }, systemClock.nowMicros()),
        );

    expect([await answer('ALLOW'), await answer('ALLOW'), await answer('DENY')]).toEqual([
      'RECORDED',
      'NOT_ASKED',
      'NOT_ASKED',
    ]);

    expect(await scene.balances()).toEqual({ 'CUSTOMER:alice': '5.0000000000' });
    await scene.settled();
    expect(await scene.eventsOf(transferId)).toEqual(['deposit.held alice', 'deposit.credited alice']);
    expect((await screening(transferId)).state).toBe('ALLOWED');
  });

  test('stays held when it is denied, with the service’s case, and two people decide', async () => {
    const transferId = await deposit();
    service.behave('deny');
    startLoop();

    await become(transferId, 'DENIED');
    await scene.settled();

    expect(await scene.balances()).toEqual({ 'HELD:alice': '5.0000000000' });
    expect(await screening(transferId)).toMatchObject({ case_id: 'case-deny', reason: 'because' });
    expect(await scene.eventsOf(transferId)).toEqual(['deposit.held alice', 'deposit.denied alice']);

    // Small as it is, and whatever one person may decide alone otherwise.
    const { admin, id } = scene.simnet.network.instrument('amulet');
    const desk = createDesk({
      db: scene.database.db,
      clock: systemClock,
      limits: new Map([[`${admin}/${id}`, parseAmount('1000')]]),
      withdrawals: scene.withdrawals,
    });
    const asked = await desk.assign({ transferId, account: 'alice', reason: 'a false alarm', by: 'compliance' });
    expect(await scene.balances()).toEqual({ 'HELD:alice': '5.0000000000' });
    await desk.approve({ decisionId: asked.decisionId, reason: 'agreed', by: 'head of compliance' });
    await scene.settled();
    expect(await scene.balances()).toEqual({ 'CUSTOMER:alice': '5.0000000000' });
  });

  test('is parked after its tries, never credited by itself, and asked again when a person says so', async () => {
    const transferId = await deposit();
    startLoop({ triesMax: 2 });

    await become(transferId, 'PARKED');
    service.behave('allow');
    await scene.settled();
    expect(service.asked).toHaveLength(2);
    expect(await scene.balances()).toEqual({ 'HELD:alice': '5.0000000000' });

    await createScreeningRequests({ db: scene.database.db, clock: systemClock }).askAgain({
      transferId,
      by: 'support',
    });
    await become(transferId, 'ALLOWED');
    await scene.settled();
    expect(await scene.balances()).toEqual({ 'CUSTOMER:alice': '5.0000000000' });
  });

  test('a service that works on it is asked again, and its tries are not used up', async () => {
    service.behave('pending');
    const transferId = await deposit();
    startLoop({ triesMax: 2 });

    await eventually(() => expect(service.asked.length).toBeGreaterThan(4), PATIENT);
    expect((await screening(transferId)).state).toBe('WAITING');
    service.behave('allow');
    await become(transferId, 'ALLOWED');
  });

  test('whom nobody knows is not asked about, until somebody at the desk says whose it is', async () => {
    service.behave('allow');
    startLoop();
    scene.pay({ amount: '3', memo: 'nobody' });
    await scene.settled();
    const [transferId = ''] = await scene.transferIds();
    expect(service.asked).toEqual([]);
    service.behave('deny');

    const { admin, id } = scene.simnet.network.instrument('amulet');
    const limits = new Map([[`${admin}/${id}`, parseAmount('10')]]);
    const desk = createDesk({
      db: scene.database.db,
      clock: systemClock,
      limits,
      withdrawals: null,
    });
    await desk.assign({ transferId, account: 'bob', reason: 'ticket', by: 'support' });

    await become(transferId, 'DENIED');
    await scene.settled();
    expect(await scene.balances()).toEqual({ 'HELD:bob': '3.0000000000' });
  });
});

describe('an offer', () => {
  test('is not accepted before the verdict, and credited at once when it is accepted after it', async () => {
    const instructionCid = scene.pay({ amount: '4', memo: 'alice-memo', kind: 'offer' }) ?? '';
    await scene.settled();
    const [transferId = ''] = await scene.transferIds();
    expect(await mayAccept(transferId)).toBe(false);
    service.behave('allow');
    startLoop();

    await become(transferId, 'ALLOWED');
    expect(await mayAccept(transferId)).toBe(true);
    scene.simnet.network.accept({ instructionCid });
    await scene.settled();

    expect(await scene.balances()).toEqual({ 'CUSTOMER:alice': '4.0000000000' });
    expect(service.questions.map(({ kind }) => kind)).toEqual(['OFFER']);
  });

  test('that is denied and accepted elsewhere is held, and waits at the desk', async () => {
    const instructionCid = scene.pay({ amount: '4', memo: 'alice-memo', kind: 'offer' }) ?? '';
    await scene.settled();
    const [transferId = ''] = await scene.transferIds();
    service.behave('deny');
    startLoop();
    await become(transferId, 'DENIED');
    expect(await mayAccept(transferId)).toBe(false);
    await decideScreening(scene.database.db, NETWORK, false);
    expect(await mayAccept(transferId)).toBe(false);
    await decideScreening(scene.database.db, NETWORK, true);

    scene.simnet.network.accept({ instructionCid });
    await scene.settled();

    expect(await scene.balances()).toEqual({ 'HELD:alice': '4.0000000000' });
    expect(await scene.database.db.selectFrom('desk_case').select(['state', 'why']).execute()).toEqual([
      { state: 'OPEN', why: 'DENIED' },
    ]);
  });

  test('that was accepted elsewhere before any answer is held until there is one', async () => {
    const instructionCid = scene.pay({ amount: '4', memo: 'alice-memo', kind: 'offer' }) ?? '';
    scene.simnet.network.accept({ instructionCid });
    await scene.settled();
    expect(await scene.balances()).toEqual({ 'HELD:alice': '4.0000000000' });
    const [transferId = ''] = await scene.transferIds();

    service.behave('allow');
    startLoop();
    await become(transferId, 'ALLOWED');
    await scene.settled();

    expect(await scene.balances()).toEqual({ 'CUSTOMER:alice': '4.0000000000' });
  });
});

test.each(['screening.beforeCall', 'screening.afterAnswer', 'screening.afterVerdict'])(
  'a process that is killed at %s is followed by another, and the deposit is credited once',
  { timeout: 60_000 },
  async (point) => {
    service.behave('allow');
    const transferId = await deposit();

    await runToDeath(point);
    await scene.settled();
    expect(await scene.balances()).toEqual({
      [point === 'screening.afterVerdict' ? 'CUSTOMER:alice' : 'HELD:alice']: '5.0000000000',
    });

    startLoop();
    await become(transferId, 'ALLOWED');
    await scene.settled();
    expect(await scene.balances()).toEqual({ 'CUSTOMER:alice': '5.0000000000' });
    expect(await scene.eventsOf(transferId)).toEqual(['deposit.held alice', 'deposit.credited alice']);
  },
);

async function runToDeath(point: string): Promise<void> {
  const child = spawn(process.execPath, ['test/support/screening-child.ts'], {
    env: {
      ...process.env,
      PATH: process.env['PATH'],
      ...COMPILE_CACHE,
      DATABASE_URL: scene.database.connectionString,
      SCREENING_URL: service.url,
      SECRET: Buffer.from(SCREENING_SECRET).toString('hex'),
      KILL_AT: point,
    },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const [, signal] = await once(child, 'exit');
  expect(signal).toBe('SIGKILL');
}
