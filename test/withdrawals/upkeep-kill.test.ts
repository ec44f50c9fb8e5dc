/**
 * What a treasury does for itself survives its process: killed at every step of a transfer to itself, and at the moment at which an attempt of any kind is found to be dead. What the network says the treasury and the payees
 * hold is the truth: nothing is paid twice, nothing is lost, and what lapsed is done anew.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { checkBooks } from '../../src/books/check-books.ts';
import { FAILPOINTS, type FailpointName } from '../../src/env/failpoint.ts';
import { holdingsOf } from '../../src/simnet/network-commands.ts';
import type { AttemptLimits } from '../../src/submissions/attempts.ts';
import { eventually } from '../support/eventually.ts';
import { type OfferScene, startOfferScene } from '../support/offers.ts';

const STEPS = FAILPOINTS.filter((name) => name.startsWith('selfTransfers.') && name !== 'selfTransfers.afterLapse');
const LAPSES: readonly FailpointName[] = ['selfTransfers.afterLapse', 'withdrawals.afterLapse', 'returns.afterLapse'];
const LIMITS: AttemptLimits = {
  ttlMs: 60_000, // None lapses that is not to.
  recordTimeAgeMsMax: 600_000,
  recordTimeAheadMsMax: 600_000,
  attemptsMax: 100,
  triesMax: 100,
  tryHoldMs: 300,
};
const SHORT: AttemptLimits = { ...LIMITS, ttlMs: 4_000 };
const PATIENCE = { deadlineMs: 60_000, intervalMs: 100 };

let scene: OfferScene;
const children = new Set<ChildProcess>();
beforeEach(async () => {
  scene = await startOfferScene('upkeep kill');
});
afterEach(async () => {
  for (const child of children) {
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  }
  children.clear();
  await scene.stop();
});

function spawnPayer(limits: AttemptLimits, killAt?: FailpointName) {
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
    limits,
  };
  const child = spawn(process.execPath, [`${import.meta.dirname}/../support/payout-child.ts`], {
    env: {
      ...process.env,
      PAYOUTS: JSON.stringify(payouts),
      ...(killAt !== undefined && { KILL_AT: `${killAt}:1` }),
    },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  children.add(child);
  return once(child, 'exit').then(([code, signal]: unknown[]) => {
    children.delete(child);
    return { code, signal };
  });
}

async function expectStruck(limits: AttemptLimits, point: FailpointName): Promise<void> {
  expect({ point, ...(await spawnPayer(limits, point)) }).toEqual({ point, code: null, signal: 'SIGKILL' });
}

async function keepPool(count: number, amount: string): Promise<void> {
  await sql`
    INSERT INTO pool_target (treasury_id, instrument_id, holdings_count, holding_amount, inputs_max, changed_at, changed_by)
    VALUES (${scene.treasury.id}, ${await scene.instrumentKey('amulet')}, ${count}, ${amount}, 10, 0, 'test')`.execute(
    scene.db,
  );
}

async function states(table: 'withdrawal' | 'self_transfer'): Promise<Record<string, number>> {
  const { rows } = await sql<{ state: string; count: number }>`
    SELECT state, count(*)::int AS count FROM ${sql.table(table)} GROUP BY 1`.execute(scene.db);
  return Object.fromEntries(rows.map(({ state, count }) => [state, count]));
}

const amuletsOf = (owner: string): readonly bigint[] =>
  holdingsOf(scene.network.ledger.contracts, scene.network.party(owner), scene.network.instrument('amulet'))
    .map(({ amountUnits }) => amountUnits)
    .toSorted((left, right) => (left < right ? -1 : 1));

async function expectAtRest(): Promise<void> {
  await eventually(async () => {
    expect(await scene.db.selectFrom('attempt').select('number').where('state', '=', 'OPEN').execute()).toEqual([]);
    expect(await scene.db.selectFrom('reservation').selectAll().where('is_open', '=', true).execute()).toEqual([]);
  }, PATIENCE);
  expect(await checkBooks(scene.db)).toEqual([]);
}

test('D1, E7: a transfer to ourselves that is killed at each of its steps happens once', {
  timeout: 120_000,
}, async () => {
  scene.fund('amulet', 1, '100');
  await keepPool(2, '50');

  for (const point of STEPS) await expectStruck(LIMITS, point);
  void spawnPayer(LIMITS);
  await eventually(async () => expect(await states('self_transfer')).toEqual({ DONE: 1 }), PATIENCE);

  expect(amuletsOf('treasury')).toEqual([500_000_000_000n, 500_000_000_000n]);
  await expectAtRest();
});

test('D1, E2: killed where a withdrawal, a return and a transfer to ourselves lapse, each is done anew and once', {
  timeout: 120_000,
}, async () => {
  const { network } = scene;
  await scene.decide('usd', {});
  scene.fund('usd', 1);
  const payouts = scene.start();
  const offered = await scene.ask('offered', 'usd', '6');
  await scene.become({ OFFERED: 1 });
  await payouts.stop();
  // Nothing that is signed from now on reaches the ledger.
  const { submissions } = network.participant('participant1').faults;
  submissions.set({ dropExecutes: { share: 1 } });
  await scene.cancel(offered);
  network.preapprove({ instrument: 'amulet', receiver: 'bob' });
  scene.fund('amulet', 1, '100');
  scene.fund('amulet', 1, '7');
  await keepPool(2, '50');
  await scene.ask('direct', 'amulet', '6');

  for (const point of LAPSES) await expectStruck(SHORT, point);
  submissions.clear();
  void spawnPayer(LIMITS);
  await scene.become({ RETURNED: 1, COMPLETED: 1 }, 60_000);

  const split = [10_000_000_000n, 500_000_000_000n, 500_000_000_000n];
  await eventually(() => expect(amuletsOf('treasury')).toEqual(split), PATIENCE);
  expect(amuletsOf('bob')).toEqual([60_000_000_000n]);
  expect(network.balance({ instrument: 'usd', owner: 'treasury' })).toBe('10.0000000000');
  await expectAtRest();
  const lapsed = await sql`
    SELECT DISTINCT s.purpose FROM attempt a JOIN submission s ON s.id = a.submission_id WHERE a.state = 'LAPSED' ORDER BY 1`.execute(
    scene.db,
  );
  expect(lapsed.rows).toEqual([{ purpose: 'OFFER_WITHDRAW' }, { purpose: 'SELF_TRANSFER' }, { purpose: 'WITHDRAWAL' }]);
});
