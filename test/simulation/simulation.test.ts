/**
 * Seeded schedules of the real code under virtual time (schedule.ts), in two processes. A violation names the seed and how to replay it.
 *
 *     SIMULATION_SEEDS=5000 npx vitest run test/simulation/simulation.test.ts    more of them
 *     SIMULATION_FROM=5000                                                       others
 *     SIMULATION_SALT=$(git rev-parse HEAD)                                      others again, for every salt its own
 */
import { expect, test } from 'vitest';
import { noteStruck } from '../support/struck.ts';
import { rounds } from '../support/tier.ts';
import { openCrew, type SeedOrder } from './crew.ts';
import { createMarks } from './marks.ts';
import { ALWAYS_MET } from './met.ts';
import { regressionSeeds } from './regressions.ts';
import { withMigratedDatabases } from './scratch-database.ts';
import { saltOf, seedAt } from './seed-run.ts';

const SEEDS = Number(process.env['SIMULATION_SEEDS'] ?? rounds(1_000, 5_000));
const FROM = Number(process.env['SIMULATION_FROM'] ?? 1);
const SALT = saltOf(process.env);
const SECONDS_PER_SEED_MAX = 8;
const PROCESSES = 2;
/** Stands before the name of a failpoint, in a mark. */
const KILLED = 'crash at ';
/** As many seeds as meet all of {@link ALWAYS_MET}. */
const SEEDS_THAT_MEET_ALL = 500;

const orderOf = (seed: number): SeedOrder => ({ seed, on: [], off: [], isTraced: false });

test(`${SEEDS} schedules keep every invariant`, { timeout: (SEEDS + 60) * SECONDS_PER_SEED_MAX * 1_000 }, async () => {
  const marks = createMarks();
  const seeds = [
    ...(await regressionSeeds()),
    ...Array.from({ length: SEEDS }, (_, index) => seedAt(FROM + index, SALT)),
  ];
  const violations: string[] = [];
  let steps = 0;
  let seconds = 0;

  await withMigratedDatabases(PROCESSES, async (databases) => {
    const crew = await openCrew(databases, { isAlone: true });
    const startedAt = performance.now();
    await crew.run(seeds.map(orderOf), (result) => {
      steps += result.steps;
      for (const [mark, times] of result.marks) {
        marks.add(mark, times);
        if (mark.startsWith(KILLED)) noteStruck(mark.slice(KILLED.length));
      }
      if (result.violation !== null) violations.push(result.violation.explanation);
      return violations.length === 0;
    });
    seconds = (performance.now() - startedAt) / 1_000;
    await crew.close();
  });

  expect(violations.join('\n')).toBe('');
  console.log(
    `${seeds.length} schedules, ${steps} steps, ${(seeds.length / seconds).toFixed(1)} schedules/s; zero violations bound the chance of one per schedule below ${((3 / seeds.length) * 100).toFixed(2)} % (95 %).`,
  );
  if (SEEDS >= SEEDS_THAT_MEET_ALL && FROM === 1)
    expect(ALWAYS_MET.filter((mark) => (marks.counts().get(mark) ?? 0) === 0)).toEqual([]);
});

test('the same seed gives the same schedule and the same event log', { timeout: 240_000 }, async () => {
  await withMigratedDatabases(PROCESSES, async (databases) => {
    const crew = await openCrew(databases);
    const results = new Map<number, { traceHash: string; logHash: string }[]>();
    await crew.run([3, 7, 12, 4, 8, 13, 3, 7, 12].map(orderOf), ({ seed, traceHash, logHash }) => {
      results.set(seed, [...(results.get(seed) ?? []), { traceHash, logHash }]);
      return true;
    });
    await crew.close();

    for (const seed of [3, 7, 12]) {
      const [first, second] = results.get(seed) ?? [];
      expect(second, `seed ${seed}`).toEqual(first);
      expect(first?.logHash, `seed ${seed}`).not.toBe('');
    }
  });
});
