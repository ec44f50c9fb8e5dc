/**
 * Submissions that commit in the very last microsecond they may, which Canton takes as inclusive, and after another update of the same microsecond has been seen: whoever thinks that a record time at
 * the target proves anything is wrong then.
 */
import type { Clock, Micros } from '../../src/env/clock.ts';
import { type Network, TREASURY } from '../../src/simnet/network.ts';
import type { Dice } from './dice.ts';
import type { Marks } from './marks.ts';
import { DIRECT } from './orders.ts';
import type { Scheduler } from './scheduler.ts';
import type { Truth } from './truth.ts';

/** The network's time: the scheduler's, until it is held. */
export type PinnedClock = { readonly clock: Clock; pin(at: Micros): void; release(): void };

export type LastMoment = {
  /** Holds the network's time at `target` once it comes, lets another update happen, and calls `execute` a while later. */
  commitAt(target: Micros, execute: () => Promise<void>): void;
  /** Everything has come to rest: from now on no other update is made for it, since nobody may be left to read that. What is under way commits all the same. */
  rest(): void;
};

/** Long enough for others to see the first update and act on it, also for those who look only every ten seconds. */
const HELD_MS_MAX = 12_000;

const HELD_LOOK_MS = 300;

export function createPinnedClock(clock: Clock): PinnedClock {
  let pinned: Micros | null = null;
  return {
    clock: {
      nowMicros: () => pinned ?? clock.nowMicros(),
      // Who waits for a time that does not come is not to look for it every millisecond.
      sleep: async (durationMs, signal) =>
        await clock.sleep(pinned === null || durationMs <= 0 ? durationMs : Math.max(durationMs, HELD_LOOK_MS), signal),
    },
    pin: (at) => {
      pinned = at;
    },
    release: () => {
      pinned = null;
    },
  };
}

export function createLastMoment({
  scheduler,
  network,
  networkClock,
  truth,
  dice,
  marks,
}: {
  readonly scheduler: Scheduler;
  readonly network: Network;
  readonly networkClock: PinnedClock;
  readonly truth: Truth;
  readonly dice: Dice;
  readonly marks: Marks;
}): LastMoment {
  const synchronizer = scheduler.createActor('synchronizer');
  let isHeld = false;
  let isResting = false;
  return {
    rest: () => {
      isResting = true;
    },
    commitAt: (target, execute) => {
      const now = scheduler.clock.nowMicros();
      if (isHeld || target <= now) return;
      isHeld = true;
      let isCommitted = false;
      const act = (label: string, delayMs: number, run: () => Promise<void>): void =>
        void scheduler.enqueue({
          actor: synchronizer,
          label,
          delayMs,
          run: async () => {
            await run();
            await truth.catchUp();
            return '';
          },
        });
      act('time is held at a target', Number(target - now) / 1_000, async () => {
        // Both may be due at once, and whoever is second finds the other done: nobody would let go of a time that is held then.
        if (isResting || isCommitted) return;
        networkClock.pin(target);
        network.tap({ instrument: DIRECT, owner: TREASURY, amount: '1' });
      });
      act('commit at the target', Number(target - now) / 1_000 + 1 + dice.integer(0, HELD_MS_MAX), async () => {
        const before = truth.updates().at(-1)?.recordTime;
        network.setDelays({ sequencingMs: 0, verdictMs: 0 });
        network.shareRecordTime();
        await execute();
        networkClock.release();
        isHeld = false;
        isCommitted = true;
        if (before === target) marks.add('commit at the target');
      });
    },
  };
}
