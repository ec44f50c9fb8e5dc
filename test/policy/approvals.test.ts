/**
 * Nobody pays without the people the policy names: not twice the same one, not who asked for it, not for something else, not too late. Each is tried through the code that serves people, and around it, straight in the
 * database.
 */
import fc from 'fast-check';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { personOf } from '../../src/env/person.ts';
import { intentHash } from '../../src/policy/intent.ts';
import { parseAmount } from '../../src/tokens/amount.ts';
import { applyWithdrawalEvent } from '../../src/withdrawals/withdrawal-store.ts';
import { AMULET, HOUR, type PolicyScene, peopleFor, RECEIVER, startPolicyScene, TREASURY } from './scene.ts';

let scene: PolicyScene;

beforeAll(async () => {
  scene = await startPolicyScene();
  await scene.setPolicy(peopleFor(2));
});

afterAll(async () => {
  await scene.database.close();
});

const approve = async (withdrawalId: string, by: string, intentHash?: string) =>
  await scene.approvals
    .approve({ withdrawalId, by, why: 'looked at it', intentHash: intentHash ?? (await scene.hashOf(withdrawalId)) })
    .then(({ isReplayed }) => (isReplayed ? 'REPLAYED' : 'DONE'))
    .catch((error: { code: string }) => error.code);

/** Straight in the database, as code that forgot every rule would. */
const insert = async (
  withdrawalId: string,
  by: string,
  { hash = '', verdict = 1, at = scene.clock.nowMicros() } = {},
) =>
  await sql`
    INSERT INTO withdrawal_approval (withdrawal_id, verdict, decision, intent_hash, decided_by, decided_at, expires_at, why)
    VALUES (${withdrawalId}, ${verdict}, 'APPROVE', ${hash === '' ? sql`withdrawal_intent_hash(${withdrawalId})` : sql`decode(${hash}, 'hex')`},
      ${by}, ${at}, ${at + HOUR}, 'around the code')`
    .execute(scene.db)
    .then(() => 'DONE')
    .catch((error: { code: string }) => error.code);

const queue = async (withdrawalId: string) =>
  await scene.db
    .transaction()
    .execute(
      async (tx) =>
        await applyWithdrawalEvent(tx, withdrawalId, { kind: 'APPROVED' }, { nowMicros: scene.clock.nowMicros() }),
    )
    .then(() => 'DONE')
    .catch((error: { code: string }) => error.code);

