/**
 * A verdict is about one deposit of one customer. Whatever happens between the question and the answer (a memo is registered or disabled, the desk names somebody, the offer is accepted elsewhere, the
 * history is derived anew), nobody is credited without leave, nobody else's money is touched, and what was denied two people decide.
 */
import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { creditsWithoutTransfer } from '../../src/books/corrections.ts';
import { createWakeUp } from '../../src/db/polling-loop.ts';
import { createDepositAccountChanges } from '../../src/deposits/deposit-account-changes.ts';
import { depositScreening } from '../../src/deposits/deposit-screening.ts';
import { createDesk, type Desk } from '../../src/deposits/desk.ts';
import { runScreening, SCREENING_LIMITS } from '../../src/deposits/screening-loop.ts';
import { recordVerdict } from '../../src/deposits/screening-verdict.ts';
import { noFailpoints } from '../../src/env/failpoint.ts';
import { systemClock, systemRandom } from '../../src/env/system.ts';
import { parseAmount } from '../../src/tokens/amount.ts';
import { eventually } from '../support/eventually.ts';
import { type DepositScene, startDepositScene } from './harness.ts';

let scene: DepositScene;
let desk: Desk;

beforeEach(async () => {
  scene = await startDepositScene({ isScreening: true });
  const { admin, id } = scene.simnet.network.instrument('amulet');
  desk = createDesk({
    db: scene.database.db,
    clock: systemClock,
    limits: new Map([[`${admin}/${id}`, parseAmount('100')]]),
    withdrawals: scene.withdrawals,
  });
});

afterEach(async () => {
  await scene.close();
});

async function offer(memo: string): Promise<{ readonly transferId: string; readonly arrive: () => Promise<void> }> {
  const instructionCid = scene.pay({ amount: '50', memo, kind: 'offer' }) ?? '';
  await scene.settled();
  const [transferId = ''] = await scene.transferIds();
  const arrive = async () => {
    scene.simnet.network.accept({ instructionCid });
    await scene.settled();
  };
  return { transferId, arrive };
}

/** Carol's memo is registered after the offer that names it, and the loop asks about her. */
async function offerOfCarol(): ReturnType<typeof offer> {
  const made = await offer('carol-memo');
  await scene.depositAccounts.create({ network: null, account: 'carol', memo: 'carol-memo', createdBy: 'support' });
  await askOfOffers();
  expect(await screening()).toEqual({ state: 'WAITING', account: 'carol', held: null });
  return made;
}

/** The loop finds an offer whose memo was registered after it. */
async function askOfOffers(): Promise<void> {
  const ending = new AbortController();
  const running = runScreening({
    db: scene.database.db,
    kind: depositScreening(scene.withdrawals),
    client: { ask: async () => await Promise.resolve({ kind: 'PENDING' }) },
    limits: { ...SCREENING_LIMITS, triesMax: 3 },
    clock: systemClock,
    random: systemRandom,
    logger: scene.database.logger,
    failpoint: noFailpoints,
    wakeUp: createWakeUp(systemClock),
    signal: ending.signal,
  });
  await eventually(async () => expect(await screening()).toMatchObject({ state: 'WAITING', held: null }));
  ending.abort();
  await running;
}

async function disable(memo: string): Promise<void> {
  const { db } = scene.database;
  const { id } = await db.selectFrom('deposit_account').select('id').where('memo', '=', memo).executeTakeFirstOrThrow();
  await createDepositAccountChanges({ db, clock: systemClock, random: systemRandom }).disable({ id, by: 'support' });
}

async function screening() {
  const { rows } = await sql`
    SELECT s.state, a.owner AS account, s.held::text FROM screening s JOIN account a ON a.id = s.account_id`.execute(
    scene.database.db,
  );
  return rows[0];
}

async function deskCase() {
  const { rows } = await sql`
    SELECT c.state, c.why, a.owner AS account, f.kind AS funds
    FROM desk_case c LEFT JOIN account a ON a.id = c.account_id LEFT JOIN account f ON f.id = c.funds_account_id`.execute(
    scene.database.db,
  );
  return rows[0];
}

const verdict = async (transferId: string, kind: 'ALLOW' | 'DENY', account: string) =>
  await scene.database.db
    .transaction()
    .execute(
      async (tx) =>
        await recordVerdict(
          tx,
          transferId,
          { kind, caseId: null, reason: null },
          { account, by: 'screening', refunds: scene.withdrawals, nowMicros: systemClock.nowMicros() },
        ),
    );

