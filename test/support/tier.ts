/**
 * How often long repetitions are made: a small number in `npm test`, which everybody waits for, and the full one where a release is proven
 * (SLUICE_TIER=prove, set by `npm run prove`). Every promise is tested in both; what differs is how many chances it is given to break.
 */
export type Tier = 'test' | 'prove';

/** @throws when SLUICE_TIER is neither a tier nor left out: a misspelt one would quietly prove less. */
export function readTier(value = process.env['SLUICE_TIER']): Tier {
  if (value === undefined || value === '' || value === 'test') return 'test';
  if (value === 'prove') return 'prove';
  throw new Error(`SLUICE_TIER is ${value}, and neither test nor prove.`);
}

/** The one of the two numbers that the tier of this run asks for: rounds, kills, seeds, or milliseconds where they follow from these. */
export function rounds(inTest: number, inProve: number): number {
  return readTier() === 'prove' ? inProve : inTest;
}
