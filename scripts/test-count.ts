/**
 * Reads what test runs reported, as vitest's JSON.
 *
 *   node scripts/test-count.ts failed STATUS FIRST   prints the files with a failed test, one a line; nothing where there are too many to be an accident, or something else failed as well
 *   node scripts/test-count.ts count STATUS FIRST [STATUS AGAIN]
 *                                                   prints the count; with AGAIN, the second run of those files alone, what failed at first and passed then is named, and counts as passed
 *
 * STATUS is the exit code of a run with the reporter tests-alone.ts: what failed beside the tests fails the whole, whatever the second run comes to.
 *
 * The machine of the CI has two cores and other work: a test that stands when it runs alone did not find a mistake in what it tests. It is named, so that nobody has to wonder whether it was a race of ours.
 */
import { existsSync, readFileSync } from 'node:fs';
import { z } from 'zod';
import { TESTS_FAILED } from './tests-alone.ts';

/** More failures than this are no accident. */
const AGAIN_MAX = 8;

const reportSchema = z.object({
  numPassedTests: z.number(),
  numFailedTests: z.number(),
  numPendingTests: z.number(),
  numTodoTests: z.number(),
  testResults: z.array(
    z.object({
      name: z.string(),
      status: z.string(),
      assertionResults: z.array(z.object({ status: z.string(), fullName: z.string() })),
    }),
  ),
});
type Report = z.infer<typeof reportSchema>;

const [verb, ...rest] = process.argv.slice(2);
if (verb === 'failed') {
  const [status = '', first = ''] = rest;
  const report = reportOf(first);
  const files = report?.testResults.filter((file) => file.status === 'failed') ?? [];
  const isAccident = files.length <= AGAIN_MAX && (report?.numFailedTests ?? 0) <= AGAIN_MAX;
  if (status === String(TESTS_FAILED) && isAccident) for (const { name } of files) console.log(name);
} else if (verb === 'count') {
  const [status = '', first = '', statusAgain = '0', again = ''] = rest;
  process.exitCode = count([status, statusAgain], reportOf(first), reportOf(again));
} else {
  throw new Error('Say `failed` or `count`.');
}

/** @returns null where the run ended before it could report. */
function reportOf(file: string): Report | null {
  if (file === '' || !existsSync(file)) return null;
  const text = readFileSync(file, 'utf8');
  return text === '' ? null : reportSchema.parse(JSON.parse(text));
}

function count(statuses: readonly string[], first: Report | null, again: Report | null): number {
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
  const isMore = passed === 0 || statuses.some((status) => status !== '0' && status !== String(TESTS_FAILED));
  if (isMore) console.log('something failed that is no test: see above');
  const all = failed + (isMore ? 1 : 0);
  console.log(`${passed} passed, ${all} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
  return all > 0 ? 1 : 0;
}

function namesOf({ testResults }: Report, status: string): Set<string> {
  return new Set(
    testResults.flatMap(({ name, assertionResults }) =>
      assertionResults.filter((each) => each.status === status).map(({ fullName }) => `${name}: ${fullName}`),
    ),
  );
}
