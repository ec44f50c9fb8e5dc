/** What befalls processes: SIGKILL and SIGSTOP, at named points and at any moment. */
import { FAILPOINTS, type FailpointName } from '../../src/env/failpoint.ts';
import { systemClock } from '../../src/env/system.ts';
import { pick, type Schedule } from './schedule.ts';
import type { Sluice } from './sluice.ts';
import { isCommon, isLapse, WORK } from './work.ts';
import type { World } from './world.ts';

/** Where and when: at the n-th passing of any of these points, by whoever is there first. */
export type Place = { readonly points: readonly FailpointName[]; readonly hit: number };

/** The n-th step that a process takes from now on, whichever that is. */
export const passing = (hit: number): Place => ({ points: FAILPOINTS, hit });
export const at = (name: FailpointName, hit = 1): Place => ({ points: [name], hit });

const nameOf = ({ points, hit }: Place): string =>
  points.length === 1 ? `${points[0]}, hit ${hit}` : `the ${hit}. named point`;

/** Rather another place than a long wait: a third hit of a rare point may never come. */
const STRIKE_MS = 6_000;
/** Where it comes in any case, and the machine may have others to work for. */
const SURE_STRIKE_MS = 30_000;
const LAPSE_MS = 20_000;
/** Beyond that nobody who was told to stop can still be on his way to it. */
const STOP_MS = 60_000;
const AWAKE_MS = 300_000;

const deadlineOf = ({ points, hit }: Place): number => {
  if (points.length > 1) return SURE_STRIKE_MS;
  if (points.some(isLapse)) return LAPSE_MS;
  return hit === 1 && points.some(isCommon) ? SURE_STRIKE_MS : STRIKE_MS;
};

/** Whichever of them comes there strikes itself. @returns who did first and where, or null. */
async function struck(
  sluices: readonly Sluice[],
  deadlineMs: number,
): Promise<{ readonly sluice: Sluice; readonly where: string } | null> {
  const deadline = systemClock.nowMicros() + BigInt(deadlineMs) * 1_000n;
  while (systemClock.nowMicros() < deadline) {
    for (const sluice of sluices) {
      const [where] = sluice.takeStruck();
      if (where !== undefined) return { sluice, where };
    }
    await systemClock.sleep(5);
  }
  return null;
}

/** Those that are there to be struck, while others are on their way back. */
async function serving({ sluices }: World): Promise<readonly Sluice[]> {
  const there = (): readonly Sluice[] => sluices.filter((sluice) => sluice.port() !== null && !sluice.isStopped());
  if (there().length === 0) await Promise.race(sluices.map((sluice) => sluice.serving()));
  return there().length > 0 ? there() : sluices;
}

/** One that is there: what hits nobody is no kill. */
async function killOne(world: World): Promise<void> {
  while (!pick(world.random, await serving(world)).signal('SIGKILL')) await systemClock.sleep(5);
}

function workFor({ points }: Place, world: World): Promise<void> {
  const [only] = points;
  const work = points.length === 1 && only !== undefined ? WORK[only] : undefined;
  return work?.(world) ?? world.traffic();
}

/** Every instance is armed; the first that comes there dies there, and the others are told to live. */
export function killAt(place: Place): Schedule {
  const lapses = place.points.length === 1 && place.points.some(isLapse);
  return {
    name: `SIGKILL at ${nameOf(place)}`,
    kind: 'kill',
    run: async (world) => {
      const { network } = world;
      const sluices = await serving(world);
      for (const sluice of sluices) sluice.takeStruck();
      for (const sluice of sluices) sluice.arm({ ...place, signal: 'SIGKILL' });
      if (lapses) await network.submissionFaults({ dropExecutes: { next: 2 } });
      const working = workFor(place, world);
      world.later(working);
      const dead = await struck(sluices, deadlineOf(place));
      await Promise.all(sluices.map((sluice) => sluice.disarm()));
      if (lapses) {
        await working;
        await network.calm();
      }
      if (dead !== null) return dead.where;
      // Not so often at work in one process: then at this moment.
      await killOne(world);
      return 'random';
    },
  };
}

