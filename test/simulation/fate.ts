/** What befalls a schedule from outside, every second or so: processes stop and die, the participant falls silent, what is stored goes back in time. */
import type { Dice } from './dice.ts';
import type { FaultPlan } from './fault-plan.ts';
import type { Marks } from './marks.ts';
import type { Stall } from './outside-calls.ts';
import type { Process } from './process.ts';
import type { Scheduler } from './scheduler.ts';

export type Fate = {
  readonly processes: readonly Process[];
  readonly dice: Dice;
  readonly faults: FaultPlan;
  readonly stall: Stall;
  readonly scheduler: Scheduler;
  readonly marks: Marks;
  /** @returns what it did, for the trace; empty: nothing. */
  readonly restoreNode: () => string;
  readonly restoreDatabase: () => Promise<string>;
};

/** Strikes once, or not. @returns what happened, for the trace. */
export async function strike(fate: Fate): Promise<string> {
  const { processes, dice, faults, stall, scheduler, marks, restoreNode, restoreDatabase } = fate;
  const process = dice.pick(processes);
  if (faults.isOn('pause') && dice.chance(0.15)) {
    process.pause();
    marks.add('process paused');
    return `pause ${process.name}`;
  }
  if (faults.isOn('crash') && dice.chance(0.1)) {
    process.crash('fate');
    marks.add('process crashed');
    return `crash ${process.name}`;
  }
  if (faults.isOn('nodeRestored') && dice.chance(0.1)) return restoreNode();
  if (faults.isOn('databaseRestored') && dice.chance(0.3)) {
    const done = await restoreDatabase();
    if (done !== '') return done;
  }
  if (faults.isOn('participantStall') && dice.chance(0.1)) {
    stall.untilMicros = scheduler.clock.nowMicros() + BigInt(Math.round(dice.logUniform(1, 20_000))) * 1_000n;
    return 'participant silent';
  }
  return '';
}
