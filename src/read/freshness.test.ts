import { describe, expect, test } from 'vitest';
import { freshnessOf } from './freshness.ts';

const now = 1_795_305_600_000_000n;
const ago = (seconds: number): bigint => now - BigInt(seconds) * 1_000_000n;
const live = { status: 'RUNNING', observedAt: ago(1), recordTime: ago(2), now } as const;

describe('freshness', () => {
  test.each([
    ['IDLE', live],
    ['IDLE', { ...live, observedAt: ago(75), recordTime: ago(150) }],
    ['BEHIND', { ...live, recordTime: ago(151) }],
    ['BEHIND', { ...live, recordTime: ago(35 * 60) }],
    ['QUIET', { ...live, recordTime: ago(35 * 60 + 1) }],
    ['STALLED', { ...live, observedAt: ago(76) }],
    ['STALLED', { ...live, observedAt: ago(76), recordTime: ago(9_999) }],
    ['STARTING', { ...live, observedAt: null }],
    ['STARTING', { ...live, recordTime: null }],
    ['STARTING', { status: 'STARTING', observedAt: null, recordTime: null, now }],
    ['HALTED', { ...live, status: 'HALTED' }],
    ['HALTED', { status: 'HALTED', observedAt: null, recordTime: null, now }],
  ] as const)('%s: %o', (state, input) => {
    expect(freshnessOf(input).state).toBe(state);
  });

  test('the age is whole milliseconds, never negative, and null without a record time', () => {
    expect(freshnessOf({ ...live, recordTime: now - 1_999n }).ageMs).toBe(1);
    expect(freshnessOf({ ...live, recordTime: now + 5_000_000n })).toMatchObject({ ageMs: 0, state: 'IDLE' });
    expect(freshnessOf({ ...live, recordTime: null }).ageMs).toBeNull();
    // 0001-01-01, as imported contracts have it.
    expect(freshnessOf({ ...live, recordTime: -62_135_596_800_000_000n }).ageMs).toBe(63_930_902_400_000);
  });
});
