/**
 * Runs schedules outside the test runner: `node test/simulation/run.ts --seed 17 --trace`, `--from 1 --count 1000`, `--off pause,crash` or `--on executeAtTarget` to narrow a failure down,
 * `--mutant name` with a mistake in the product. On the server of DATABASE_URL, or a throw-away one.
 */
import { parseArgs } from 'node:util';
import { openCrew } from './crew.ts';
import { createMarks } from './marks.ts';
import { withMigratedDatabases } from './scratch-database.ts';
import { saltOf, seedAt } from './seed-run.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    from: { type: 'string', default: '1' },
    count: { type: 'string', default: '100' },
    /** Other seeds for the same numbers (seed-run.ts); not with --seed. */
    salt: { type: 'string', default: saltOf(process.env) },
    off: { type: 'string', default: '' },
    on: { type: 'string', default: '' },
    trace: { type: 'boolean', default: false },
    /** Stops at the first violation. */
    first: { type: 'boolean', default: false },
    /** Processes side by side. */
    crew: { type: 'string', default: '2' },
    mutant: { type: 'string', default: '' },
    /** Nothing else runs here. */
    alone: { type: 'boolean', default: false },
  },
});

const from = Number(values.seed ?? values.from);
const count = values.seed === undefined ? Number(values.count) : 1;
const namesIn = (list: string) => list.split(',').filter((name) => name !== '');
const common = { on: namesIn(values.on), off: namesIn(values.off), isTraced: values.trace };
const orders = Array.from({ length: count }, (_, index) => ({
  ...common,
  seed: seedAt(from + index, values.seed === undefined ? values.salt : ''),
}));

await withMigratedDatabases(Math.min(Number(values.crew), count), async (connectionStrings) => {
  const crew = await openCrew(connectionStrings, { mutant: values.mutant, isAlone: values.alone });
  const marks = createMarks();
  const startedAt = performance.now();
  let failures = 0;
  let steps = 0;
  let done = 0;
  await crew.run(orders, (result) => {
    done += 1;
    steps += result.steps;
    for (const [mark, times] of result.marks) marks.add(mark, times);
    if (result.trace !== null) console.log(result.trace);
    if (result.violation === null) return true;
    failures += 1;
    console.log(result.violation.explanation);
    return !values.first;
  });
  const seconds = (performance.now() - startedAt) / 1_000;
  await crew.close();
  console.log(
    `${done} schedules, ${failures} violations, ${steps} steps, ${seconds.toFixed(1)} s, ${(done / seconds).toFixed(1)} schedules/s`,
  );
  if (values.seed === undefined)
    for (const [mark, times] of [...marks.counts()].sort()) console.log(`  ${times} ${mark}`);
  if (failures > 0) process.exitCode = 1;
});
