/**
 * Whether deposits wait for the screening is decided once per network, in the database: every process agrees at its start, and whoever credits obeys what holds when he does, whatever he was started with.
 */
import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { startService } from '../../src/cli/service.ts';
import { loadConfig } from '../../src/config/config.ts';
import { depositScreening } from '../../src/deposits/deposit-screening.ts';
import { createDesk } from '../../src/deposits/desk.ts';
import { isCleared } from '../../src/deposits/screening-gate.ts';
import { agreeOnScreening, depositsWait, readDepositScreening } from '../../src/deposits/screening-mode.ts';
import { countWaiting, switchScreening } from '../../src/deposits/screening-switch.ts';
import { noFailpoints } from '../../src/env/failpoint.ts';
import { createSystemLogger, systemClock, systemRandom } from '../../src/env/system.ts';
import { parseAmount } from '../../src/tokens/amount.ts';
import { eventually } from '../support/eventually.ts';
import { NETWORK } from '../support/network.ts';
import { SCREENING_SECRET } from '../support/screening-server.ts';
import { type DepositScene, startDepositScene } from './harness.ts';

let scene: DepositScene;

beforeEach(async () => {
  scene = await startDepositScene();
});

afterEach(async () => await scene.close());

const agree = async (isWanted: boolean, network = NETWORK) =>
  (await agreeOnScreening(scene.database.db, { network, isWanted, nowMicros: 10n })).isOn;
const turn = async (to: 'on' | 'off', nowMicros = 20n) =>
  await switchScreening(scene.database.db, { network: NETWORK, to, by: 'compliance', why: 'ticket 7', nowMicros });
const pay = async (amount: string, memo = 'alice-memo') => {
  scene.pay({ amount, memo });
  await scene.settled();
};

describe('at the start of a process', () => {
  test('the first decides, the same is agreed to, and another does not start', async () => {
    expect(await agree(true)).toBe(true);
    expect(await agree(true)).toBe(true);
    expect(await readDepositScreening(scene.database.db, NETWORK)).toEqual({
      isOn: true,
      decided: { at: 10n, by: 'sluice:start', why: 'as the first process was configured' },
    });

    await expect(agree(false)).rejects.toMatchObject({
      code: 'DEPOSIT_SCREENING_DIFFERS',
      retryable: false,
      message: expect.stringContaining('SLUICE_SCREENING_URL'),
    });
    expect(await agree(false, 'othernet')).toBe(false);
    await expect(agree(true, 'othernet')).rejects.toMatchObject({
      code: 'DEPOSIT_SCREENING_DIFFERS',
      message: expect.stringContaining('sluice screening switch on'),
    });
  });

  test('of many that start at once with different settings one side wins', async () => {
    const answers = await Promise.allSettled(
      Array.from({ length: 10 }, async (_, index) => await agree(index % 2 === 0, 'newnet')),
    );

    const decided = new Set(answers.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : [])));
    expect(decided.size).toBe(1);
    expect(answers.filter(({ status }) => status === 'fulfilled')).toHaveLength(5);
  });

  test('where deposits were screened before anybody decided they are, whatever the first one says', async () => {
    await turn('on');
    await pay('5');
    await sql`DELETE FROM deposit_screening`.execute(scene.database.db);
    expect(await readDepositScreening(scene.database.db, NETWORK)).toEqual({ isOn: true, decided: null });

    await expect(agree(false)).rejects.toMatchObject({ code: 'DEPOSIT_SCREENING_DIFFERS' });
    expect(await agree(true)).toBe(true);
    expect(await agree(false, 'othernet'), 'it is decided per network').toBe(false);
  });

  test('a worker without the service does not start where the network screens; what only answers requests does', async () => {
    await turn('on');
    const start = async (variables: Readonly<Record<string, string>>) => {
      const { databaseUrl, ...config } = loadConfig({
        DATABASE_URL: scene.database.connectionString,
        SLUICE_LEDGER_URL: scene.simnet.ledgerUrl(),
        SLUICE_NETWORK: NETWORK,
        SLUICE_TREASURY_PARTIES: scene.simnet.network.party('treasury'),
        SLUICE_INSTRUMENTS: scene.simnet.catalog.instruments
          .map(({ name, admin, id }) => `${name}=${admin}/${id}`)
          .join(','),
        SLUICE_PORT: '0',
        SLUICE_ADMIN_PORT: '0',
        ...variables,
      });
      const logger = createSystemLogger('silent');
      const env = { clock: systemClock, random: systemRandom, logger, failpoint: noFailpoints };
      const service = await startService({ config, connectionString: databaseUrl?.reveal() ?? '', env });
      await service.stop();
    };
    const service = {
      SLUICE_SCREENING_URL: 'http://127.0.0.1:9',
      SLUICE_SCREENING_SECRET: Buffer.from(SCREENING_SECRET).toString('hex'),
    };
    const differs = { code: 'DEPOSIT_SCREENING_DIFFERS' };

    for (const role of ['worker', 'all']) {
      await expect(start({ SLUICE_ROLE: role })).rejects.toMatchObject(differs);
      await expect(start({ SLUICE_ROLE: role, ...service, SLUICE_DEPOSIT_SCREENING: 'off' })).rejects.toMatchObject(
        differs,
      );
    }
    await start({ SLUICE_ROLE: 'worker', ...service });
    await start({ SLUICE_ROLE: 'api' });

    await turn('off');
    await expect(start({ SLUICE_ROLE: 'worker', ...service })).rejects.toMatchObject(differs);
    await start({ SLUICE_ROLE: 'worker', ...service, SLUICE_DEPOSIT_SCREENING: 'off' });
    await start({ SLUICE_ROLE: 'worker' });
  });
});

