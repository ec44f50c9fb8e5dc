/**
 * A process that looks for mistakes by schedules, for its parent (schedules.ts): one {@link SearchOrder} at a time, each with a copy of the product that has the mistake. What finds it is then tried with the product as it is.
 * DATABASES in its environment are the addresses of two that are its own.
 */
import { MUTANTS } from '../simulation/all-mutants.ts';
import { createMarks } from '../simulation/marks.ts';
import { openSimulation } from '../simulation/schedule.ts';
import { copyUrl, makeCopies } from './copies.ts';
import { withMistake } from './planted.ts';
import type { KnownSchedule, Search, SearchOrder } from './schedules.ts';

const SCHEDULE = new URL('../simulation/schedule.ts', import.meta.url);
const [ownDatabase = '', otherDatabase = ''] = (process.env['DATABASES'] ?? '').split(' ');

makeCopies(MUTANTS.map((mutant) => ({ name: mutant.name, rewrite: (url, text) => withMistake(mutant, url, text) })));
const sound = await openSimulation(otherDatabase);

async function search({ name, seeds, findingsMax }: SearchOrder): Promise<Search> {
  const on = new Set(MUTANTS.find((mutant) => mutant.name === name)?.company);
  const switches = { on, off: new Set<never>() };
  const copy: { readonly openSimulation: typeof openSimulation } = await import(copyUrl(SCHEDULE, name));
  const simulation = await copy.openSimulation(ownDatabase);
  const found: KnownSchedule[] = [];
  const unsound: number[] = [];
  let tried = 0;
  try {
    for (const seed of seeds) {
      tried += 1;
      const { violation, steps } = await simulation.run(seed, createMarks(), switches);
      if (violation === null) continue;
      const alone = await sound.run(seed, createMarks(), switches);
      if (alone.violation === null) found.push({ seed, steps, invariant: violation.invariant });
      else unsound.push(seed);
      if (found.length + unsound.length === findingsMax) break;
    }
  } finally {
    await simulation.close();
  }
  return { name, found: found.sort((left, right) => left.steps - right.steps), tried, unsound };
}

process.on('message', (message) => {
  if (message === 'close') {
    void sound.close().then(() => process.disconnect());
    return;
  }
  search(message as SearchOrder).then(
    (answer) => void process.send?.(answer),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
});
process.send?.('ready');
