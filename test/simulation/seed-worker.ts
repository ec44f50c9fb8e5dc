/**
 * A process that runs schedules for its parent (crew.ts), one seed at a time. With MUTANT in its environment, of a product that has that mistake in it: the source is changed while it is loaded, never
 * on disk.
 */
import { registerHooks } from 'node:module';
import { MUTANTS } from './all-mutants.ts';
import type { SeedOrder, SeedResult } from './crew.ts';

const { MUTANT = '', DATABASE = '', PROCESSOR = '' } = process.env;

if (MUTANT !== '') {
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
}

// Loaded now, so that the hooks see all of it.
const { createMarks } = await import('./marks.ts');
const { explain, replayed } = await import('./report.ts');
const { openSimulation } = await import('./schedule.ts');
const simulation = await openSimulation(DATABASE, { processor: PROCESSOR === '' ? null : Number(PROCESSOR) });

const answer = (result: SeedResult): void => void process.send?.(result);

process.on('message', (message) => {
  if (message === 'close') {
    void simulation.close().then(() => process.disconnect());
    return;
  }
  const { seed, on, off, isTraced } = message as SeedOrder;
  const marks = createMarks();
  simulation.run(seed, marks, { on: new Set(on), off: new Set(off) }).then(
    (report) =>
      answer({
        seed,
        steps: report.steps,
        traceHash: report.traceHash,
        logHash: report.logHash,
        violation:
          report.violation === null
            ? null
            : { invariant: report.violation.invariant, explanation: explain(report, { on, off, mutant: MUTANT }) },
        marks: [...marks.counts()],
        trace: isTraced ? replayed(report) : null,
      }),
    (error: unknown) => {
      console.error(`Seed ${seed}:`, error);
      process.exit(1);
    },
  );
});
process.send?.('ready');
