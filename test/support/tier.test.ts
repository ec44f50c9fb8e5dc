import { expect, test } from 'vitest';
import { readTier, rounds } from './tier.ts';

test('a run is a test unless it is told to prove', () => {
  expect(['', 'test', 'prove'].map((value) => readTier(value))).toEqual(['test', 'test', 'prove']);
  expect(rounds(3, 50)).toBe(process.env['SLUICE_TIER'] === 'prove' ? 50 : 3);
});

test('a misspelt tier is an error, and not a quiet small run', () => {
  expect(() => readTier('proof')).toThrow('SLUICE_TIER is proof');
});
