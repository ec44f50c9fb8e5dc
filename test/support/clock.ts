/** A clock that stands still until a test moves it. */
import { type Clock, type Micros, millisToMicros } from '../../src/env/clock.ts';

export type VirtualClock = Clock & {
  /**
   * Moves time on by `durationMs`, waking sleepers in the order of their deadlines (first come, first served among equals) and letting
   * each run until it waits again, so that a loop of short sleeps is run through and not skipped.
   */
  advance(durationMs: number): Promise<void>;
  /** How many wait at the moment: 0 at the end of a test proves that no loop is left. */
  sleepersCount(): number;
};

type Sleeper = { readonly wakeAt: Micros; readonly order: number; readonly wake: () => void };

/** 2026-01-01T00:00:00Z. */
const DEFAULT_START: Micros = 1_767_225_600_000_000n;

export function createVirtualClock(startMicros: Micros = DEFAULT_START): VirtualClock {
  let now = startMicros;
  let order = 0;
  const sleepers = new Set<Sleeper>();

  const next = (until: Micros): Sleeper | undefined =>
    [...sleepers]
      .filter((sleeper) => sleeper.wakeAt <= until)
      .sort((a, b) => Number(a.wakeAt - b.wakeAt) || a.order - b.order)[0];

  return {
    nowMicros: () => now,
    sleep: async (durationMs, signal) => {
      if (signal?.aborted === true) return;
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          sleepers.delete(sleeper);
          signal?.removeEventListener('abort', wake);
          resolve();
        };
        const sleeper: Sleeper = { wakeAt: now + millisToMicros(durationMs), order: order++, wake };
        sleepers.add(sleeper);
        signal?.addEventListener('abort', wake, { once: true });
      });
    },
    advance: async (durationMs) => {
      const until = now + millisToMicros(durationMs);
      await settle();
      for (let sleeper = next(until); sleeper !== undefined; sleeper = next(until)) {
        if (sleeper.wakeAt > now) now = sleeper.wakeAt;
        sleeper.wake();
        await settle();
      }
      now = until;
    },
    sleepersCount: () => sleepers.size,
  };
}

/** Lets everything that is ready run: promise callbacks, and one round of the event loop for sockets on this machine. */
async function settle(): Promise<void> {
  await new Promise<void>((resolve) => {
    setImmediate(resolve);
  });
}