export function killAtRandom(): Schedule {
  return {
    name: 'SIGKILL at a random moment',
    kind: 'kill',
    run: async (world) => {
      await serving(world);
      world.later(world.traffic());
      await systemClock.sleep(world.random.next() * 300);
      await killOne(world);
      return 'random';
    },
  };
}

/** Nobody is left, and all start anew. */
export function killAll(): Schedule {
  return {
    name: 'SIGKILL of all instances at once',
    kind: 'kill',
    run: async (world) => {
      await serving(world);
      world.later(world.traffic());
      await systemClock.sleep(world.random.next() * 200);
      for (const sluice of world.sluices) sluice.signal('SIGKILL');
      return 'all';
    },
  };
}

/**
 * One stands still at that point for longer than its lease, and goes on when others have done its work. Which is after this has resolved: the next fault befalls the others meanwhile. One of them is left to work.
 */
export function zombieAt(place: Place, stillMs: number): Schedule {
  return {
    name: `SIGSTOP at ${nameOf(place)}, for ${stillMs} ms`,
    kind: 'zombie',
    run: async (world) => {
      const sluices = await twoAwake(world);
      for (const sluice of sluices) sluice.takeStruck();
      for (const sluice of sluices) sluice.arm({ ...place, signal: 'SIGSTOP' });
      world.later(workFor(place, world));
      const first = await struck(sluices, deadlineOf(place));
      await Promise.all(sluices.map(async (sluice) => (sluice === first?.sluice ? undefined : await sluice.disarm())));
      const frozen = await standingStill(first?.sluice ?? null, world);
      // Its clients would wait for it; a balancer that looks after its targets cuts them.
      world.balancer.cut(1, world.random);
      world.later(wakeAfter(frozen, stillMs, world));
      return first !== null && frozen === first.sluice ? first.where : 'random';
    },
  };
}

/** @param told has said that it will stand still, and may be on its way; or something else has ended it, and then another one is stopped at this moment. @returns who does. */
async function standingStill(told: Sluice | null, world: World): Promise<Sluice> {
  const deadline = systemClock.nowMicros() + BigInt(STOP_MS) * 1_000n;
  let sluice = told;
  while (systemClock.nowMicros() < deadline) {
    if (sluice === null) {
      sluice = pick(world.random, await twoAwake(world));
      sluice.signal('SIGSTOP');
    }
    if (sluice.isStopped()) return sluice;
    if (sluice.pid() === null) sluice = null;
    await systemClock.sleep(2);
  }
  throw new Error('Nobody could be made to stand still.');
}

async function wakeAfter(frozen: Sluice, stillMs: number, world: World): Promise<void> {
  await systemClock.sleep(stillMs);
  frozen.signal('SIGCONT');
  await frozen.disarm();
  await world.traffic({ deposits: 1, withdrawals: 1 });
}

/** Waits until two at least are awake and serve, so that one of them is left. @returns all who are. */
async function twoAwake({ sluices }: World): Promise<readonly Sluice[]> {
  const deadline = systemClock.nowMicros() + BigInt(AWAKE_MS) * 1_000n;
  while (systemClock.nowMicros() < deadline) {
    const awake = sluices.filter((sluice) => sluice.port() !== null && !sluice.isStopped());
    if (awake.length >= Math.min(2, sluices.length)) return awake;
    await systemClock.sleep(10);
  }
  throw new Error('Fewer than two serve, and no more come back.');
}

export const killedSigner: Schedule = {
  name: 'SIGKILL of the signer',
  kind: 'kill',
  run: async (world) => {
    const working = world.traffic({ withdrawals: 3 });
    await systemClock.sleep(world.random.next() * 100);
    await world.signer.kill();
    await working;
    return 'signer';
  },
};

export const rotatedKey: Schedule = {
  name: 'the signer comes back with another key',
  kind: 'other',
  run: async (world) => {
    const working = world.traffic({ withdrawals: 3 });
    await world.signer.rotate();
    await working;
    return 'rotated';
  },
};
