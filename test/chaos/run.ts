/** Runs schedules one after the other in a running world, and looks after each of them, at rest, whether everything is as it must be. */
import { messageOf } from '../../src/env/errors.ts';
import { systemClock } from '../../src/env/system.ts';
import type { Violations } from './checker.ts';
import { checkAtRest, type Verdict } from './rest.ts';
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
 * @throws what the harness does, where nothing is wrong with the system in the end.
 */
export async function runRound(
  world: World,
  schedules: readonly Schedule[],
  { isFull }: { readonly isFull: boolean },
): Promise<Outcome> {
  const startedAt = systemClock.nowMicros();
  const struck: { name: string; kind: FaultKind; where: string }[] = [];
  const outcome = (verdict: Verdict): Outcome => {
    return { ...verdict, struck, durationMs: Number((systemClock.nowMicros() - startedAt) / 1_000n) };
  };
  try {
    for (const schedule of schedules) {
      struck.push({ name: schedule.name, kind: schedule.kind, where: await schedule.run(world) });
    }
    await world.settled();
  } catch (error) {
    // What was asked for did not happen in time. Whoever looks at the harness alone would miss the Sluice that is behind it.
    const { violations, passing } = await checkAtRest(world, { isFull: false });
    if (violations.length === 0) throw error;
    return outcome({ violations: [...violations, `after: ${messageOf(error)}`], passing });
  }
  return outcome(await checkAtRest(world, { isFull }));
}