describe('S4: a withdrawal that people have to approve', () => {
  test('waits without any funds, goes on with the last approval, and is told of', async () => {
    const id = await scene.request();
    expect(await scene.stateOf(id)).toBe('AWAITING_APPROVAL');

    expect(await approve(id, 'bob')).toBe('DONE');
    expect(await scene.stateOf(id)).toBe('AWAITING_APPROVAL');
    expect(await approve(id, 'carol')).toBe('DONE');

    expect(await scene.stateOf(id)).toBe('QUEUED');
    const { rows } = await sql<{ change: string }>`
      SELECT payload ->> 'change' AS change FROM (SELECT seq, payload FROM event_outbox WHERE type = 'withdrawal.approval' AND subject = ${id}) AS told
      ORDER BY seq`.execute(scene.db);
    expect(rows.map(({ change }) => change)).toEqual(['ASKED', 'APPROVED', 'APPROVED', 'GRANTED']);
    const reserved = await scene.db.selectFrom('reservation').select('contract_id').execute();
    expect(reserved).toEqual([]);
  });

  test('ends with one refusal, booked back', async () => {
    const id = await scene.request();
    await approve(id, 'bob');

    await scene.approvals.refuse({ withdrawalId: id, by: 'carol', why: 'a mule', intentHash: await scene.hashOf(id) });

    const row = await scene.rowOf(id);
    expect(row).toMatchObject({ state: 'REJECTED', failure_code: 'APPROVAL_REFUSED', failure_detail: 'carol: a mule' });
    expect(await scene.bookedBack(id)).toBe(true);
    expect(await approve(id, 'dave')).toBe('NOT_AWAITING');
  });

  test('that is cancelled meanwhile is over for those who were asked, and they are told', async () => {
    const id = await scene.request();
    await approve(id, 'bob');
    expect(await scene.withdrawals.cancel('exchange', id)).toBe(true);

    expect(await scene.stateOf(id)).toBe('CANCELLED');
    expect(await scene.withdrawals.cancel('exchange', id)).toBe(false);
    const { rows } = await sql<{ change: string; by: string }>`
      SELECT payload ->> 'change' AS change, payload ->> 'by' AS by FROM event_outbox WHERE type = 'withdrawal.approval' AND subject = ${id}
      ORDER BY seq`.execute(scene.db);
    expect(rows.map(({ change, by }) => [change, by])).toEqual([
      ['ASKED', 'policy'],
      ['APPROVED', 'bob'],
      ['CANCELLED', 'exchange'],
    ]);
  });

  test('is approved through a replica whose clock is behind that of the one which asked', async () => {
    const id = await scene.request();
    scene.advance(-20_000_000n);

    expect(await approve(id, 'bob')).toBe('DONE');
    expect(await approve(id, 'carol')).toBe('DONE');
    expect(await scene.stateOf(id)).toBe('QUEUED');
  });

  test('counts no approval for longer than the policy says because the clock of whoever asked was ahead', async () => {
    const id = await scene.request();
    scene.advance(-2n * HOUR);
    expect(await approve(id, 'bob')).toBe('DONE');
    scene.advance(24n * HOUR);

    expect(await approve(id, 'carol')).toBe('DONE');
    expect(await scene.stateOf(id)).toBe('AWAITING_APPROVAL');
  });

  test('that nobody approves in time ends as APPROVAL_EXPIRED, and an approval a moment late is refused', async () => {
    const [byLoop, byPerson] = [await scene.request(), await scene.request()];
    await approve(byLoop, 'bob');
    scene.advance(24n * HOUR);

    expect(await approve(byPerson, 'bob')).toBe('APPROVAL_EXPIRED');
    await scene.pass();

    for (const id of [byLoop, byPerson]) {
      expect(await scene.rowOf(id)).toMatchObject({ state: 'REJECTED', failure_code: 'APPROVAL_EXPIRED' });
      expect(await scene.bookedBack(id)).toBe(true);
    }
  });

  test('whose approvals run out in the queue is not paid before the same people say it again', async () => {
    const id = await scene.request();
    await approve(id, 'bob');
    await approve(id, 'carol');
    scene.advance(25n * HOUR);
    await scene.pass();

    const leave = async () =>
      (
        await sql<{
          leave: string;
        }>`SELECT policy_leave(id, verdict, network_id, NULL) AS leave FROM withdrawal WHERE id = ${id}`.execute(
          scene.db,
        )
      ).rows[0]?.leave;
    expect(await scene.stateOf(id)).toBe('QUEUED');
    expect(await leave()).toBe('APPROVALS');
    expect(await approve(id, 'bob')).toBe('DONE');
    expect(await leave()).toBe('APPROVALS');
    expect(await approve(id, 'carol')).toBe('DONE');
    expect(await leave()).toBe('GIVEN');
  });
});

describe('Z20, S10: approvals are counted per person, and never of who asked', () => {
  const names = fc.constantFrom(
    'exchange',
    'exchange/backup',
    'EXCHANGE/x',
    'bob',
    'bob/laptop',
    'Bob/phone',
    'carol',
    'carol/home',
  );

  test('Z20: of any two keys, exactly those of two people who did not ask let it go on', async () => {
    await fc.assert(
      fc.asyncProperty(names, names, fc.boolean(), async (first, second, isAroundTheCode) => {
        const id = await scene.request();
        const say = isAroundTheCode ? insert : approve;

        await say(id, first);
        await say(id, second);
        await queue(id);

        const people = new Set([personOf(first), personOf(second)].filter((person) => person !== 'exchange'));
        expect(await scene.stateOf(id)).toBe(people.size === 2 ? 'QUEUED' : 'AWAITING_APPROVAL');
      }),
      { numRuns: 40 },
    );
  });

  test('Z20: the requester, his other keys and a second word are refused with a reason', async () => {
    const id = await scene.request({ client: 'mallory/laptop' });

    expect(await approve(id, 'mallory/phone')).toBe('SAME_PERSON');
    expect(await approve(id, 'bob')).toBe('DONE');
    expect(await approve(id, 'bob/phone')).toBe('REPLAYED');
    expect(await insert(id, 'bob/phone')).toBe('DB_CONSTRAINT');
    expect(await insert(id, 'mallory')).toBe('DB_CONSTRAINT');
    expect(await queue(id)).toBe('DB_CONSTRAINT');
  });

  test('S10: an approval, a verdict or a proposal is never changed or deleted', async () => {
    const id = await scene.request();
    await approve(id, 'bob');
    for (const table of ['withdrawal_approval', 'policy_verdict', 'policy_proposal', 'policy_version']) {
      await expect(sql`DELETE FROM ${sql.table(table)}`.execute(scene.db)).rejects.toThrow('never changed or deleted');
    }
    await expect(
      sql`UPDATE withdrawal_approval SET decided_by = 'carol' WHERE withdrawal_id = ${id}`.execute(scene.db),
    ).rejects.toThrow('never changed or deleted');
  });
});

