import { expect, test } from 'vitest';
import { retryDelayMs } from './retry-delay.ts';

const LIMITS = { id: 'oa_1', minMs: 1_000, maxMs: 6_000 };

test('it doubles until it is at its longest', () => {
  const delays = [1, 2, 3].map((attempts) => retryDelayMs({ ...LIMITS, attempts, failedAt: 0n }));
  expect(delays).toEqual([1_000, 2_000, 4_000]);
});

test('at its longest it keeps no pace, whatever the count of attempts', () => {
  const delays = Array.from({ length: 100 }, (_, second) =>
    retryDelayMs({ ...LIMITS, attempts: 2_000, failedAt: BigInt(second) * 1_000_000n }),
  );
  for (const delay of delays) {
    expect(delay).toBeGreaterThanOrEqual(3_000);
    expect(delay).toBeLessThanOrEqual(6_000);
  }
  expect(new Set(delays).size).toBeGreaterThan(90);
});

test('the same for the same input', () => {
  const retry = { ...LIMITS, attempts: 9, failedAt: 7n };
  expect(retryDelayMs(retry)).toBe(retryDelayMs(retry));
});
