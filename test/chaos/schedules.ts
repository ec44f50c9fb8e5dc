/** Which schedules there are, and how they are drawn. */
import type { FailpointName } from '../../src/env/failpoint.ts';
import type { Random } from '../../src/env/random.ts';
import {
  fullDisk,
  killBackend,
  killPostmaster,
  readOnlyDatabase,
  rewoundDatabase,
  terminateBackends,
} from './database-faults.ts';
import {
  CONNECTION_FAULTS,
  changedRights,
  endedStreams,
  lostAnswers,
  restoredParticipant,
  rotatedToken,
  stalledParticipant,
  twiceExecuted,
} from './network-faults.ts';
import {
  at,
  killAll,
  killAt,
  killAtRandom,
  killedSigner,
  type Place,
  passing,
  rotatedKey,
  zombieAt,
} from './process-faults.ts';
import { pick, type Schedule, shuffled } from './schedule.ts';
import { isCommon, LAPSES, POINTS } from './work.ts';
import type { World } from './world.ts';

const DATABASE_FAULTS = [killPostmaster, killBackend, terminateBackends, readOnlyDatabase, fullDisk];
const PARTICIPANT_FAULTS = [
  lostAnswers,
  twiceExecuted,
  stalledParticipant,
  endedStreams,
  rotatedToken,
  changedRights,
  restoredParticipant,
];

const isScreened = (name: FailpointName): boolean => name.startsWith('screening.');

/** For a world without screening, in an order of the seed: every kind of fault, and blows to processes until there are `count`. */
export function shortPlan(random: Random, count: number): readonly Schedule[] {
  const faults = [
    // These are struck by name nowhere else in the tests that run each time.
    killAt(at('eventLog.beforeSequence')),
    killAt(at('eventLog.afterSequence')),
    ...POINTS.filter((name) => name.startsWith('withdrawals.')).map((name) => killAt(at(name))),
    zombieAt(at('withdrawals.beforeExecute'), 3_000),
    zombieAt(at('ingestion.afterEffectsBeforeCommit'), 3_000),
    zombieAt(passing(5), 7_000),
    killAll(),
    killAtRandom(),
    ...DATABASE_FAULTS,
    ...CONNECTION_FAULTS,
    ...PARTICIPANT_FAULTS,
    killedSigner,
    rotatedKey,
  ];
  const rest = Array.from({ length: Math.max(0, count - faults.length) }, (_, index) =>
    index % 5 === 4
      ? zombieAt(passing(1 + Math.floor(random.next() * PASSINGS_MAX)), 3_000)
      : killAt(passing(1 + Math.floor(random.next() * PASSINGS_MAX))),
  );
  return shuffled(random, [...faults, ...rest]);
}

/** Points of this world. */
const pointsIn = ({ isScreening }: World): readonly FailpointName[] =>
  POINTS.filter((name) => isScreening || !isScreened(name));

/** One schedule, drawn. A point that is drawn by name may take its time; lapses are rare, since each takes as long as an attempt may still commit. */
export function drawKill(world: World): Schedule {
  const { random } = world;
  const dice = random.next();
  if (dice < 0.01) return killAt(at(pick(random, LAPSES)));
  if (dice < 0.25) return killAt(drawPlace(world));
  if (dice < 0.75) return killAt(passing(1 + Math.floor(random.next() * PASSINGS_MAX)));
  if (dice < 0.93) return killAtRandom();
  return dice < 0.97 ? killAll() : killedSigner;
}

/** Steps after which a process is struck: some work of each kind takes that many. */
const PASSINGS_MAX = 25;

/** A point by name: common ones at their first to third passing, others when they come. */
function drawPlace(world: World): Place {
  const { random } = world;
  const name = pick(random, pointsIn(world));
  return at(name, isCommon(name) ? 1 + Math.floor(random.next() * 3) : 1);
}

export function drawZombie(world: World): Schedule {
  const { random } = world;
  const place = random.next() < 0.4 ? drawPlace(world) : passing(1 + Math.floor(random.next() * PASSINGS_MAX));
  // Past the lease, or past the last moment at which its attempt may commit.
  return zombieAt(place, random.next() < 0.7 ? 3_000 : 7_000);
}

/** Kills, and now and then files that are put back: that ends every process and takes as long as certainty does, so it is no part of a soak. */
export function drawPostgres({ random }: World): Schedule {
  const dice = random.next();
  if (dice < 0.03) return rewoundDatabase;
  return dice < 0.5 ? killPostmaster : killBackend;
}

/** Of everything that a process lives through. */
export function drawAny(world: World): Schedule {
  const { random } = world;
  const dice = random.next();
  if (dice < 0.35) return drawKill(world);
  if (dice < 0.45) return drawZombie(world);
  if (dice < 0.6) return pick(random, DATABASE_FAULTS);
  if (dice < 0.85) return pick(random, CONNECTION_FAULTS);
  return pick(random, [...PARTICIPANT_FAULTS, rotatedKey]);
}
