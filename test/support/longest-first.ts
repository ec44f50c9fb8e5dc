/**
 * The order in which test files begin. Those that take long go first: one that begins last would keep one worker busy while the others have nothing left to do.
 */
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Parts of paths, the longest-running first. */
const LONG = [
  'test/simulation/simulation',
  'test/simulation/',
  'test/mutants/',
  'test/chaos/',
  'test/e2e/dev',
  'test/withdrawals/kill',
  'test/drills/',
  'test/outages/',
  'test/signer/processes',
  'test/ingestion/kill',
  'test/ingestion/zombie',
  'test/ingestion/endpoint-failover',
  'test/e2e/',
  'test/withdrawals/retries',
  'test/withdrawals/payouts',
  'test/withdrawals/offer-ends',
  'test/deposits/acceptance-kill',
  'test/deposits/screening',
  'test/ingestion/crash-loop',
  'test/ingestion/rebuild',
  'test/withdrawals/guide',
  'test/recovery/',
  'test/signer/payouts',
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