const assign = async (transferId: string, account: string) =>
  await desk.assign({ transferId, account, reason: 'ticket 9', by: 'support' });

describe('G1: the desk names somebody else than the memo did', () => {
  test('while the question waits: it is asked about him, and the old answer credits nobody', async () => {
    const { transferId, arrive } = await offerOfCarol();
    await assign(transferId, 'bob');
    expect(await screening()).toEqual({ state: 'WAITING', account: 'bob', held: null });
    await arrive();
    expect(await scene.balances()).toEqual({ 'HELD:bob': '50.0000000000' });

    expect(await verdict(transferId, 'ALLOW', 'carol')).toBe('NOT_ASKED');
    expect(await scene.balances()).toEqual({ 'HELD:bob': '50.0000000000' });
    expect(await verdict(transferId, 'ALLOW', 'bob')).toBe('RECORDED');
    await scene.settled();
    expect(await scene.balances()).toEqual({ 'CUSTOMER:bob': '50.0000000000' });
  });

  test('after the answer: what was allowed for her is no leave for him', async () => {
    const { transferId, arrive } = await offerOfCarol();
    await verdict(transferId, 'ALLOW', 'carol');
    await assign(transferId, 'bob');
    await arrive();

    expect(await screening()).toEqual({ state: 'WAITING', account: 'bob', held: '50.0000000000' });
    expect(await scene.balances()).toEqual({ 'HELD:bob': '50.0000000000' });
  });

  test('and an attribution without leave is refused by the database', async () => {
    const { transferId } = await offerOfCarol();
    const credit = async (owner: string) =>
      await sql`
        INSERT INTO attribution (transfer_id, account_id, decided_by, record_time)
        SELECT ${transferId}, id, 'support', 1 FROM account WHERE kind = 'CUSTOMER' AND owner = ${owner}`.execute(
        scene.database.db,
      );
    await expect(credit('carol')).rejects.toMatchObject({ code: 'DB_CONSTRAINT' });
    await verdict(transferId, 'ALLOW', 'carol');
    await expect(credit('bob')).rejects.toMatchObject({ code: 'DB_CONSTRAINT' });
    await credit('carol');
  });
});

describe('a memo is disabled while the question waits, and the offer is accepted elsewhere', () => {
  test('it is for people, and an answer that comes late changes nothing', async () => {
    const { transferId, arrive } = await offer('alice-memo');
    await disable('alice-memo');
    await arrive();
    expect(await deskCase()).toEqual({ state: 'OPEN', why: 'MEMO_DISABLED', account: null, funds: 'UNATTRIBUTED' });

    expect(await verdict(transferId, 'DENY', 'alice')).toBe('NOT_ASKED');
    await scene.settled();
    expect(await deskCase()).toEqual({ state: 'OPEN', why: 'MEMO_DISABLED', account: null, funds: 'UNATTRIBUTED' });
    // Whom people name the service has to allow.
    await assign(transferId, 'bob');
    await scene.settled();
    expect(await scene.balances()).toEqual({ 'HELD:bob': '50.0000000000' });
    await verdict(transferId, 'ALLOW', 'bob');
    await scene.settled();
    expect(await scene.balances()).toEqual({ 'CUSTOMER:bob': '50.0000000000' });
  });

  test.each(['DENY', 'ALLOW'] as const)(
    'and one that is still asked: %s leaves the money where it is',
    async (kind) => {
      const { transferId, arrive } = await offer('alice-memo');
      await disable('alice-memo');
      await arrive();
      // As a loop leaves it that saw the offer just before it was accepted.
      await sql`UPDATE screening SET state = 'WAITING', next_try_at = 0, decided_at = NULL, decided_by = NULL`.execute(
        scene.database.db,
      );

      expect(await verdict(transferId, kind, 'alice')).toBe('RECORDED');
      await scene.settled();
      const why = kind === 'DENY' ? 'DENIED' : 'MEMO_DISABLED';
      expect(await deskCase()).toEqual({ state: 'OPEN', why, account: null, funds: 'UNATTRIBUTED' });
      await assign(transferId, 'alice');
      await scene.settled();
      expect(await scene.balances()).toEqual(
        kind === 'DENY' ? { UNATTRIBUTED: '50.0000000000' } : { 'CUSTOMER:alice': '50.0000000000' },
      );
    },
  );

  test('sent back meanwhile: a late no breaks nothing', async () => {
    const { transferId, arrive } = await offer('alice-memo');
    await disable('alice-memo');
    await arrive();
    await desk.refund({ transferId, reason: 'the sender asks', by: 'support' });
    await sql`UPDATE screening SET state = 'WAITING', next_try_at = 0, decided_at = NULL, decided_by = NULL`.execute(
      scene.database.db,
    );

    expect(await verdict(transferId, 'DENY', 'alice')).toBe('RECORDED');
    expect(await deskCase()).toMatchObject({ state: 'REFUNDED', why: 'MEMO_DISABLED' });
    await scene.settled();
  });
});

