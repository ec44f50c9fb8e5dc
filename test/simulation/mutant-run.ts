/**
 * A process in which the product has a mistake in it (MUTANT, a name of `mutants.ts`): its source is changed while it is loaded. Runs seeds until one is violated and
 * prints the finding as JSON.
 */
import { registerHooks } from 'node:module';
import { MUTANTS } from './all-mutants.ts';

const { MUTANT = '', DATABASE = '', FROM = '1', SEEDS = '100' } = process.env;
const mutant = MUTANTS.find(({ name }) => name === MUTANT);
if (mutant === undefined) throw new Error(`There is no mutant '${MUTANT}'.`);

const source = new URL('../../src/', import.meta.url).href;
registerHooks({
  load: (url, context, nextLoad) => {
    const loaded = nextLoad(url, context);
    const changes = mutant.changes.filter(({ file }) => url === source + file);
    if (changes.length === 0) return loaded;
    let text = Buffer.from(loaded.source as Uint8Array).toString('utf8');
    for (const { file, find, replace } of changes) {
      if (text.split(find).length !== 2) throw new Error(`The mutant ${mutant.name} no longer fits ${file}.`);
      text = text.replace(find, () => replace);
    }
    return { ...loaded, source: text };
  },
});

// Loaded now, so that the hooks see all of it.
const { createMarks } = await import('./marks.ts');
const { openSimulation } = await import('./schedule.ts');
const simulation = await openSimulation(DATABASE);
let finding: { seed: number; seedsTried: number; invariant: string; message: string } | null = null;
// A seed known to find it comes first; where the product has changed since, the search begins anew.
const seeds = [Number(FROM), ...Array.from({ length: Number(SEEDS) }, (_, index) => index + 1)];
for (const [index, seed] of seeds.entries()) {
  const { violation } = await simulation.run(seed, createMarks(), { on: new Set(mutant.company) });
  if (violation !== null) {
    finding = { seed, seedsTried: index + 1, invariant: violation.invariant, message: violation.message };
    break;
  }
}
await simulation.close();
console.log(JSON.stringify(finding));
