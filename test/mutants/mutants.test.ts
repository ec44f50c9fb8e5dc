/**
 * Tests that cannot fail prove nothing: each mistake that is planted here must be found, by the test that is there for it, or by a schedule of the simulation.
 *
 *     MUTANT=name,name npx vitest run test/mutants       some of them
 *     MUTANTS=refresh npx vitest run test/mutants        draws schedules anew, and writes down the shortest that find them
 */
import { expect, inject, test } from 'vitest';
import { MUTANTS } from '../simulation/all-mutants.ts';
import { DIRECT_MISTAKES } from './all-direct.ts';
import { runKillers } from './killers.ts';
import { misfits } from './planted.ts';
import { readKnownSchedules, searchSchedules, writeKnownSchedules } from './schedules.ts';

const wanted = (process.env['MUTANT'] ?? '').split(',').filter((name) => name !== '');
const isRefresh = process.env['MUTANTS'] === 'refresh';
/** Of so many schedules that find one the shortest are kept. */
const COMPARED = 8;

const all = [...DIRECT_MISTAKES, ...MUTANTS];
const isWanted = ({ name }: { readonly name: string }): boolean => wanted.length === 0 || wanted.includes(name);
const direct = DIRECT_MISTAKES.filter(isWanted);
const scheduled = MUTANTS.filter(isWanted);

test('every mistake has a name of its own, and its place in the source is there, once', async () => {
  expect(new Set(all.map(({ name }) => name)).size).toBe(all.length);
  expect(all.length).toBeGreaterThanOrEqual(40);
  expect(await misfits(all)).toEqual([]);
  expect(wanted.filter((name) => !all.some((mistake) => mistake.name === name))).toEqual([]);
});

test('every planted mistake is found', { timeout: 3_600_000 }, async () => {
  const lines: string[] = [];
  const alive: string[] = [];
  const note = (name: string, finder: string | null, otherwise: string): void => {
    lines.push(`  ${name}: ${finder ?? `ALIVE, ${otherwise}`}`);
    if (finder === null) alive.push(`${name}: ${otherwise}`);
  };

  const how = isRefresh
    ? { findingsMax: COMPARED, known: {}, workers: 2 }
    : { findingsMax: 1, known: await readKnownSchedules(), workers: 1 };
  const [verdicts, searches] = await Promise.all([
    runKillers(isRefresh ? [] : direct, {
      databaseServerUrl: inject('databaseServerUrl'),
      templateDatabase: inject('templateDatabase'),
      databasePrefix: inject('databasePrefix'),
    }),
    searchSchedules(scheduled, how),
  ]);
  for (const { name, failed, complaint } of verdicts) {
    const [first] = complaint === null ? failed : [];
    note(name, first === undefined ? null : `${first.test} (${first.error})`, complaint ?? 'its test passes');
  }
  for (const { name, found, tried, unsound } of searches) {
    const [first] = found;
    const told = first && `${first.invariant} (seed ${first.seed}, ${first.steps} steps, ${tried} tried)`;
    const why = unsound.length > 0 ? `seed ${unsound.join(', ')} fails without it` : `${tried} schedules`;
    note(name, told ?? null, why);
  }
  if (isRefresh) await writeKnownSchedules(searches, MUTANTS);

  console.log([`${lines.length - alive.length} of ${lines.length} planted mistakes found`, ...lines].join('\n'));
  expect(alive).toEqual([]);
});
