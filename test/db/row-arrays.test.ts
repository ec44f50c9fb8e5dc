/** Rows as arrays: every value arrives as it was given, whatever characters it has. */
import fc from 'fast-check';
import { sql } from 'kysely';
import { afterAll, expect, test } from 'vitest';
import { insertRows, relationOf } from '../../src/db/row-arrays.ts';
import { createTestDatabase } from '../support/database.ts';

const database = await createTestDatabase({ isMigrated: false });
afterAll(() => database.close());

const COLUMNS = {
  line: 'integer',
  name: 'text',
  holders: 'text[]',
  payload: 'jsonb',
  amount: 'numeric',
  at: 'bigint',
  is_open: 'boolean',
} as const;

/** What PostgreSQL can store: no U+0000. The words and signs that mean something in an array are likely. */
const text = fc.oneof(
  fc.string({ unit: 'grapheme' }).map((value) => value.replaceAll('\0', '')),
  fc.constantFrom('', 'NULL', 'null', '{}', '"', '\\', ',', '\\"', ' x ', '{"a","b"}', 'ä\n\t'),
);
const row = fc.record({
  name: fc.option(text),
  holders: fc.option(fc.array(text, { maxLength: 3 })),
  payload: fc.option(text.map((value) => JSON.stringify({ value }))),
  amount: fc.option(fc.bigInt().map(String)),
  at: fc.option(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })),
  is_open: fc.option(fc.boolean()),
});

test('rows come back in order and as they were given', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(row, { maxLength: 20 }), async (given) => {
      const rows = given.map((cells, line) => ({ line, ...cells }));

      const found = await database.db
        .transaction()
        .execute(async (tx) => (await sql`SELECT * FROM ${relationOf(COLUMNS, rows)} AS given`.execute(tx)).rows);

      expect(found).toEqual(
        rows.map(({ payload, ...cells }) => ({ ...cells, payload: payload === null ? null : JSON.parse(payload) })),
      );
    }),
    { numRuns: 50 },
  );
});

test('inserted rows are numbered in the order given', async () => {
  await sql`CREATE TABLE numbered (id bigint GENERATED ALWAYS AS IDENTITY, name text NOT NULL)`.execute(database.db);
  const rows = Array.from({ length: 1_000 }, (_, index) => ({ name: `row ${index}` }));

  await database.db.transaction().execute(async (tx) => {
    await insertRows(tx, 'numbered', { name: 'text' }, []);
    await insertRows(tx, 'numbered', { name: 'text' }, rows);
  });

  const { rows: found } = await sql<{ name: string }>`SELECT name FROM numbered ORDER BY id`.execute(database.db);
  expect(found).toEqual(rows);
});
