/** Notifications between simulated processes: hints of committed transactions that come late, or not at all. */
import { NEWS_LISTENER } from '../../src/db/event-log.ts';
import type { Notifications, Wake } from '../../src/db/notifications.ts';
import type { Dice } from './dice.ts';
import type { FaultPlan } from './fault-plan.ts';
import type { Marks } from './marks.ts';
import type { Actor, Scheduler } from './scheduler.ts';
import type { Notice } from './server-sessions.ts';

export type Hints = {
  /** What a process listens with. */
  notificationsOf(actor: Actor): Notifications;
  /** A transaction that notified has committed. */
  give(notice: Notice): void;
  /** The process is gone. */
  forget(actor: Actor): void;
};

export type HintsOptions = {
  readonly scheduler: Scheduler;
  readonly faults: FaultPlan;
  readonly dice: Dice;
  readonly marks: Marks;
};

/** How late hints come at most: prompt ones wake a loop for every change, late ones once for many. */
const LATE_MS_MAX = [5, 50, 400] as const;
const CALM_LATE_MS_MAX = 1_500;

export function createHints({ scheduler, faults, dice, marks }: HintsOptions): Hints {
  const lateMsMax = dice.pick(LATE_MS_MAX);
  const listeners = new Set<{ readonly actor: Actor; readonly channel: string; readonly wake: Wake }>();
  return {
    notificationsOf: (actor) => {
      const listen = (channel: string, wake: Wake): (() => void) => {
        const listener = { actor, channel, wake };
        listeners.add(listener);
        return () => void listeners.delete(listener);
      };
      return { listen, listenBy: listen, close: async () => undefined };
    },
    give: (notice) => {
      for (const { actor, channel, wake } of listeners) {
        if (channel !== notice.channel || faults.strikes('hintLost')) continue;
        scheduler.enqueue({
          actor,
          label: `hint ${channel}`,
          delayMs: dice.integer(0, faults.isOver() ? CALM_LATE_MS_MAX : lateMsMax),
          run: () => {
            wake(notice.said);
            if (channel === NEWS_LISTENER) marks.add('told of events by their commit');
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
