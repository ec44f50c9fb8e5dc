/**
 * The order in which test files begin. Those that take minutes go first: one that begins last would keep one worker busy while the other has nothing left to do.
 */
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Parts of paths, the longest-running first. */
const LONG = [
  'test/simulation/',
  'test/withdrawals/kill',
  'test/ingestion/kill',
  'test/e2e/',
  'test/outages/',
  'test/custody/fuzz',
  'test/tokens/',
];

export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const others = await super.sort(files);
    return others.sort((left, right) => rankOf(left) - rankOf(right)); // Stable: the rest stays as it was.
  }
}

function rankOf({ moduleId }: TestSpecification): number {
  const rank = LONG.findIndex((part) => moduleId.includes(part));
  return rank === -1 ? LONG.length : rank;
}
