/** What runs of the test runner reported, as vitest's JSON. */
import { existsSync, readFileSync } from 'node:fs';
import { z } from 'zod';

const reportSchema = z.object({
  numPassedTests: z.number(),
  numFailedTests: z.number(),
  numPendingTests: z.number(),
  numTodoTests: z.number(),
  testResults: z.array(
    z.object({
      name: z.string(),
      status: z.string(),
      assertionResults: z.array(z.object({ status: z.string(), title: z.string(), fullName: z.string() })),
    }),
  ),
});
export type TestReport = z.infer<typeof reportSchema>;

/**
 * @param files of runs of different tests, or of one.
 * @returns them as one, without those that ended before they could report; null where none could.
 */
export function readReports(files: readonly string[]): TestReport | null {
  const reports: TestReport[] = [];
  for (const file of files) {
    const text = existsSync(file) ? readFileSync(file, 'utf8') : '';
    if (text !== '') reports.push(reportSchema.parse(JSON.parse(text)));
  }
  const [first, ...others] = reports;
  if (first === undefined) return null;
  return others.reduce(
    (sum, one) => ({
      numPassedTests: sum.numPassedTests + one.numPassedTests,
      numFailedTests: sum.numFailedTests + one.numFailedTests,
      numPendingTests: sum.numPendingTests + one.numPendingTests,
      numTodoTests: sum.numTodoTests + one.numTodoTests,
      testResults: [...sum.testResults, ...one.testResults],
    }),
    first,
  );
}
