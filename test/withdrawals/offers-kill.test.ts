/**
 * Offers come back once, whatever happens to the process: killed at every step of taking one back, two at a time, while the participant loses answers. What the treasury holds on the simulated ledger is the
 * truth: all of it, free.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { checkBooks } from '../../src/books/check-books.ts';
import { FAILPOINTS } from '../../src/env/failpoint.ts';
import { holdingsOf } from '../../src/simnet/network-commands.ts';
import type { AttemptLimits } from '../../src/submissions/attempts.ts';
import { eventually } from '../support/eventually.ts';
import { type OfferScene, startOfferScene } from '../support/offers.ts';

const POINTS = FAILPOINTS.filter((name) => name.startsWith('returns.') && name !== 'returns.afterLapse');
const LIMITS: AttemptLimits = {
  ttlMs: 8_000,
  recordTimeAgeMsMax: 600_000,
  recordTimeAheadMsMax: 600_000,
  attemptsMax: 100,
  triesMax: 20,
  tryHoldMs: 300,
};

let scene: OfferScene;
const children = new Set<ChildProcess>();
beforeEach(async () => {
  scene = await startOfferScene('offers kill');
});
afterEach(async () => {
  for (const child of children) {
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  }
  children.clear();
  await scene.stop();
});

function spawnPayer(environment: Record<string, string> = {}) {
  const payouts = {
    ingestion: {
      connectionString: scene.connectionString,
      ledgerUrl: scene.simnet.ledgerUrl(),
      catalog: scene.simnet.catalog,
      settings: { leaseTtlMs: 300 },
      idleInTransactionTimeoutMs: 2_000,
    },
    registries: scene.simnet.registries.map(({ admin, url }) => ({
      admin,
      instrumentId: null,
      source: { strategy: 'rotate', urls: [url] },
    })),
    limits: LIMITS,
  };
  const child = spawn(process.execPath, [`${import.meta.dirname}/../support/payout-child.ts`], {
    env: { ...process.env, ...environment, PAYOUTS: JSON.stringify(payouts) },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  children.add(child);
  return once(child, 'exit').then(([code, signal]: unknown[]) => {
    children.delete(child);
    return { code, signal };
  });
}

test('E1, E12, E13: returns killed at each of their steps bring every offer back once', {
  timeout: 120_000,
}, async () => {
  const count = POINTS.length;
  await scene.decide('usd', { returnFee: '0.5' });
  scene.fund('usd', count);
  const payouts = scene.start();
  for (let index = 0; index < count; index += 1) await scene.ask(`key-${index}`, 'usd', '6');
  await scene.become({ OFFERED: count });
  await payouts.stop();
  for (const { id } of await scene.rows()) await scene.cancel(id);
  scene.network.participant('participant1').faults.submissions.set({ loseExecuteAnswers: { share: 0.5 } });

  for (const point of POINTS) {
    const struck = await spawnPayer({ KILL_AT: `${point}:1` });
    expect({ point, ...struck }).toEqual({ point, code: null, signal: 'SIGKILL' });
  }
  void spawnPayer();
  void spawnPayer();
  await scene.become({ RETURNED: count }, 60_000);

  const holdings = holdingsOf(
    scene.network.ledger.contracts,
    scene.network.party('treasury'),
    scene.network.instrument('usd'),
  );
  expect(holdings.every(({ isLocked }) => !isLocked)).toBe(true);
  expect(scene.network.balance({ instrument: 'usd', owner: 'treasury' })).toBe(`${count * 10}.0000000000`);
  expect(scene.network.balance({ instrument: 'usd', owner: 'bob' })).toBe('0.0000000000');
  expect(await scene.balance('CUSTOMER', 'usd')).toBe(`${(-0.5 * count).toFixed(10)}`);
  expect(await scene.balance('WITHDRAWALS', 'usd')).toBe('0.0000000000');
  await eventually(async () => {
    expect(await scene.db.selectFrom('reservation').selectAll().where('is_open', '=', true).execute()).toEqual([]);
  });
  expect(await checkBooks(scene.db)).toEqual([]);
});
