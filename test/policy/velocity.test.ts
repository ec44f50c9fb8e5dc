/** However many ask at once, what a velocity limits is never exceeded, and what fits is taken. */
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { rounds } from '../support/tier.ts';
import { HOUR, type PolicyScene, startPolicyScene } from './scene.ts';

let scene: PolicyScene;

beforeEach(async () => {
  scene = await startPolicyScene();
});

afterEach(async () => {
  await scene.database.close();
});

const policy = (velocity: unknown) => ({
  change: { approvals: 1, delaySeconds: 3_600 },
  approvalSeconds: 3_600,
  otherwise: 'ALLOW',
  rules: [{ name: 'velocity', when: { velocity }, outcome: 'DENY' }],
});

/** Forty at any time: with more, most would only wait for a connection. */
async function all(count: number, one: (number: number) => Promise<unknown>) {
  let next = 0;
  const worker = async () => {
    while (next < count) {
      const number = next;
      next += 1;
      await one(number);
    }
  };
  await Promise.all(Array.from({ length: 40 }, worker));
}

const taken = async () => {
  const { rows } = await sql<{ count: number; sum: string }>`
    SELECT count(*)::int AS count, coalesce(sum(amount::numeric), 0)::text AS sum FROM withdrawal WHERE state = 'QUEUED'`.execute(
    scene.db,
  );
  return rows[0];
};

const REQUESTS = rounds(200, 1_000);

test(`S10: ${REQUESTS} requests at once take exactly the sum that an account may take`, async () => {
  await scene.setPolicy(policy({ per: 'ACCOUNT', windowSeconds: 86_400, sumAbove: String(REQUESTS) }));

  await all(REQUESTS, async () => await scene.request({ amount: '7.5' }));

  const count = Math.floor(REQUESTS / 7.5); // As many as fit.
  expect(await taken()).toEqual({ count, sum: (count * 7.5).toFixed(10) });
}, 120_000);

test('accounts, receivers and the whole instrument are counted at once, each by its own limit, and nobody waits for ever', async () => {
  await scene.setPolicy({
    ...policy({}),
    rules: [
      { name: 'account', when: { velocity: { per: 'ACCOUNT', windowSeconds: 60, countAbove: 3 } }, outcome: 'DENY' },
      { name: 'receiver', when: { velocity: { per: 'RECEIVER', windowSeconds: 60, countAbove: 5 } }, outcome: 'DENY' },
      { name: 'all', when: { velocity: { per: 'INSTRUMENT', windowSeconds: 60, countAbove: 12 } }, outcome: 'DENY' },
    ],
  });
  const receiverOf = (number: number) => `r${number % 5}::1220${'ab'.repeat(32)}`;

  await all(
    120,
    async (number) => await scene.request({ account: `account ${number % 7}`, receiver: receiverOf(number) }),
  );

  const most = async (column: string) =>
    (
      await sql<{ most: number }>`
        SELECT max(count)::int AS most FROM (SELECT count(*) FROM withdrawal WHERE state = 'QUEUED' GROUP BY ${sql.ref(column)}) AS per`.execute(
        scene.db,
      )
    ).rows[0]?.most;
  expect((await taken())?.count).toBe(12);
  expect(await most('account_id')).toBeLessThanOrEqual(3);
  expect(await most('receiver')).toBeLessThanOrEqual(5);
}, 60_000);

test('the window rolls, and what ended unpaid or is another instrument’s does not count', async () => {
  await scene.setPolicy(policy({ per: 'ACCOUNT', windowSeconds: 3_600, sumAbove: '10', countAbove: 2 }));
  const other = { admin: 'DSO::1220aa', id: 'Other' };
  await scene.rows.instrument('Other');

  expect(await scene.stateOf(await scene.request({ amount: '10' }))).toBe('QUEUED');
  const second = await scene.request({ amount: '0.0000000001' });
  expect(await scene.rowOf(second)).toMatchObject({ state: 'REJECTED', failure_code: 'POLICY_DENIED' });
  expect((await scene.rowOf(second)).failure_detail).toContain('more than 10.0000000000');
  expect(await scene.stateOf(await scene.request({ instrument: other, amount: '10' }))).toBe('QUEUED');
  expect(await scene.stateOf(await scene.request({ account: 'bob', amount: '10' }))).toBe('QUEUED');

  scene.advance(HOUR - 1n);
  expect(await scene.stateOf(await scene.request({ amount: '1' }))).toBe('REJECTED');
  scene.advance(1n);
  const next = await scene.request({ amount: '9' });
  expect(await scene.stateOf(next)).toBe('QUEUED');
  expect(await scene.withdrawals.cancel('exchange', next)).toBe(true);
  expect(await scene.stateOf(await scene.request({ amount: '10' }))).toBe('QUEUED');
});
