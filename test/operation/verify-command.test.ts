/** `sluice verify` on a database in which somebody has changed rows: all that it can find is said at once. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { EXIT_CODES } from '../../src/cli/exit-code.ts';
import { startSluice } from '../e2e/sluice-process.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { createRows } from '../support/rows.ts';

let database: TestDatabase;

beforeEach(async () => {
  database = await createTestDatabase();
});

afterEach(async () => await database.close());

test('tables that differ keep nothing else from being looked at', { timeout: 60_000 }, async () => {
  const rows = createRows(database.db);
  await rows.stream({});
  await rows.holding('made-up', '5');
  const sluice = startSluice(['verify'], { DATABASE_URL: database.connectionString });
  const { code } = await sluice.exited;
  expect(code).toBe(EXIT_CODES.no.code);
  const said = sluice.stdout();
  expect(said).toMatch(/TABLES DIFFER/);
  expect(said).toMatch(/^books: FAULTS$/m);
  expect(said).toMatch(/^invariants that hold: .*\bI26\b/m);
});
