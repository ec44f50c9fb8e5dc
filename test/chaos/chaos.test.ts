/**
 * Goal: nothing that happens to processes, connections, database or participant makes money appear, vanish or be told of wrongly. Method: one running system of real processes, faults one after the other, and after each
 * the network's own truth. `npm run prove` draws thousands of these; here each kind comes at least once, and the rest are blows to processes.
 */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { createSeededRandom } from '../../src/env/random.ts';
import { noteStruck } from '../support/struck.ts';
import { rounds } from '../support/tier.ts';
import { runRound } from './run.ts';
import { shortPlan } from './schedules.ts';
import { startWorld, type World } from './world.ts';

const SEED = 1;
const SCHEDULES = rounds(60, 240);
/** Between two moments of rest. */
const ROUND = 6;

let world: World;
let ran = 0;
let hasFailed = false;
const kinds = new Map<string, number>();

beforeAll(async () => {
  world = await startWorld({ seed: SEED, instances: 3, isScreening: false });
}, 180_000);

// What has failed once goes on failing, or waits in vain: a whole new world tells more than the rest of this one.
beforeEach(({ skip, onTestFailed }) => {
  if (hasFailed) skip('An earlier round failed.');
  onTestFailed(() => {
    hasFailed = true;
  });
});

afterAll(async () => {
  console.log(
    `chaos ${ran} of ${SCHEDULES} schedules, ${[...kinds].map(([kind, count]) => `${kind} ${count}`).join(', ')}`,
  );
  await world?.stop();
});

const plan = shortPlan(createSeededRandom(SEED), SCHEDULES);
const groups = Array.from({ length: Math.ceil(plan.length / ROUND) }, (_, index) =>
  plan.slice(index * ROUND, (index + 1) * ROUND),
);

test.each(groups.map((schedules, index) => [schedules.map(({ name }) => name).join(', '), index, schedules] as const))(
  'D1, D2, C1: %s',
  { timeout: 400_000 },
  async (_, index, schedules) => {
    const { struck, violations } = await runRound(world, schedules, {
      isFull: index % 5 === 4 || index === groups.length - 1,
    });

    expect(violations).toEqual([]);
    expect(struck).toHaveLength(schedules.length);
    for (const { kind, where } of struck) {
      ran += 1;
      kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
      if (kind === 'kill') noteStruck(where);
    }
  },
);
