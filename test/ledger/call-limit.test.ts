import { expect, test } from 'vitest';
import { createCallLimit } from '../../src/ledger/call-limit.ts';
import { createVirtualClock } from '../support/clock.ts';

test('in no second, wherever it begins, do more calls begin than may, and none is held up without need', async () => {
  const clock = createVirtualClock();
  const limit = createCallLimit({ clock, inFlightMax: 100, perSecondMax: 10 });
  const begun: bigint[] = [];
  const call = () =>
    limit.pass(async () => {
      begun.push(clock.nowMicros());
    });
  const first = clock.nowMicros();

  const early = Array.from({ length: 10 }, call);
  await clock.advance(0);
  expect(begun).toHaveLength(10);
  await clock.advance(500);
  const late = Array.from({ length: 25 }, call);
  await clock.advance(400);
  expect(begun).toHaveLength(10);
  await clock.advance(3_000);
  await Promise.all([...early, ...late]);

  for (const start of begun) {
    expect(begun.filter((at) => at >= start && at < start + 1_000_000n).length).toBeLessThanOrEqual(10);
  }
  expect(begun).toHaveLength(35);
  expect((begun.at(-1) ?? 0n) - first).toBeLessThan(3_100_000n);
});

test('calls in flight wait for a place, in the order in which they came, also after one that failed', async () => {
  const clock = createVirtualClock();
  const limit = createCallLimit({ clock, inFlightMax: 2, perSecondMax: 1_000 });
  const log: string[] = [];
  const work = (name: string, fails = false) =>
    limit.pass(async () => {
      log.push(`${name} begins`);
      await clock.sleep(100);
      log.push(`${name} ends`);
      if (fails) throw new Error(name);
      return name;
    });

  const all = Promise.allSettled([work('a', true), work('b'), work('c'), work('d')]);
  await clock.advance(99);
  expect(log).toEqual(['a begins', 'b begins']);
  await clock.advance(300);

  expect((await all).map(({ status }) => status)).toEqual(['rejected', 'fulfilled', 'fulfilled', 'fulfilled']);
  expect(log.filter((line) => line.endsWith('begins'))).toEqual(['a begins', 'b begins', 'c begins', 'd begins']);
  expect(clock.sleepersCount()).toBe(0);
});
