import { sql } from 'kysely';
import { afterAll, expect, test } from 'vitest';
import { createTestDatabase } from '../support/database.ts';

const database = await createTestDatabase();
afterAll(() => database.close());

test('exact types come back exact', async () => {
  const { rows } = await sql`
    SELECT 9223372036854775807::int8 AS big, 0.1234567890::numeric AS amount, '\\x00ff'::bytea AS bytes,
           ARRAY[1, NULL, 9223372036854775807]::int8[] AS bigs, ARRAY[1.10, 2.0]::numeric[] AS amounts,
           '{"a": [1]}'::jsonb AS json, '2026-01-01T00:00:00.000001Z'::timestamptz AS time
  `.execute(database.db);

  expect(rows[0]).toEqual({
    big: 9223372036854775807n,
    amount: '0.1234567890',
    bytes: Buffer.from([0, 255]),
    bigs: [1n, null, 9223372036854775807n],
    amounts: ['1.10', '2.0'],
    json: { a: [1] },
    time: '2026-01-01 00:00:00.000001+00',
  });
});
