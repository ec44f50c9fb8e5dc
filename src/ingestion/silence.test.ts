import { expect, test } from 'vitest';
import { createVirtualClock } from '../../test/support/clock.ts';
import { type Clock, microsToMillis } from '../env/clock.ts';
import { unlessSilent } from './silence.ts';

const MAX_MS = 75_000;

/** Items at those times, then nothing, until it is told to end. */
function speaker(clock: Clock, atMs: readonly number[]) {
  return async function* (signal: AbortSignal): AsyncGenerator<number> {
    for (const moment of atMs) {
      await clock.sleep(moment - microsToMillis(clock.nowMicros()), signal);
      if (signal.aborted) return;
      yield moment;
    }
    await new Promise<void>((resolve) => {
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
  };
}

/** Reads to the end. @returns what came, and what ended it when. */
function read(clock: Clock, items: AsyncIterable<number>, takesMs = 0) {
  const seen = { items: [] as number[], ended: '' };
  void (async () => {
    try {
      for await (const item of items) {
        seen.items.push(item);
        await clock.sleep(takesMs);
      }
    } catch (error) {
      const code = error !== null && typeof error === 'object' && 'code' in error ? error.code : error;
      seen.ended = `${code} at ${microsToMillis(clock.nowMicros())}`;
    }
  })();
  return seen;
}

test('silence is found when it has lasted for as long as was said, from the last item on, and no later', async () => {
  const clock = createVirtualClock(0n);
  const { signal } = new AbortController();
  const seen = read(clock, unlessSilent(speaker(clock, [10, 50_000]), { clock, signal, silenceMsMax: MAX_MS }));

  await clock.advance(200_000);

  expect(seen).toEqual({ items: [10, 50_000], ended: 'STREAM_STALLED at 125000' });
  expect(clock.sleepersCount()).toBe(0);
});

test('who takes his time with an item does not count as silence, however long', async () => {
  const clock = createVirtualClock(0n);
  const { signal } = new AbortController();
  const reading = unlessSilent(speaker(clock, [10, 20]), { clock, signal, silenceMsMax: MAX_MS });
  const seen = read(clock, reading, 10 * MAX_MS);

  await clock.advance(20 * MAX_MS + 20);
  expect(seen).toEqual({ items: [10, 20], ended: '' });

  await clock.advance(2 * MAX_MS);
  expect(seen.ended).toMatch(/^STREAM_STALLED at /);
});

test('a wall clock that is set back does not make us wait for it to come as far again', async () => {
  const elapsed = createVirtualClock(0n);
  let setBack = 0n;
  const clock: Clock = {
    nowMicros: () => elapsed.nowMicros() - setBack,
    elapsedMs: () => microsToMillis(elapsed.nowMicros()),
    sleep: elapsed.sleep,
  };
  const { signal } = new AbortController();
  const reading = unlessSilent(speaker(elapsed, [10]), { clock, signal, silenceMsMax: MAX_MS });
  const seen = read(elapsed, reading);

  await elapsed.advance(1_000);
  setBack = 3_600_000_000n;
  await elapsed.advance(MAX_MS);

  expect(seen.ended).toBe(`STREAM_STALLED at ${MAX_MS + 10}`);
});
