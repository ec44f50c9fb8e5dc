/**
 * The order in which test files begin. Those that take long go first: one that begins last would keep one worker busy while the others have nothing left to do.
 */
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Parts of paths, the longest-running first. */
const LONG = [
  'test/chaos/chaos',
  'test/drills/',
  'test/outages/database',
  'test/mutants/',
  'test/e2e/dev',
  'test/withdrawals/kill',
  'test/signer/processes',
  'test/ingestion/endpoint-failover',
  'test/outages/rewind',
  'test/e2e/withdrawals',
  'test/outages/replicas',
  'test/e2e/screening',
  'test/deposits/screening',
  'test/ingestion/zombie',
  'test/withdrawals/payouts',
  'test/withdrawals/offer-ends',
  'test/signer/payouts',
  'test/outages/',
  'test/scan/strategies',
  'test/withdrawals/ledger-refusals',
  'test/withdrawals/retries',
  'test/processes/',
  'test/deposits/acceptance-kill',
  'test/examples/',
  'test/books/invariants',
  'test/withdrawals/hints',
  'test/withdrawals/offers',
  'test/ingestion/kill',
  'test/e2e/',
  'test/db/embedded',
  'test/recovery/',
  'test/ingestion/rebuild',
  'test/ingestion/outage',
  'test/withdrawals/guide',
  'test/api/attacks',
  'test/scan/payouts',
  'test/withdrawals/traffic',
  'test/simulation/',
  'test/ingestion/crash-loop',
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
