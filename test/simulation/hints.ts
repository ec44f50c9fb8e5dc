/** Notifications between simulated processes: hints of committed transactions that come late, or not at all. */
import type { Notifications, Wake } from '../../src/db/notifications.ts';
import type { Dice } from './dice.ts';
import type { FaultPlan } from './fault-plan.ts';
import type { Actor, Scheduler } from './scheduler.ts';

export type Hints = {
  /** What a process listens with. */
  notificationsOf(actor: Actor): Notifications;
  /** A transaction that notified `channel` has committed. */
  give(channel: string): void;
  /** The process is gone. */
  forget(actor: Actor): void;
};

export type HintsOptions = { readonly scheduler: Scheduler; readonly faults: FaultPlan; readonly dice: Dice };

/** How late hints come at most: prompt ones wake a loop for every change, late ones once for many. */
const LATE_MS_MAX = [5, 50, 400] as const;
const CALM_LATE_MS_MAX = 1_500;

export function createHints({ scheduler, faults, dice }: HintsOptions): Hints {
  const lateMsMax = dice.pick(LATE_MS_MAX);
  const listeners = new Set<{ readonly actor: Actor; readonly channel: string; readonly wake: Wake }>();
  return {
    notificationsOf: (actor) => ({
      listen: (channel, wake) => {
        const listener = { actor, channel, wake };
        listeners.add(listener);
        return () => void listeners.delete(listener);
      },
      close: async () => undefined,
    }),
    give: (given) => {
      for (const { actor, channel, wake } of listeners) {
        if (channel !== given || faults.strikes('hintLost')) continue;
        scheduler.enqueue({
          actor,
          label: `hint ${channel}`,
          delayMs: dice.integer(0, faults.isOver() ? CALM_LATE_MS_MAX : lateMsMax),
          run: () => {
            wake(''); // How far the log reaches is not simulated: whoever is woken looks.
            return '';
          },
        });
      }
    },
    forget: (actor) => {
      for (const listener of listeners) if (listener.actor === actor) listeners.delete(listener);
    },
  };
}
