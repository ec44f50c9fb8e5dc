/**
 * Counts how many rows of the failure catalog have a test that passed: `node scripts/failure-catalog.ts report.json`, where the report is vitest's JSON. A test covers a row by naming it at the
 * start or in a list ("A13: …", "C1, C5: …"); docs/failure-catalog.md says what the rows are.
 */
import { readFileSync } from 'node:fs';
import { z } from 'zod';

/** Rows per section. */
const SECTIONS = {
  A: { title: 'ledger node and stream', rows: 22 },
  B: { title: 'time and upgrades', rows: 11 },
  C: { title: 'database', rows: 16 },
  D: { title: 'processes', rows: 9 },
  E: { title: 'withdrawals and submission', rows: 24 },
  F: { title: 'registries and Scan', rows: 5 },
  S: { title: 'signer and policy', rows: 10 },
  G: { title: 'deposits', rows: 8 },
  H: { title: 'API and subscriptions', rows: 13 },
} as const;

const NAMED = /(?<![\w-])([ABCDEFGHS])([1-9]\d?)(?=:|,| and |\/)/g;

const reportSchema = z.object({
  testResults: z.array(
    z.object({ assertionResults: z.array(z.object({ status: z.string(), title: z.string(), fullName: z.string() })) }),
  ),
});

const [file] = process.argv.slice(2);
if (file === undefined) throw new Error('Name the JSON report of a test run.');
const { testResults } = reportSchema.parse(JSON.parse(readFileSync(file, 'utf8')));

const covered = new Set<string>();
for (const { assertionResults } of testResults) {
  for (const { status, fullName } of assertionResults) {
    if (status !== 'passed') continue;
    for (const [, section, row] of fullName.matchAll(NAMED)) covered.add(`${section}${row}`);
  }
}

const lines = Object.entries(SECTIONS).map(([section, { title, rows }]) => {
  const ids = Array.from({ length: rows }, (_, index) => `${section}${index + 1}`);
  const missing = ids.filter((id) => !covered.has(id));
  return { title, rows, count: rows - missing.length, missing };
});
const sum = (pick: (line: (typeof lines)[number]) => number): number =>
  lines.reduce((total, line) => total + pick(line), 0);
console.log(`failure catalog: ${sum(({ count }) => count)} of ${sum(({ rows }) => rows)} rows have a test`);
for (const { title, rows, count, missing } of lines) {
  console.log(`  ${title}: ${count} of ${rows}${missing.length === 0 ? '' : `, without: ${missing.join(' ')}`}`);
}
