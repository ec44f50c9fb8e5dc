/** The simulation, from the first index that was never run. */

import { withMigratedDatabases } from '../../test/simulation/scratch-database.ts';
import { runSeeds } from '../../test/simulation/seed-run.ts';
import { addViolation, type CommitCounts, type Counts, writeCounts } from './counts.ts';
import type { Say } from './say.ts';

const WRITE_MS = 5_000;

export async function proveSeeds(options: {
  readonly counts: Counts;
  readonly entry: CommitCounts;
  readonly seconds: number;
  readonly processes: number;
  readonly say: Say;
}): Promise<void> {
  const { counts, entry, seconds, processes, say } = options;
  await withMigratedDatabases(processes, async (databases) => {
    let writtenAt = performance.now();
    const { seeds, steps } = entry;
    const report = await runSeeds({
      databases,
      from: counts.nextSeed,
      isAlone: true,
      seconds,
      onResult: ({ seed, violation }, soFar) => {
        entry.seeds = seeds + soFar.done;
        entry.steps = steps + soFar.steps;
        counts.nextSeed = soFar.next;
        if (violation !== null) {
          const how = soFar.violations.find((found) => found.seed === seed)?.replay ?? `seed ${seed}`;
          say(`VIOLATION of ${violation.invariant}: ${how}`);
          addViolation(entry, { tier: 'seeds', what: `${violation.invariant}\n${violation.explanation}`, how });
        }
        if (violation !== null || performance.now() - writtenAt > WRITE_MS) {
          writeCounts(counts);
          say(
            `${soFar.done} schedules, ${(soFar.done / soFar.seconds).toFixed(1)} a second, ${soFar.violations.length} violations`,
          );
          writtenAt = performance.now();
        }
        return true;
      },
    });
    say(`${report.done} schedules in ${report.seconds.toFixed(0)} s, up to index ${report.next}`);
    writeCounts(counts);
  });
}
