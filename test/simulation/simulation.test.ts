/**
 * Seeded schedules of the real code under virtual time (schedule.ts). A violation names the seed and how to replay it.
 *
 *     SIMULATION_SEEDS=1000 npx vitest run test/simulation     more of them
 *     SIMULATION_FROM=5000                                     others
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { createMarks } from './marks.ts';
import { regressionSeeds } from './regressions.ts';
import { explain } from './report.ts';
import { openSimulation, type Simulation } from './schedule.ts';

/** Half a minute on two cores that have other work. */
const SEEDS = Number(process.env['SIMULATION_SEEDS'] ?? 20);
const FROM = Number(process.env['SIMULATION_FROM'] ?? 1);
const SECONDS_PER_SEED_MAX = 8;

/** What any twenty schedules meet. One that is missing means that the harness no longer reaches what it was built to reach. */
const ALWAYS_MET = [
  'answer of a commit lost',
  'answer of a statement lost',
  'connection cut',
  'crash after a statement',
  'crash before a statement',
  'lock timeout',
  'process crashed',
  'process gave up and was restarted',
  'process paused',
  'server noticed a lost client late',
  'statement refused',
  'statement waited for a lock',
  'stream torn',
  'message delivered twice',
  'execute carried out, unanswered',
  'execute sequenced late',
  'execute sequenced twice',
  'executed in trouble',
  'registry says offer',
  'withdrawal called off',
  'withdrawal request replayed',
  'The stream will be resumed. STREAM_TAKEN_OVER',
];

let database: TestDatabase;
let simulation: Simulation;

beforeAll(async () => {
  database = await createTestDatabase();
  simulation = await openSimulation(database.connectionString);
});

afterAll(async () => {
  await simulation.close();
  await database.close();
});

test(`${SEEDS} schedules keep every invariant`, { timeout: (SEEDS + 10) * SECONDS_PER_SEED_MAX * 1_000 }, async () => {
  const marks = createMarks();
  const startedAt = performance.now();
  const seeds = [...(await regressionSeeds()), ...Array.from({ length: SEEDS }, (_, index) => FROM + index)];
  let steps = 0;
  for (const seed of seeds) {
    const report = await simulation.run(seed, marks);
    steps += report.steps;
    expect(report.violation, explain(report)).toBeNull();
  }
  const seconds = (performance.now() - startedAt) / 1_000;
  console.log(
    `${seeds.length} schedules, ${steps} steps, ${(seeds.length / seconds).toFixed(1)} schedules/s; zero violations bound the chance of one per schedule below ${((3 / seeds.length) * 100).toFixed(1)} % (95 %).`,
  );
  if (SEEDS >= 20 && FROM === 1)
    for (const mark of ALWAYS_MET) expect(marks.counts().get(mark) ?? 0, mark).toBeGreaterThan(0);
});

// Which of two statements finds a deadlock first is the server's choice, by real milliseconds: on a machine that is starved it may choose otherwise once.
test('the same seed gives the same schedule and the same event log', { timeout: 240_000, retry: 2 }, async () => {
  for (const seed of [3, 7, 12]) {
    const first = await simulation.run(seed, createMarks());
    await simulation.run(seed + 1, createMarks());
    const second = await simulation.run(seed, createMarks());

    expect(second.traceHash, `seed ${seed}`).toBe(first.traceHash);
    expect(second.logHash, `seed ${seed}`).toBe(first.logHash);
    expect(first.logHash).not.toBe('');
  }
});
