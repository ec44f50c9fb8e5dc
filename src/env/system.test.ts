import { expect, test } from 'vitest';
import { systemClock } from './system.ts';

test('the clock follows the wall clock, also after it was set or the machine slept', () => {
  const real = Date.now;
  try {
    Date.now = () => 1_795_305_600_123;
    expect(systemClock.nowMicros()).toBe(1_795_305_600_123_000n);
  } finally {
    Date.now = real;
  }
});
