/** Runs schedules one after the other in a running world, and looks after each of them, at rest, whether everything is as it must be. */
import { systemClock } from '../../src/env/system.ts';
import type { Violations } from './checker.ts';
import { checkAtRest } from './rest.ts';
import type { FaultKind, Schedule } from './schedule.ts';
import type { World } from './world.ts';

export type Outcome = {
  /** One per schedule: its name, what is counted of it, and where it struck: a failpoint, or what else. */
  readonly struck: readonly { readonly name: string; readonly kind: FaultKind; readonly where: string }[];
  readonly durationMs: number;
  /** Of the round as a whole: everything is looked at when all of it has come to rest. */
  readonly violations: Violations;
  /** What was seen while work began and was gone when it was done: no violation, for people to look at. */
  readonly passing: Violations;
};

/**
 * A round: the schedules one after the other, each beginning where the one before has left the system, then rest.
 * @param isFull also derives everything again.
 */
export async function runRound(
  world: World,
  schedules: readonly Schedule[],
  { isFull }: { readonly isFull: boolean },
): Promise<Outcome> {
  const startedAt = systemClock.nowMicros();
  const struck: { name: string; kind: FaultKind; where: string }[] = [];
  for (const schedule of schedules) {
    struck.push({ name: schedule.name, kind: schedule.kind, where: await schedule.run(world) });
  }
  await world.settled();
  const verdict = await checkAtRest(world, { isFull });
  return { ...verdict, struck, durationMs: Number((systemClock.nowMicros() - startedAt) / 1_000n) };
}