describe('what was denied two people decide, whatever has become of it since', () => {
  test('its memo was disabled', async () => {
    const { transferId, arrive } = await offer('alice-memo');
    await verdict(transferId, 'DENY', 'alice');
    await disable('alice-memo');
    await arrive();

    const { decisionId } = await assign(transferId, 'alice');
    await scene.settled();
    expect(await deskCase()).toEqual({ state: 'OPEN', why: 'DENIED', account: null, funds: 'UNATTRIBUTED' });
    expect(await scene.balances()).toEqual({ UNATTRIBUTED: '50.0000000000' });
    await desk.approve({ decisionId, reason: 'a false alarm', by: 'head of compliance' });
    await scene.settled();
    expect(await scene.balances()).toEqual({ 'CUSTOMER:alice': '50.0000000000' });
  });

  test('the desk had named its owner', async () => {
    const { transferId, arrive } = await offer('nobody');
    await assign(transferId, 'alice');
    await verdict(transferId, 'DENY', 'alice');
    await expect(assign(transferId, 'alice')).rejects.toMatchObject({ code: 'OFFER_DENIED' });
    await arrive();

    await assign(transferId, 'alice');
    await scene.settled();
    expect(await deskCase()).toEqual({ state: 'OPEN', why: 'DENIED', account: null, funds: 'UNATTRIBUTED' });
    expect(await scene.balances()).toEqual({ UNATTRIBUTED: '50.0000000000' });
  });
});

test('what was asked for before the verdict is not approved after it: both people know of the no', async () => {
  const instructionCid = scene.pay({ amount: '101', memo: 'nobody', kind: 'offer' }) ?? '';
  await scene.settled();
  const [transferId = ''] = await scene.transferIds();
  await scene.depositAccounts.create({ network: null, account: 'bob', memo: 'nobody', createdBy: 'support' });
  const { decisionId } = await assign(transferId, 'bob');
  await askOfOffers();
  await verdict(transferId, 'DENY', 'bob');
  scene.simnet.network.accept({ instructionCid });
  await scene.settled();

  const approve = async (id: bigint) => await desk.approve({ decisionId: id, reason: 'agreed', by: 'lead' });
  await expect(approve(decisionId)).rejects.toMatchObject({ code: 'DECISION_OUTDATED' });
  await desk.refuse({ decisionId, reason: 'denied meanwhile', by: 'lead' });
  expect(await scene.balances()).toEqual({ 'HELD:bob': '101.0000000000' });
  await approve((await assign(transferId, 'bob')).decisionId);
  await scene.settled();
  expect(await scene.balances()).toEqual({ 'CUSTOMER:bob': '101.0000000000' });
});

describe('held, and derived anew without the transfer', () => {
  test('allowed: it is not credited, and parked for people', async () => {
    scene.pay({ amount: '50', memo: 'alice-memo' });
    await scene.settled();
    const [transferId = ''] = await scene.transferIds();
    await sql`DELETE FROM transfer WHERE id = ${transferId}`.execute(scene.database.db);

    expect(await verdict(transferId, 'ALLOW', 'alice')).toBe('PARKED');
    expect(await scene.balances()).toEqual({ 'HELD:alice': '50.0000000000' });
    expect(await screening()).toEqual({ state: 'PARKED', account: 'alice', held: '50.0000000000' });
  });

  test.each(['held', 'sent back'])('it opens a freeze as a credit does: %s', async (what) => {
    scene.pay({ amount: '50', memo: what === 'held' ? 'alice-memo' : 'nobody' });
    await scene.settled();
    const [transferId = ''] = await scene.transferIds();
    if (what !== 'held') await desk.refund({ transferId, reason: 'the sender asks', by: 'support' });
    const inDoubt = async () =>
      await scene.database.db.transaction().execute(async (tx) => await creditsWithoutTransfer(tx, [transferId]));
    expect(await inDoubt()).toEqual([]);
    await sql`DELETE FROM transfer WHERE id = ${transferId}`.execute(scene.database.db);
    expect(await inDoubt()).toEqual([transferId]);
  });
});
