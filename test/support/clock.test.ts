import { expect, test } from 'vitest';
import { createVirtualClock } from './clock.ts';

test('sleepers wake in the order of their deadlines, each at its own time, loops included', async () => {
  const clock = createVirtualClock(0n);
  const woken: string[] = [];
  const loop = async (name: string, intervalMs: number): Promise<void> => {
    for (;;) {
      await clock.sleep(intervalMs);
      woken.push(`${name} at ${clock.nowMicros()}`);
    }
  };
  void loop('slow', 2.5);
  void loop('fast', 1);

  await clock.advance(3);

  expect(woken).toEqual(['fast at 1000', 'fast at 2000', 'slow at 2500', 'fast at 3000']);
  expect(clock.nowMicros()).toBe(3_000n);
  expect(clock.sleepersCount()).toBe(2);
});

test('an aborted sleep ends at once and without an error', async () => {
  const clock = createVirtualClock();
  const abort = new AbortController();
  const sleeping = clock.sleep(60_000, abort.signal);

  abort.abort();
  await sleeping;
  await clock.sleep(60_000, abort.signal);

  expect(clock.sleepersCount()).toBe(0);
});
