/** Kills, zombies, PostgreSQL kills: rounds of faults in a running world, until the time is over. A world that has shown a violation, or has grown old, gives way to a new one. */
import { messageOf } from '../../src/env/errors.ts';
import { createSeededRandom } from '../../src/env/random.ts';
import { systemRandom } from '../../src/env/system.ts';
import { runRound } from '../../test/chaos/run.ts';
import type { FaultKind, Schedule } from '../../test/chaos/schedule.ts';
import { startWorld, type World } from '../../test/chaos/world.ts';
import {
  addHarnessFailure,
  addTo,
  addViolation,
  type CommitCounts,
  type Counts,
  type Tier,
  writeCounts,
} from './counts.ts';
import { type Say, sayPassing } from './say.ts';

/** Faults between two moments of rest, which takes as long as an attempt may still commit, however many there were. */
const ROUND = 24;
const ROUNDS_PER_WORLD = 40;
/** Of the harness itself, in a row: then it is broken. */
const FAILURES_MAX = 5;

export type BlowOptions = {
  readonly tier: Tier;
  readonly counts: Counts;
  readonly entry: CommitCounts;
  readonly seconds: number;
  readonly instances: number;
  readonly isScreening: boolean;
  /** Of the first world, to see again what it showed: the same schedules, at moments of their own. Drawn where left out. */
  readonly seed?: number | undefined;
  readonly draw: (world: World) => Schedule;
  readonly say: Say;
};

export async function proveBlows(options: BlowOptions): Promise<void> {
  const { counts, entry, seconds, tier, say } = options;
  const until = performance.now() + seconds * 1_000;
  let failures = 0;
  let given = options.seed;
  while (performance.now() < until && failures < FAILURES_MAX) {
    const seed = given ?? 1 + Math.floor(systemRandom.next() * 1e9);
    given = undefined;
    try {
      await inOneWorld(options, seed, until);
      failures = 0;
    } catch (error) {
      failures += 1;
      say(`the harness failed: ${messageOf(error)}`);
      addHarnessFailure(entry, tier, error);
      writeCounts(counts);
    }
  }
}

async function inOneWorld(options: BlowOptions, seed: number, until: number): Promise<void> {
  const { tier, counts, entry, instances, isScreening, draw, say } = options;
  const world = await startWorld({ seed, instances, isScreening });
  say(`a world with seed ${seed}, ${instances} instances`);
  // What is drawn depends on the seed alone, and not on what the world draws meanwhile.
  const drawing = { ...world, random: createSeededRandom(seed + 2) };
  try {
    for (let round = 0; round < ROUNDS_PER_WORLD && performance.now() < until; round += 1) {
      const schedules = Array.from({ length: ROUND }, () => draw(drawing));
      const { struck, violations, passing, durationMs } = await runRound(world, schedules, { isFull: round % 5 === 4 });
      for (const { kind, where } of struck) addTo(tableOf(entry, kind), where);
      entry.checks += 1;
      const what = struck.map(({ where }) => where).join(', ');
      if (violations.length > 0) {
        const how = `${replayOf(options, seed)}, round ${round}: ${struck.map(({ name }) => name).join('; ')}`;
        say(`VIOLATION in ${how}: ${violations.join(' | ')}`);
        addViolation(entry, { tier, what: violations.join('\n'), how });
      }
      sayPassing(say, passing);
      writeCounts(counts);
      say(`${what}: ${violations.length === 0 ? 'all well' : 'VIOLATED'} after ${(durationMs / 1_000).toFixed(1)} s`);
      if (violations.length > 0) return;
    }
  } finally {
    await world.stop();
  }
}

/** In whose world it was, as a command. */
function replayOf({ tier, isScreening }: BlowOptions, seed: number): string {
  return `npm run prove -- --only ${tier} --seed ${seed}${isScreening ? ' --screening' : ''}`;
}

export function tableOf(entry: CommitCounts, kind: FaultKind): Record<string, number> {
  switch (kind) {
    case 'kill':
      return entry.kills;
    case 'postgres':
      return entry.postgres;
    case 'zombie':
      return entry.zombies;
    case 'network':
    case 'other':
      return entry.others;
  }
}