describe('Z21: an approval is of one intent', () => {
  test('Z21: no field of a withdrawal that was judged can be changed, not by a blank', async () => {
    const id = await scene.request({ memo: 'Bob 7' });
    await approve(id, 'bob');
    const changed = [
      sql`receiver = receiver || ' '`,
      sql`memo = memo || ' '`,
      sql`memo = NULL`,
      sql`amount = amount + 0.0000000001`,
      sql`deadline = 1`,
      sql`client = 'bob'`,
      sql`account_id = account_id + 1`,
      sql`treasury_id = treasury_id + 1`,
      sql`instrument_id = instrument_id + 1`,
      sql`verdict = 0`,
    ];
    for (const change of changed) {
      await expect(sql`UPDATE withdrawal SET ${change} WHERE id = ${id}`.execute(scene.db)).rejects.toThrow(
        'A withdrawal that was judged is not made another one.',
      );
    }
  });

  test('Z21: what is changed behind its back voids the approvals, and a hash of something else is refused', async () => {
    const id = await scene.request({ account: 'renamed' });
    const before = await scene.hashOf(id);
    await approve(id, 'bob');
    await sql`UPDATE account SET owner = 'somebody else' WHERE owner = 'renamed'`.execute(scene.db);

    expect(await approve(id, 'carol', before)).toBe('INTENT_CHANGED');
    expect(await approve(id, 'carol')).toBe('DONE');
    expect(await queue(id)).toBe('DB_CONSTRAINT');
    expect(await scene.stateOf(id)).toBe('AWAITING_APPROVAL');
  });

  test('Z21: the hash that the database makes is the one that approvers can make', async () => {
    const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 30 }).filter((value) => {
      const bytes = Buffer.byteLength(value);
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they are refused of a request.
      return bytes <= 255 && value.isWellFormed() && !/[\u0000-\u001f\u007f\ufffd]/.test(value);
    });
    await fc.assert(
      fc.asyncProperty(text, fc.option(text), fc.bigInt(1n, 10n ** 30n), async (account, memo, units) => {
        const amount = `${units / 10n ** 10n}.${(units % 10n ** 10n).toString().padStart(10, '0')}`;
        const id = await scene.request({ account, memo, amount });
        const own = intentHash({
          withdrawalId: id,
          network: 'testnet',
          treasuryParty: TREASURY,
          accountKind: 'CUSTOMER',
          account,
          instrument: AMULET,
          receiver: RECEIVER,
          amount: parseAmount(amount),
          memo,
          deadline: null,
        });
        expect(`1:${own.toString('hex')}`).toBe(await scene.hashOf(id));
      }),
      { numRuns: 30 },
    );
  });
});

describe('Z22: an approval is of one withdrawal, for a time', () => {
  test('Z22: the hash of another withdrawal, even of a twin, approves nothing', async () => {
    const [one, twin] = [await scene.request({ memo: 'same' }), await scene.request({ memo: 'same' })];

    expect(await approve(twin, 'bob', await scene.hashOf(one))).toBe('INTENT_CHANGED');
    expect(await insert(twin, 'bob', { hash: (await scene.hashOf(one)).slice(2) })).toBe('DB_CONSTRAINT');
  });

  test('Z22: neither before it was asked for, nor after it ran out, nor for another question', async () => {
    const id = await scene.request();
    const now = scene.clock.nowMicros();

    expect(await insert(id, 'bob', { at: now - 1n })).toBe('DB_CONSTRAINT');
    expect(await insert(id, 'bob', { at: now + 24n * HOUR })).toBe('DB_CONSTRAINT');
    expect(await insert(id, 'bob', { verdict: 2 })).toBe('DB_CONSTRAINT');
  });
});

test('S10: no code queues what was never approved, nor gives it an attempt', async () => {
  const id = await scene.request();

  expect(await queue(id)).toBe('DB_CONSTRAINT');
  for (const state of ['QUEUED', 'IN_FLIGHT']) {
    await expect(sql`UPDATE withdrawal SET state = ${state} WHERE id = ${id}`.execute(scene.db)).rejects.toThrow(
      'has not the leave of the policy',
    );
  }
});
