/** What is said of a preapproval, at every distance from its end. */
import { expect, test } from 'vitest';
import { ALARM_MICROS, healthOf } from './preapproval-health.ts';

const NOW = 1_800_000_000_000_000n;
const seen = (expiresAt: bigint | null) => healthOf({ checkedAt: NOW, trouble: null, expiresAt }, NOW).state;

test('G7: the alarm comes two weeks before the end, and again at it', () => {
  expect(seen(NOW + ALARM_MICROS + 1n)).toBe('VALID');
  expect(seen(NOW + ALARM_MICROS)).toBe('EXPIRING');
  expect(seen(NOW + 1n)).toBe('EXPIRING');
  expect(seen(NOW)).toBe('EXPIRED');
  expect(seen(null)).toBe('NONE');
});

test('G7: a look that is too old says nothing', () => {
  const old = { checkedAt: NOW - 3_600_000_001n, trouble: 'away', expiresAt: NOW + 2n * ALARM_MICROS };

  expect(healthOf(old, NOW)).toEqual({ state: 'UNKNOWN', alarm: 'The participant was not asked for long: away.' });
  expect(healthOf({ ...old, checkedAt: null }, NOW).state).toBe('UNKNOWN');
});

test('days are named, and only where all is well nothing is said', () => {
  const alarm = (left: bigint) => healthOf({ checkedAt: NOW, trouble: null, expiresAt: NOW + left }, NOW).alarm;

  expect(alarm(3n * 86_400_000_000n)).toContain('3 days');
  expect(alarm(5n)).toContain('less than a day');
  expect(alarm(2n * ALARM_MICROS)).toBeNull();
});
