/**
 * The harness proves itself: every mistake of `all-mutants.ts` is found, each by a process whose copy of the product has it. The seed that is known to find it (`mutant-seeds.json`) runs first, and where
 * it does not any more, others do; `SIMULATION_MUTANTS=refresh` looks for the cheapest again and writes it down.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { MUTANTS } from './all-mutants.ts';
import { openCrew, type SeedResult } from './crew.ts';
import type { Mutant } from './mutants.ts';
import { withMigratedDatabases } from './scratch-database.ts';

/** Seeds within which each mistake must be found. */
const BUDGET = 150;
/** Of how many findings the one with the fewest steps is kept. */
const FINDINGS_COMPARED = 3;
const AT_ONCE = 2;
const KNOWN = new URL('mutant-seeds.json', import.meta.url);
const isRefresh = process.env['SIMULATION_MUTANTS'] === 'refresh';
const only = process.env['SIMULATION_MUTANT'] ?? '';

type Finding = { readonly seed: number; readonly steps: number; readonly invariant: string; readonly tried: number };

/** @returns what found it: the first, or the cheapest of several. */
async function find(mutant: Mutant, database: string, known: number | undefined): Promise<Finding | null> {
  const crew = await openCrew([database], { mutant: mutant.name });
  const seeds = Array.from({ length: BUDGET }, (_, index) => index + 1);
  if (!isRefresh && known !== undefined) seeds.unshift(known);
  const findings: Finding[] = [];
  let tried = 0;
  try {
    await crew.run(
      seeds.map((seed) => ({ seed, on: mutant.company, off: [], isTraced: false })),
      ({ seed, steps, violation }: SeedResult) => {
        tried += 1;
        if (violation !== null) findings.push({ seed, steps, invariant: violation.invariant, tried });
        return findings.length < (isRefresh ? FINDINGS_COMPARED : 1);
      },
    );
  } finally {
    await crew.close();
  }
  return findings.sort((left, right) => left.steps - right.steps)[0] ?? null;
}

test('every mistake is found', { timeout: 3_600_000 }, async () => {
  const known = JSON.parse(await readFile(KNOWN, 'utf8')) as Record<string, number>;
  const mutants = MUTANTS.filter(({ name }) => only === '' || name === only);
  const queue = mutants[Symbol.iterator]();
  const found = new Map<string, Finding | null>();

  await withMigratedDatabases(AT_ONCE, async (databases) => {
    const work = async (database: string): Promise<void> => {
      for (let next = queue.next(); next.done !== true; next = queue.next()) {
        const finding = await find(next.value, database, known[next.value.name]);
        found.set(next.value.name, finding);
        const told =
          finding === null
            ? 'ALIVE'
            : `seed ${finding.seed}, ${finding.tried} tried, ${finding.steps} steps: ${finding.invariant}`;
        console.log(`${next.value.name}: ${told}`);
      }
    };
    await Promise.all(databases.map(work));
  });

  if (isRefresh) {
    const seeds = mutants.map(({ name }) => [name, found.get(name)?.seed ?? known[name] ?? 1] as const);
    const kept = only === '' ? Object.fromEntries(seeds) : { ...known, ...Object.fromEntries(seeds) };
    await writeFile(KNOWN, `${JSON.stringify(kept, null, 2)}\n`);
  }
  const alive = mutants.filter(({ name }) => (found.get(name) ?? null) === null).map(({ name }) => name);
  expect(alive, `lived through ${BUDGET} seeds`).toEqual([]);
  expect(Object.keys(known).toSorted(), 'each has a seed that is known to find it: SIMULATION_MUTANTS=refresh').toEqual(
    MUTANTS.map(({ name }) => name).toSorted(),
  );
});
