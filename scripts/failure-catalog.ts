/**
 * Counts how many rows of the failure catalog, and how many attacks, have a test that passed: `node scripts/failure-catalog.ts report.json …`, vitest's JSON of the runs that together are everything. A test covers a row by naming it at the
 * start or in a list ("A13: …", "C1, C5: …"); docs/failure-modes.md says what the rows are. A test that cannot fail covers nothing.
 */
import { existsSync } from 'node:fs';
import { ATTACKS, FAILURES, idsOf, type NamedTest, namedTestsOf, rowsNamedIn, type Section } from './failure-rows.ts';
import { readReports } from './test-report.ts';

const report = readReports(process.argv.slice(2));
if (report === null) throw new Error('Name the JSON report of a test run, or several.');

const covered = new Set<string>();
const idle: NamedTest[] = [];
for (const { name, assertionResults } of report.testResults) {
  const ofFile = existsSync(name) ? namedTestsOf(name).filter(({ isAsserting }) => !isAsserting) : [];
  idle.push(...ofFile);
  const titles = new Set(ofFile.map(({ title }) => title));
  for (const { status, title, fullName } of assertionResults) {
    if (status === 'passed' && !titles.has(title)) for (const row of rowsNamedIn(fullName)) covered.add(row);
  }
}

for (const { file: of, title } of idle) console.log(`covers nothing, it cannot fail: ${of}: ${title}`);
tell('failure catalog', FAILURES);
tell('attacks', ATTACKS);
if (idle.length > 0) process.exitCode = 1;

function tell(title: string, sections: Readonly<Record<string, Section>>): void {
  const ids = idsOf(sections);
  const count = ids.filter((id) => covered.has(id)).length;
  console.log(`${title}: ${count} of ${ids.length} rows have a test`);
  for (const [letter, section] of Object.entries(sections)) {
    const missing = idsOf({ [letter]: section }).filter((id) => !covered.has(id));
    const without = missing.length === 0 ? '' : `, without: ${missing.join(' ')}`;
    console.log(`  ${section.title}: ${section.rows - missing.length} of ${section.rows}${without}`);
  }
}
