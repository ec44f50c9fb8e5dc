/**
 * Runs schedules outside the test runner: `node test/simulation/run.ts --seed 17 --trace`, `--from 1 --count 1000`, `--off pause,crash` or `--on executeAtTarget` to narrow a failure down.
 * On the server of DATABASE_URL, or a throw-away one.
 */
import { parseArgs } from 'node:util';
import { createMarks } from './marks.ts';
import { explain, replayed } from './report.ts';
import { openSimulation } from './schedule.ts';
import { withMigratedDatabase } from './scratch-database.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    from: { type: 'string', default: '1' },
    count: { type: 'string', default: '100' },
    off: { type: 'string', default: '' },
    on: { type: 'string', default: '' },
    trace: { type: 'boolean', default: false },
    /** Stops at the first violation. */
    first: { type: 'boolean', default: false },
  },
});

const from = Number(values.seed ?? values.from);
const count = values.seed === undefined ? Number(values.count) : 1;
const namesIn = (list: string) => new Set(list.split(',').filter((name) => name !== ''));
const switches = { on: namesIn(values.on), off: namesIn(values.off) };

await withMigratedDatabase(async (connectionString) => {
  const marks = createMarks();
  const simulation = await openSimulation(connectionString);
  const startedAt = performance.now();
  let failures = 0;
  let steps = 0;
  let done = 0;
  try {
    for (let seed = from; seed < from + count; seed += 1) {
      const report = await simulation.run(seed, marks, switches);
      done += 1;
      steps += report.steps;
      if (report.violation !== null) {
        failures += 1;
        console.log(explain(report));
        if (values.first) break;
      }
      if (values.trace) console.log(replayed(report));
    }
  } finally {
    await simulation.close();
  }
  const seconds = (performance.now() - startedAt) / 1_000;
  console.log(
    `${done} schedules, ${failures} violations, ${steps} steps, ${seconds.toFixed(1)} s, ${(done / seconds).toFixed(1)} schedules/s`,
  );
  if (values.seed === undefined)
    for (const [mark, times] of [...marks.counts()].sort()) console.log(`  ${times} ${mark}`);
  if (failures > 0) process.exitCode = 1;
});