describe('a switch', () => {
  test('to on keeps the next deposit of a running worker from being credited unseen; to off credits nobody who waits', async () => {
    await agree(false);
    await pay('5');
    expect(await scene.balances()).toEqual({ 'CUSTOMER:alice': '5.0000000000' });

    expect(await turn('on')).toBe('off');
    await pay('7');
    expect(await scene.balances()).toEqual({ 'CUSTOMER:alice': '5.0000000000', 'HELD:alice': '7.0000000000' });
    expect(await countWaiting(scene.database.db, NETWORK)).toBe(1);

    expect(await turn('off')).toBe('on');
    await pay('9');
    expect(await scene.balances()).toEqual({ 'CUSTOMER:alice': '14.0000000000', 'HELD:alice': '7.0000000000' });
    expect(await countWaiting(scene.database.db, NETWORK)).toBe(1);
  });

  test('holds what the desk assigns, too', async () => {
    await agree(false);
    await pay('3', 'nobody');
    const [transferId = ''] = await scene.transferIds();
    const { admin, id } = scene.simnet.network.instrument('amulet');
    const limits = new Map([[`${admin}/${id}`, parseAmount('10')]]);
    const desk = createDesk({ db: scene.database.db, clock: systemClock, limits, withdrawals: null });
    await turn('on');

    await desk.assign({ transferId, account: 'bob', reason: 'ticket', by: 'support' });

    await scene.settled();
    expect(await scene.balances()).toEqual({ 'HELD:bob': '3.0000000000' });
  });

  test('holds the offers that are there, and has the service asked about them; nobody is asked about any where it is off', async () => {
    await agree(false);
    scene.pay({ amount: '4', memo: 'alice-memo', kind: 'offer' });
    await scene.settled();
    const { db } = scene.database;
    const mayAccept = async () => {
      const offer = { transferId: sql`t.id`, networkId: sql`n.id` };
      const { rows } = await sql<{
        may: boolean;
      }>`SELECT ${isCleared(offer, null)} AS may FROM network n, transfer t`.execute(db);
      return rows;
    };
    await depositScreening(null).catchUp?.(db, 1n);
    expect(await mayAccept()).toEqual([{ may: true }]);
    expect(await countWaiting(db, NETWORK)).toBe(0);

    await turn('on');
    expect(await mayAccept()).toEqual([{ may: false }]);
    await depositScreening(null).catchUp?.(db, 1n);
    expect(await countWaiting(db, NETWORK)).toBe(1);
    await turn('off');
    expect(await mayAccept(), 'who was asked about waits for the answer').toEqual([{ may: false }]);
  });

  test('waits for who credits by the old decision, and who comes meanwhile obeys the new one', async () => {
    await agree(false);
    await pay('3', 'nobody');
    const [transferId = ''] = await scene.transferIds();
    const { admin, id } = scene.simnet.network.instrument('amulet');
    const limits = new Map([[`${admin}/${id}`, parseAmount('10')]]);
    const desk = createDesk({ db: scene.database.db, clock: systemClock, limits, withdrawals: null });
    let turning: Promise<unknown> = Promise.resolve();
    let assigning: Promise<unknown> = Promise.resolve();

    // Nothing is booked meanwhile: the worker has looked, and stands in the middle of its batch.
    await scene.database.db.transaction().execute(async (tx) => {
      await sql`LOCK TABLE posting IN SHARE ROW EXCLUSIVE MODE`.execute(tx);
      scene.pay({ amount: '5', memo: 'alice-memo' });
      await standing(1);
      turning = turn('on');
      await standing(2);
      assigning = desk.assign({ transferId, account: 'bob', reason: 'ticket', by: 'support' });
      await standing(3);
      expect(await readDepositScreening(tx, NETWORK)).toMatchObject({ isOn: false });
    });
    await Promise.all([turning, assigning]);

    await scene.settled();
    expect(await scene.balances()).toEqual({ 'CUSTOMER:alice': '5.0000000000', 'HELD:bob': '3.0000000000' });
  });

  /** Until so many wait for a lock. */
  async function standing(count: number): Promise<void> {
    await eventually(async () => {
      const { rows } =
        await sql`SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`.execute(
          scene.database.db,
        );
      expect(rows).toHaveLength(count);
    });
  }

  test('is kept in the audit with who and why, and is later than the one before by whatever clock', async () => {
    const { db } = scene.database;
    await turn('on', 100n);
    expect(await turn('on', 200n)).toBe('on');
    await turn('off', 50n);

    expect((await readDepositScreening(db, NETWORK)).decided).toEqual({ at: 101n, by: 'compliance', why: 'ticket 7' });
    const { rows } = await sql<{ principal: string; after: Record<string, string> }>`
      SELECT principal, after FROM audit_outbox WHERE subject_type = 'deposit_screening' ORDER BY 1, seq`.execute(db);
    expect(rows.map(({ principal, after }) => [principal, after['is_on']])).toEqual([
      ['compliance', 'true'],
      ['compliance', 'false'],
    ]);
    await expect(
      switchScreening(db, { network: 'nonet', to: 'on', by: 'x', why: 'x', nowMicros: 1n }),
    ).rejects.toMatchObject({ code: 'NETWORK_UNKNOWN' });
  });
});

test('a decision that was put back with the database takes nothing back from a process that knows a later one', async () => {
  const { db } = scene.database;
  const waits = async (screenedSince: bigint | null) =>
    (
      await sql<{ waits: boolean }>`SELECT ${depositsWait(sql`n.id`, screenedSince)} AS waits FROM network n`.execute(
        db,
      )
    ).rows;
  expect(await waits(null)).toEqual([{ waits: false }]);
  expect(await waits(5n), 'no decision is left').toEqual([{ waits: true }]);

  await turn('off', 10n);

  expect(await waits(null)).toEqual([{ waits: false }]);
  expect(await waits(5n), 'it was switched off later').toEqual([{ waits: false }]);
  expect(await waits(11n)).toEqual([{ waits: true }]);
});
