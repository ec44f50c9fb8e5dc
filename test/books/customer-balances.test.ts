/** The balances that Sluice keeps for customers, at the level of the tables: whoever writes a posting moves them, and none goes below nothing. */
import { sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type AccountRef, houseAccount, type JournalLine, postEntries } from '../../src/books/journal.ts';
import { parseAmount } from '../../src/tokens/amount.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { createRows, DAY } from '../support/rows.ts';

let database: TestDatabase;
let networkId: number;
let amulet: number;
let bond: number;
let count = 0;

const ROUNDS = 40;

beforeAll(async () => {
  database = await createTestDatabase();
  const rows = createRows(database.db);
  amulet = await rows.instrument();
  bond = await rows.instrument('Bond');
  networkId = (await database.db.selectFrom('network').select('id').executeTakeFirstOrThrow()).id;
});

afterAll(async () => {
  await database.close();
});

const customer = (owner: string): AccountRef => ({ kind: 'CUSTOMER', owner });
const HOUSE = houseAccount('HOUSE');

async function setMode(mode: 'EXTERNAL' | 'OPENING' | 'INTERNAL') {
  await sql`INSERT INTO customer_books (network_id, mode, changed_at, changed_by) VALUES (${networkId}, ${mode}, 0, 'test')
    ON CONFLICT (network_id) DO UPDATE SET mode = excluded.mode`.execute(database.db);
}

const line = (debit: AccountRef, credit: AccountRef, amount: string, instrumentKey = amulet): JournalLine => ({
  debit,
  credit,
  instrumentKey,
  amount: parseAmount(amount),
});

async function post(...lines: readonly JournalLine[]) {
  count += 1;
  const cause = `test:${count}`;
  await database.db
    .transaction()
    .execute(async (tx) => await postEntries(tx, networkId, [{ cause, description: 'test', recordTime: DAY, lines }]));
}

async function balances(): Promise<Record<string, string>> {
  const { rows } = await sql<{ name: string; balance: string }>`
    SELECT a.owner || ' ' || i.instrument_id AS name, k.balance::text AS balance FROM customer_balance k
    JOIN account a ON a.id = k.account_id JOIN instrument i ON i.id = k.instrument_id ORDER BY 1`.execute(database.db);
  return Object.fromEntries(rows.map(({ name, balance }) => [name, balance]));
}

describe('where the exchange keeps the balances', () => {
  test.each(['EXTERNAL', 'OPENING'] as const)('%s: nothing is kept, and nobody is refused for funds', async (mode) => {
    await setMode(mode);

    await post(line(customer('alice'), HOUSE, '5'));

    expect(await balances()).toEqual({});
  });
});

describe('where Sluice keeps them', () => {
  beforeEach(async () => {
    await sql`TRUNCATE posting, journal_entry, customer_balance`.execute(database.db);
    await setMode('INTERNAL');
  });

  test('each posting moves those it names, by instrument, and the house has none', async () => {
    await post(line(HOUSE, customer('alice'), '10'), line(HOUSE, customer('alice'), '3', bond));
    await post(line(customer('alice'), customer('bob'), '4'), line(customer('alice'), houseAccount('FEES'), '0.5'));

    expect(await balances()).toEqual({
      'alice Amulet': '5.5000000000',
      'alice Bond': '3.0000000000',
      'bob Amulet': '4.0000000000',
    });
  });

  test('what a customer has not cannot be booked, and nothing of the statement stays', async () => {
    await post(line(HOUSE, customer('alice'), '10'));
    const before = await balances();

    const tooMuch = post(line(customer('alice'), customer('bob'), '10.0000000001'));
    await expect(tooMuch).rejects.toMatchObject({
      code: 'DB_CONSTRAINT',
      facts: { constraint: 'customer_balance_covers' },
    });
    await expect(post(line(customer('nobody'), HOUSE, '0.0000000001'))).rejects.toMatchObject({
      code: 'DB_CONSTRAINT',
    });

    expect(await balances()).toEqual(before);
  });

  test('within one entry what comes counts before what goes', async () => {
    await post(line(customer('carol'), HOUSE, '7'), line(HOUSE, customer('carol'), '7'));
    await post(line(customer('carol'), HOUSE, '7'), line(HOUSE, customer('carol'), '8'));

    expect(await balances()).toEqual({ 'carol Amulet': '1.0000000000' });
  });

  test('nobody gets around it by hand', async () => {
    await post(line(HOUSE, customer('alice'), '1'));

    for (const balance of ['-0.0000000001', 'NaN', 'Infinity', '-Infinity']) {
      await expect(sql`UPDATE customer_balance SET balance = ${balance}::numeric`.execute(database.db)).rejects.toThrow(
        /customer_balance_covers/,
      );
    }
  });

  test('Z37: many that pay each other in a ring at once end, and the sums are right', { timeout: 60_000 }, async () => {
    const names = ['r1', 'r2', 'r3', 'r4', 'r5'];
    await post(
      ...names.flatMap((name) => [line(HOUSE, customer(name), '100'), line(HOUSE, customer(name), '100', bond)]),
    );

    const rings = Array.from({ length: ROUNDS }, (_, round) =>
      names.map((name, index) => {
        const to = names[(index + 1 + (round % 3)) % names.length] ?? name;
        return [line(customer(name), customer(to), '1'), line(customer(to), customer(name), '2', bond)];
      }),
    ).flat();
    await Promise.all(rings.map(async (lines) => await post(...lines)));

    const { rows } = await sql<{ sum: string }>`SELECT sum(balance)::text AS sum FROM customer_balance`.execute(
      database.db,
    );
    expect(rows).toEqual([{ sum: '1000.0000000000' }]);
    const { rows: off } = await sql`
      SELECT FROM customer_balance k JOIN account_balance b USING (account_id, instrument_id) WHERE k.balance <> b.balance`.execute(
      database.db,
    );
    expect(off).toEqual([]);
  });

  test('Z37: of many that take all at once as many have it as there is', { timeout: 60_000 }, async () => {
    await post(line(HOUSE, customer('dave'), '3'));

    const taken = await Promise.allSettled(
      Array.from({ length: ROUNDS }, async () => await post(line(customer('dave'), HOUSE, '1'))),
    );

    expect(taken.filter(({ status }) => status === 'fulfilled')).toHaveLength(3);
    expect(await balances()).toEqual({ 'dave Amulet': '0.0000000000' });
  });
});
