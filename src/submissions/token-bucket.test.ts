import fc from 'fast-check';
import { expect, test } from 'vitest';
import { filled, fullBucket } from './token-bucket.ts';

const rates = fc.record({
  perSecond: fc.bigInt({ min: 0n, max: 10_000_000n }),
  capacity: fc.bigInt({ min: 1n, max: 10_000_000n }),
});

test('E17: however often it is looked at, no more is spent than the rate and one full bucket', () => {
  fc.assert(
    fc.property(rates, fc.array(fc.bigInt({ min: 0n, max: 3_000_000n }), { maxLength: 60 }), (rate, steps) => {
      let bucket = fullBucket(rate, 0n);
      let now = 0n;
      let spent = 0n;
      for (const step of steps) {
        now += step;
        bucket = filled(bucket, rate, now);
        expect(bucket.level).toBeLessThanOrEqual(rate.capacity);
        spent += bucket.level;
        bucket = { ...bucket, level: 0n };
      }
      expect(spent).toBeLessThanOrEqual(rate.capacity + (now * rate.perSecond) / 1_000_000n);
    }),
  );
});

test('looking often loses nothing: it is full again after the time that it takes', () => {
  const rate = { perSecond: 3n, capacity: 30n };
  let bucket = { level: 0n, filledAt: 0n };
  for (let now = 0n; now <= 10_100_000n; now += 1_000n) bucket = filled(bucket, rate, now);
  expect(bucket.level).toBe(30n);
});

test('a clock that goes back gives nothing', () => {
  expect(filled({ level: 2n, filledAt: 100n }, { perSecond: 1_000n, capacity: 10n }, 50n)).toEqual({
    level: 2n,
    filledAt: 100n,
  });
});

test('a clock that was far ahead is not waited for', () => {
  const rate = { perSecond: 1n, capacity: 10n };
  const left = filled({ level: 0n, filledAt: 1_200_000_000n }, rate, 0n);
  expect(left).toEqual({ level: 0n, filledAt: 0n });
  expect(filled(left, rate, 3_000_000n).level).toBe(3n);
});
