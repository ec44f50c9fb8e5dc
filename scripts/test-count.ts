/**
 * Reads what test runs reported, as vitest's JSON.
 *
 *   node scripts/test-count.ts failed STATUSES REPORTS   prints the files with a failed test, one a line; nothing where there are too many to be an accident, or something else failed as well
 *   node scripts/test-count.ts count STATUSES REPORTS [STATUS AGAIN]
 *                                                       prints the count; with AGAIN, the second run of those files alone, what failed at first and passed then is named, and counts as passed
 *
 * REPORTS are those of the runs that together are everything, with commas; STATUSES their exit codes, of runs with the reporter tests-alone.ts: what failed beside the tests fails the whole, whatever the second run comes to.
 *
 * The machine of the CI has two cores and other work: a test that stands when it runs alone did not find a mistake in what it tests. It is named, so that nobody has to wonder whether it was a race of ours.
 */
import { readReports, type TestReport } from './test-report.ts';
import { TESTS_FAILED } from './tests-alone.ts';

/** More failures than this are no accident. */
const AGAIN_MAX = 8;

const [verb, ...rest] = process.argv.slice(2);
if (verb === 'failed') {
  const [statuses = '', reports = ''] = rest;
  const report = readReports(reports.split(','));
  const files = report?.testResults.filter((file) => file.status === 'failed') ?? [];
  const isAccident = files.length <= AGAIN_MAX && (report?.numFailedTests ?? 0) <= AGAIN_MAX;
  if (isAccident && statuses.split(',').every(isOfTests)) for (const { name } of files) console.log(name);
} else if (verb === 'count') {
  const [statuses = '', first = '', statusAgain = '0', again = ''] = rest;
  process.exitCode = count(
    [...statuses.split(','), statusAgain],
    readReports(first.split(',')),
    readReports(again.split(',')),
  );
} else {
  throw new Error('Say `failed` or `count`.');
}

/** Whether nothing failed but tests. */
function isOfTests(status: string): boolean {
  return status === '0' || status === String(TESTS_FAILED);
}

function count(statuses: readonly string[], first: TestReport | null, again: TestReport | null): number {
  const passedAgain = again === null ? new Set<string>() : namesOf(again, 'passed');
  const failedAgain = again === null ? new Set<string>() : namesOf(again, 'failed');
  const failedFirst = first === null ? new Set<string>() : namesOf(first, 'failed');
  const mended = [...failedFirst].filter((name) => passedAgain.has(name));
  for (const name of mended) console.log(`passed only when run again, alone: ${name}`);
  // What passed at first and failed alone failed.
  const broken = [...failedAgain].filter((name) => !failedFirst.has(name)).length;
  const failed = (first?.numFailedTests ?? 0) - mended.length + broken;
  const passed = (first?.numPassedTests ?? 0) + mended.length - broken;
  const skipped = (first?.numPendingTests ?? 0) + (first?.numTodoTests ?? 0);
  // What is no test's, and a run that ended early, before or between tests, is a failure beside those of the tests.
  const isMore = passed === 0 || !statuses.every(isOfTests);
  if (isMore) console.log('something failed that is no test: see above');
  const all = failed + (isMore ? 1 : 0);
  console.log(`${passed} passed, ${all} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
  return all > 0 ? 1 : 0;
}

function namesOf({ testResults }: TestReport, status: string): Set<string> {
  return new Set(
    testResults.flatMap(({ name, assertionResults }) =>
      assertionResults.filter((each) => each.status === status).map(({ fullName }) => `${name}: ${fullName}`),
    ),
  );
}
