/**
 * Many schedules after each other, by their number or for a time: what long runs are made of. An index stands for the seed of that number or, with a salt, for one that follows from both, so that
 * every salt (a commit, a day) has schedules of its own. What is found is told by its seed alone, and replayed without the salt.
 */
import { createHash } from 'node:crypto';
import { openCrew, type SeedResult } from './crew.ts';
import { createMarks } from './marks.ts';
import { replayOf } from './report.ts';

export type SeedRunOptions = {
  /** Connection strings of migrated databases (scratch-database.ts), each for a process of its own. */
  readonly databases: readonly string[];
  /** The first index; a run that was broken off goes on at {@link SeedRunReport.next}. */
  readonly from: number;
  /** How many schedules at most; as many as there is time for if left out. */
  readonly count?: number;
  /** None is begun after that many seconds; those under way are waited for. */
  readonly seconds?: number;
  /** Makes another set of seeds. Empty: an index is its own seed. */
  readonly salt?: string;
  /** Classes of faults that are on, or off, whatever the seed says. */
  readonly on?: readonly string[];
  readonly off?: readonly string[];
  /** The mistake that the product is to have (all-mutants.ts). */
  readonly mutant?: string;
  /** As for openCrew. */
  readonly isAlone?: boolean;
  /** Told of each, in the order in which they are ready, with all that is known so far. Answering false ends the run. */
  readonly onResult?: (result: SeedResult & { readonly index: number }, soFar: SeedRunReport) => boolean | undefined;
};

export type SeedRunReport = {
  readonly from: number;
  /** Where to go on: every index from `from` up to here, exclusively, has been run. */
  readonly next: number;
  /** How many schedules have been run. */
  readonly done: number;
  readonly steps: number;
  /** Real ones. */
  readonly seconds: number;
  readonly marks: ReadonlyMap<string, number>;
  readonly violations: readonly FoundViolation[];
};

export type FoundViolation = {
  readonly index: number;
  readonly seed: number;
  readonly invariant: string;
  /** What happened, in several lines. */
  readonly explanation: string;
  /** The command that shows it again. */
  readonly replay: string;
};

/** SIMULATION_SALT, or none. */
export function saltOf(environment: Readonly<Record<string, string | undefined>>): string {
  return environment['SIMULATION_SALT'] ?? '';
}

/** The seed that an index stands for: 48 bits of a hash of salt and index, or the index itself where there is no salt. */
export function seedAt(index: number, salt: string): number {
  return salt === '' ? index : createHash('sha256').update(`${salt}/${index}`).digest().readUIntBE(0, 6);
}

/** @throws when a process of the harness itself fails; what was found until then has been told to `onResult`. */
export async function runSeeds(options: SeedRunOptions): Promise<SeedRunReport> {
  const { databases, from, count = Number.POSITIVE_INFINITY, seconds = Number.POSITIVE_INFINITY, salt = '' } = options;
  const { on = [], off = [], mutant, isAlone = false, onResult } = options;
  const crew = await openCrew(databases, { isAlone, ...(mutant !== undefined && { mutant }) });
  const startedAt = performance.now();
  const secondsSoFar = (): number => (performance.now() - startedAt) / 1_000;
  const indexes = new Map<number, number>();
  const beyond = new Set<number>();
  const marks = createMarks();
  const violations: FoundViolation[] = [];
  let next = from;
  let done = 0;
  let steps = 0;

  function* orders() {
    for (let index = from; index < from + count && secondsSoFar() < seconds; index += 1) {
      const seed = seedAt(index, salt);
      indexes.set(seed, index);
      yield { seed, on, off, isTraced: false };
    }
  }
  const report = (): SeedRunReport => ({
    from,
    next,
    done,
    steps,
    seconds: secondsSoFar(),
    marks: marks.counts(),
    violations,
  });
  try {
    await crew.run(orders(), (result) => {
      const { seed, violation } = result;
      const index = indexes.get(seed) ?? from;
      indexes.delete(seed);
      beyond.add(index);
      while (beyond.delete(next)) next += 1;
      done += 1;
      steps += result.steps;
      for (const [mark, times] of result.marks) marks.add(mark, times);
      if (violation !== null) {
        const replay = replayOf(seed, { on, off, ...(mutant !== undefined && { mutant }) });
        violations.push({ index, seed, ...violation, replay });
      }
      return onResult?.({ ...result, index }, report()) !== false;
    });
  } finally {
    await crew.close();
  }
  return report();
}
