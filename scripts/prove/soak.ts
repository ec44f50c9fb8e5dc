/**
 * A long run with all faults: steady traffic, a fault every few seconds, a moment of rest and the whole check every minute. One process is never killed: its memory, its handles and the lag behind the ledger are sampled into
 * proof/soak.csv, and must have no slope.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { sql } from 'kysely';
import { median } from '../../bench/statistics.ts';
import { messageOf } from '../../src/env/errors.ts';
import { systemClock, systemRandom } from '../../src/env/system.ts';
import { checkAtRest } from '../../test/chaos/rest.ts';
import { drawAny } from '../../test/chaos/schedules.ts';
import { startWorld, type World } from '../../test/chaos/world.ts';
import { tableOf } from './blows.ts';
import {
  addHarnessFailure,
  addTo,
  addViolation,
  type CommitCounts,
  type Counts,
  PROJECT,
  writeCounts,
} from './counts.ts';
import { type Say, sayPassing } from './say.ts';
import { drawSoak, type Sample } from './soak-graph.ts';

const SAMPLE_MS = 5_000;
const REST_EVERY_MS = 60_000;
/** Beside the one that is never killed. */
const STRUCK = 2;

export async function proveSoak(options: {
  readonly counts: Counts;
  readonly entry: CommitCounts;
  readonly seconds: number;
  readonly say: Say;
}): Promise<void> {
  const { counts, entry, seconds, say } = options;
  const seed = 1 + Math.floor(systemRandom.next() * 1e9);
  const world = await startWorld({ seed, instances: STRUCK + 1, isScreening: true });
  say(`a world with seed ${seed}`);
  const samples: Sample[] = [];
  const ending = new AbortController();
  const startedAt = performance.now();
  const elapsed = (): number => (performance.now() - startedAt) / 1_000;
  let faults = 0;
  const sampling = sample(world, ending.signal, samples, elapsed, () => faults);
  // Whoever is struck is one of these; the last one only lives through what befalls all.
  const struck: World = { ...world, sluices: world.sluices.slice(0, STRUCK) };
  let restedAt = 0;
  let hasFailed = false;
  try {
    while (elapsed() < seconds) {
      const schedule = drawAny(struck);
      const where = await schedule.run(struck);
      addTo(tableOf(entry, schedule.kind), where);
      faults += 1;
      say(`${(elapsed() / 60).toFixed(1)} min, ${where}`);
      await world.traffic({ deposits: 2, withdrawals: 1 });
      await systemClock.sleep(1_000);
      if (elapsed() - restedAt < REST_EVERY_MS / 1_000) continue;
      // What goes on beside would be no rest, as a process that still stands still.
      await world.settled();
      const { violations, passing } = await checkAtRest(world, { isFull: false });
      sayPassing(say, passing);
      restedAt = elapsed();
      entry.checks += 1;
      say(
        `${(elapsed() / 60).toFixed(1)} min, ${faults} faults, ${violations.length === 0 ? 'all well' : violations.join(' | ')}`,
      );
      if (violations.length > 0) {
        addViolation(entry, {
          tier: 'soak',
          what: violations.join('\n'),
          how: `seed ${seed} after ${elapsed().toFixed(0)} s`,
        });
        hasFailed = true;
        break;
      }
      writeSamples(samples);
      writeCounts(counts);
    }
    // What was found already would be found once more.
    if (!hasFailed) {
      await world.settled();
      const { violations, passing } = await checkAtRest(world, { isFull: true });
      sayPassing(say, passing);
      entry.checks += 1;
      if (violations.length > 0)
        addViolation(entry, { tier: 'soak', what: violations.join('\n'), how: `seed ${seed}, at the end` });
    }
    for (const slope of slopes(samples))
      addViolation(entry, { tier: 'soak', what: slope, how: `seed ${seed}, proof/soak.csv` });
  } catch (error) {
    say(`the harness failed: ${messageOf(error)}`);
    addHarnessFailure(entry, 'soak', error);
  } finally {
    ending.abort();
    await sampling;
    entry.soakMinutes += elapsed() / 60;
    writeSamples(samples);
    drawSoak(samples);
    writeCounts(counts);
    await world.stop();
  }
}

async function sample(
  world: World,
  signal: AbortSignal,
  samples: Sample[],
  elapsed: () => number,
  faults: () => number,
): Promise<void> {
  const watched = world.sluices.at(-1);
  while (!signal.aborted) {
    await systemClock.sleep(SAMPLE_MS, signal);
    const usage = watched?.usage() ?? null;
    if (usage === null || signal.aborted) continue;
    const lag = await lagOf(world).catch(() => null); // The database is away now and then.
    samples.push({
      at: Math.round(elapsed()),
      memory: Math.round(usage.bytes / 1_048_576),
      handles: usage.descriptors,
      lag: lag ?? samples.at(-1)?.lag ?? 0,
      faults: faults(),
    });
  }
}

async function lagOf({ server, network }: World): Promise<number> {
  const { rows } = await sql<{ updates: number }>`SELECT count(*)::int AS updates FROM ledger_update`.execute(
    server.db,
  );
  return Math.max(0, (await network.newest()).updates - (rows[0]?.updates ?? 0));
}

/** Beyond its warm-up: the last quarter may not lie above the second. */
const MEMORY_GROWTH_MAX = 1.15;
const MEMORY_ROOM_MB = 20;
const HANDLES_ROOM = 5;
const LAG_ROOM = 10;
const SAMPLES_MIN = 100;

/** @returns what has a slope, in words. */
export function slopes(samples: readonly Sample[]): readonly string[] {
  if (samples.length < SAMPLES_MIN) return [];
  const quarter = (index: number): readonly Sample[] =>
    samples.slice((index * samples.length) / 4, ((index + 1) * samples.length) / 4);
  const of = (index: number, field: 'memory' | 'handles' | 'lag'): number =>
    median(quarter(index).map((each) => each[field]));
  const allowed = {
    memory: of(1, 'memory') * MEMORY_GROWTH_MAX + MEMORY_ROOM_MB,
    handles: of(1, 'handles') + HANDLES_ROOM,
    lag: of(1, 'lag') + LAG_ROOM,
  };
  return (['memory', 'handles', 'lag'] as const)
    .filter((field) => of(3, field) > allowed[field])
    .map((field) => `${field} grows: median ${of(1, field)} in the second quarter, ${of(3, field)} in the last`);
}

function writeSamples(samples: readonly Sample[]): void {
  const lines = samples.map(({ at, memory, handles, lag, faults }) => [at, memory, handles, lag, faults].join(','));
  writeFileSync(join(PROJECT, 'proof/soak.csv'), `seconds,memory_mb,handles,lag_updates,faults\n${lines.join('\n')}\n`);
}
