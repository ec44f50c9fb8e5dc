/**
 * Mistakes that only a schedule shows: each is looked for by a process of the simulation whose copy of the product has it. The schedules that are known to find it run first, the shortest before; where the product
 * has changed so much that none of them does, others are drawn.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { openCrew, type SeedOrder, type SeedResult } from '../simulation/crew.ts';
import type { Mutant } from '../simulation/mutants.ts';
import { withMigratedDatabases } from '../simulation/scratch-database.ts';

export type KnownSchedule = { readonly seed: number; readonly steps: number; readonly invariant: string };
export type KnownSchedules = Readonly<Record<string, readonly KnownSchedule[]>>;

export type Search = {
  readonly name: string;
  /** The shortest first; empty: it lived. */
  readonly found: readonly KnownSchedule[];
  readonly tried: number;
  /** Schedules that the product as it is does not survive either: they prove nothing. */
  readonly unsound: readonly number[];
};

/** Seeds within which each must be found. */
const SEEDS_MAX = 150;
const AT_ONCE = 2;
const KNOWN = new URL('known-schedules.json', import.meta.url);

export async function readKnownSchedules(): Promise<KnownSchedules> {
  return JSON.parse(await readFile(KNOWN, 'utf8')) as KnownSchedules;
}

/** Keeps what is known of others; of each that was found the shortest few. */
export async function writeKnownSchedules(searches: readonly Search[], mutants: readonly Mutant[]): Promise<void> {
  const before = await readKnownSchedules();
  const now = new Map(searches.flatMap(({ name, found }) => (found.length === 0 ? [] : [[name, found] as const])));
  const kept = mutants.map(({ name }) => [name, (now.get(name) ?? before[name] ?? []).slice(0, KEPT)] as const);
  await writeFile(KNOWN, `${JSON.stringify(Object.fromEntries(kept), null, 2)}\n`);
}

/** How many schedules of each are known: a change of the product seldom costs all of them their effect. */
const KEPT = 3;

/**
 * @param findingsMax after so many schedules that find it, one is looked for no further.
 * @param known tried first; none: only drawn ones are.
 * @returns in the order of `mutants`. What found a mistake has been tried with the product as it is, which survived it.
 */
export async function searchSchedules(
  mutants: readonly Mutant[],
  { findingsMax, known }: { readonly findingsMax: number; readonly known: KnownSchedules },
): Promise<readonly Search[]> {
  const searches = new Map<string, Search>();
  await withMigratedDatabases(AT_ONCE, async (databases) => {
    const queue = mutants[Symbol.iterator]();
    const work = async (database: string): Promise<void> => {
      for (let next = queue.next(); next.done !== true; next = queue.next()) {
        const mutant = next.value;
        searches.set(mutant.name, await searchOne(mutant, database, { findingsMax, known: known[mutant.name] ?? [] }));
      }
    };
    await Promise.all(databases.map(work));

    const unsound = await unsoundAmong(mutants, searches, databases);
    for (const { name, company } of mutants) {
      const { found = [], tried = 0 } = searches.get(name) ?? {};
      const isSound = ({ seed }: KnownSchedule): boolean => !unsound.has(keyOf(seed, company));
      searches.set(name, {
        name,
        tried,
        found: found.filter(isSound),
        unsound: found.filter((one) => !isSound(one)).map(({ seed }) => seed),
      });
    }
  });
  return mutants.flatMap(({ name }) => searches.get(name) ?? []);
}

/** @returns keys of schedules that found something and are not survived without a mistake. */
async function unsoundAmong(
  mutants: readonly Mutant[],
  searches: ReadonlyMap<string, Search>,
  databases: readonly string[],
): Promise<ReadonlySet<string>> {
  const orders = new Map<string, SeedOrder>();
  for (const { name, company } of mutants)
    for (const { seed } of searches.get(name)?.found ?? [])
      orders.set(keyOf(seed, company), { seed, on: company, off: [], isTraced: false });
  const unsound = new Set<string>();
  const crew = await openCrew(databases);
  try {
    // A result is told by its seed alone: schedules of different company have their turns.
    for (const some of Map.groupBy(orders.values(), ({ on }) => on.join()).values()) {
      await crew.run(some, ({ seed, violation }) => {
        if (violation !== null) unsound.add(keyOf(seed, some[0]?.on ?? []));
        return true;
      });
    }
  } finally {
    await crew.close();
  }
  return unsound;
}

const keyOf = (seed: number, company: readonly string[]): string => `${seed} ${company.join()}`;

async function searchOne(
  { name, company }: Mutant,
  database: string,
  { findingsMax, known }: { readonly findingsMax: number; readonly known: readonly KnownSchedule[] },
): Promise<Search> {
  const drawn = Array.from({ length: SEEDS_MAX }, (_, index) => index + 1);
  const seeds = new Set([...known.map(({ seed }) => seed), ...drawn]);
  const crew = await openCrew([database], { mutant: name });
  const found: KnownSchedule[] = [];
  let tried = 0;
  try {
    await crew.run(
      [...seeds].map((seed) => ({ seed, on: company, off: [], isTraced: false })),
      ({ seed, steps, violation }: SeedResult) => {
        tried += 1;
        if (violation !== null) found.push({ seed, steps, invariant: violation.invariant });
        return found.length < findingsMax;
      },
    );
  } finally {
    await crew.close();
  }
  return { name, found: found.sort((left, right) => left.steps - right.steps), tried, unsound: [] };
}
