/** What a service moves between customers: all of it or nothing, once per key, and never more than there is. */
import fc from 'fast-check';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { POST_TRANSFER_LINES_MAX, type PostTransferLine } from '../../src/books/post-transfer-lines.ts';
import { createDatabase, type DatabaseConnection } from '../../src/db/connection.ts';
import { parseAmount } from '../../src/tokens/amount.ts';
import { AMULET, BOND, type BooksScene, lineOf, startBooks } from '../support/books.ts';

let books: BooksScene;

beforeAll(async () => {
  books = await startBooks();
});

afterAll(async () => {
  await books.database.close();
});

const trade = (seller: string, buyer: string, amount: string, price: string): readonly PostTransferLine[] => [
  lineOf(seller, `-${amount}`),
  lineOf(buyer, amount),
  lineOf(buyer, `-${price}`, BOND),
  lineOf(seller, price, BOND),
];

async function rowsOf(table: 'post_transfer' | 'journal_entry' | 'event_outbox' | 'posting'): Promise<string> {
  const { rows } = await sql<{ count: string }>`SELECT count(*)::text AS count FROM ${sql.table(table)}`.execute(
    books.database.db,
  );
  return rows[0]?.count ?? '';
}

const counts = async () => [
  await rowsOf('post_transfer'),
  await rowsOf('journal_entry'),
  await rowsOf('posting'),
  await rowsOf('event_outbox'),
];

describe('a post transfer', () => {
  test('moves what its lines say, on accounts that it opens where it must', async () => {
    await books.give('t-alice', '10');
    await books.give('t-bob', '300', BOND);

    const posted = await books.post('trade-1', [
      ...trade('t-alice', 't-bob', '4', '200'),
      lineOf('t-carol', '0.5'),
      lineOf('@FEES', '1.25', BOND),
      lineOf('@HOUSE', '-0.5'),
      lineOf('t-dave', '1', BOND),
      lineOf('@HOUSE', '-2.25', BOND),
    ]);

    expect(posted).toEqual({ id: expect.stringMatching(/^pt_[0-9a-f]{40}$/), isReplayed: false });
    expect(await books.kept()).toMatchObject({
      't-alice Amulet': '6.0000000000',
      't-alice Bond': '200.0000000000',
      't-bob Amulet': '4.0000000000',
      't-bob Bond': '100.0000000000',
      't-carol Amulet': '0.5000000000',
      't-dave Bond': '1.0000000000',
    });
  });

  test('is announced once, with whom it moved', async () => {
    await books.post('announced', [lineOf('e-bob', '1'), lineOf('@HOUSE', '-1')], { reference: 'trade 7' });

    const events =
      await sql`SELECT type, payload FROM event_outbox WHERE payload ->> 'idempotencyKey' = 'announced'`.execute(
        books.database.db,
      );
    expect(events.rows).toEqual([
      {
        type: 'post-transfer.posted',
        payload: expect.objectContaining({ client: 'service', reference: 'trade 7', accounts: ['e-bob'] }),
      },
    ]);
  });

  test.each([
    ['one line', [lineOf('a', '1')], 'LINES_INVALID', null],
    ['no lines', [], 'LINES_INVALID', null],
    ['a difference', [lineOf('a', '-1'), lineOf('b', '0.9999999999')], 'LINES_UNBALANCED', null],
    [
      'a difference in one instrument',
      [...trade('a', 'b', '1', '1'), lineOf('c', '1', BOND)],
      'LINES_UNBALANCED',
      null,
    ],
    ['sums that only meet across instruments', [lineOf('a', '-1'), lineOf('b', '1', BOND)], 'LINES_UNBALANCED', null],
    ['a line of nothing', [lineOf('a', '0'), lineOf('b', '0')], 'LINE_AMOUNT_INVALID', 0],
    ['a line of nothing below zero', [lineOf('a', '1'), lineOf('b', '-0.0')], 'LINE_AMOUNT_INVALID', 1],
    ['an account twice', [lineOf('a', '-1'), lineOf('b', '2'), lineOf('a', '-1')], 'LINE_REPEATED', 2],
    ['an account without a name', [lineOf('', '-1'), lineOf('b', '1')], 'LINE_ACCOUNT_INVALID', 0],
    ['an account of a giant', [lineOf('b', '1'), lineOf('x'.repeat(256), '-1')], 'LINE_ACCOUNT_INVALID', 1],
    ['an account with U+0000', [lineOf('b', '1'), lineOf('a\u0000', '-1')], 'LINE_ACCOUNT_INVALID', 1],
    [
      'an instrument nobody saw',
      [lineOf('@HOUSE', '-1', { ...AMULET, id: 'amulet' }), lineOf('b', '1', { ...AMULET, id: 'amulet' })],
      'INSTRUMENT_UNKNOWN',
      0,
    ],
  ] as const)('with %s is refused, and nothing is left of it', async (_what, lines, code, line) => {
    const before = await counts();

    await expect(books.post('refused', lines)).rejects.toMatchObject({ code, line, retryable: false });

    expect(await counts()).toEqual(before);
  });

  test('has as many lines as there may be, and no more', async () => {
    const lines = (count: number) => [
      lineOf('@HOUSE', `-${count - 1}`),
      ...Array.from({ length: count - 1 }, (_, index) => lineOf(`many-${index}`, '1')),
    ];

    await expect(books.post('many', lines(POST_TRANSFER_LINES_MAX + 1))).rejects.toMatchObject({
      code: 'LINES_INVALID',
    });
    await expect(books.post('many', lines(POST_TRANSFER_LINES_MAX))).resolves.toMatchObject({ isReplayed: false });
  });

  test('of more than somebody has is refused whole, and tells whose and how much', async () => {
    await books.give('poor', '1');
    const before = await counts();

    const refused = books.post('poor', [
      lineOf('poor', '-1.0000000001'),
      lineOf('beggar', '-2'),
      lineOf('rich', '3.0000000001'),
    ]);

    await expect(refused).rejects.toMatchObject({
      code: 'INSUFFICIENT_FUNDS',
      shortfalls: [
        { account: 'poor', available: parseAmount('1'), asked: parseAmount('1.0000000001') },
        { account: 'beggar', available: 0n, asked: parseAmount('2') },
      ],
    });
    expect(await counts()).toEqual(before);
    await expect(books.post('poor', [lineOf('poor', '-1'), lineOf('rich', '1')])).resolves.toMatchObject({
      isReplayed: false,
    });
  });

  test('is refused where the exchange keeps the balances, and its replay is not', async () => {
    const lines = [lineOf('x-bob', '1'), lineOf('@HOUSE', '-1')];
    await books.post('before', lines);
    await books.setMode('EXTERNAL');

    await expect(books.post('after', lines)).rejects.toMatchObject({ code: 'BOOKS_EXTERNAL' });
    await expect(books.post('before', lines)).resolves.toMatchObject({ isReplayed: true });
    await books.setMode('INTERNAL');
  });

  test('of any balanced lines moves every account by exactly its lines', { timeout: 60_000 }, async () => {
    const amount = fc.bigInt({ min: 1n, max: 10n ** 20n });
    const moves = fc.array(fc.record({ from: fc.nat(6), to: fc.nat(6), amount, isBond: fc.boolean() }), {
      minLength: 1,
      maxLength: 20,
    });
    let run = 0;
    await fc.assert(
      fc.asyncProperty(moves, async (all) => {
        run += 1;
        const sums = new Map<string, bigint>();
        const add = (key: string, by: bigint) => sums.set(key, (sums.get(key) ?? 0n) + by);
        for (const { from, to, amount: moved, isBond } of all) {
          add(`p${run}-${from} ${isBond ? 'Bond' : 'Amulet'}`, -moved);
          add(`p${run}-${to} ${isBond ? 'Bond' : 'Amulet'}`, moved);
        }
        const wanted = [...sums].filter(([, sum]) => sum !== 0n);
        if (wanted.length < 2) return;
        const units = (value: bigint) => {
          const text = String(value < 0n ? -value : value).padStart(11, '0');
          return `${value < 0n ? '-' : ''}${text.slice(0, -10)}.${text.slice(-10)}`;
        };
        const before = await books.kept();
        for (const [key, sum] of wanted) {
          const [account = '', instrument = ''] = key.split(' ');
          if (sum < 0n) await books.give(account, units(-sum), { id: instrument });
        }
        await books.post(
          `property-${run}`,
          wanted.map(([key, sum]) => lineOf(key.split(' ')[0] ?? '', units(sum), key.endsWith('Bond') ? BOND : AMULET)),
        );

        const after = await books.kept();
        for (const [key, sum] of wanted) {
          expect(before[key]).toBeUndefined();
          expect(after[key]).toBe(sum < 0n ? '0.0000000000' : units(sum));
        }
      }),
      { numRuns: 15 },
    );
    expect(await books.faults()).not.toContainEqual(expect.objectContaining({ kind: 'CUSTOMER_BALANCE_OFF' }));
  });
});

describe('H5: the same key', () => {
  test('with the same lines, in any order, is the same post transfer', async () => {
    await books.give('k-alice', '9');
    const lines = [lineOf('k-alice', '-1'), lineOf('k-bob', '0.75'), lineOf('@FEES', '0.25')];
    const first = await books.post('key', lines);

    expect(await books.post('key', [...lines].reverse())).toEqual({ ...first, isReplayed: true });
    expect(await books.post('key', lines)).toEqual({ ...first, isReplayed: true });
    expect((await books.kept())['k-alice Amulet']).toBe('8.0000000000');
  });

  test('with anything else is refused, whatever differs', async () => {
    const lines = [lineOf('@HOUSE', '-1'), lineOf('d-bob', '1')];
    await books.post('other', lines);

    for (const [others, reference] of [
      [[lineOf('@HOUSE', '-2'), lineOf('d-bob', '2')], null],
      [[lineOf('@FEES', '-1'), lineOf('d-bob', '1')], null],
      [[lineOf('@HOUSE', '-1'), lineOf('d-Bob', '1')], null],
      [[lineOf('@HOUSE', '-1', BOND), lineOf('d-bob', '1', BOND)], null],
      [[lineOf('@HOUSE', '1'), lineOf('d-bob', '-1')], null],
      [lines, 'now with a reference'],
    ] as const) {
      await expect(books.post('other', others, { reference })).rejects.toMatchObject({
        code: 'IDEMPOTENCY_KEY_REUSED',
      });
    }
  });

  test('Z36: of another client is another key, and reads nothing of the first', async () => {
    const lines = [lineOf('@HOUSE', '-1'), lineOf('z-bob', '1')];
    const mine = await books.post('tenant', lines);
    const theirs = await books.post('tenant', [lineOf('@HOUSE', '-5'), lineOf('z-eve', '5')], { client: 'other' });

    expect(theirs).toMatchObject({ isReplayed: false });
    expect(theirs.id).not.toBe(mine.id);
  });

  test('Z36: has 1 to 255 bytes of printable text, and is taken byte by byte', async () => {
    const lines = [lineOf('@HOUSE', '-1'), lineOf('y-bob', '1')];
    for (const key of ['', 'x'.repeat(256), 'ä'.repeat(128), 'x'.repeat(1_000_000), 'a\u0000', 'a\tb', '\ud83e']) {
      await expect(books.post(key, lines)).rejects.toMatchObject({ code: 'IDEMPOTENCY_KEY_INVALID' });
    }
    const ids = new Set<string>();
    for (const key of ['x'.repeat(255), '\u00c5', 'A\u030a', '\u212b', "'; DROP TABLE posting; --", '__proto__']) {
      ids.add((await books.post(key, lines)).id);
    }
    expect(ids.size).toBe(6);
  });
});

describe('Z37: at once, over three pools', () => {
  const pools: DatabaseConnection[] = [];

  beforeAll(() => {
    const { connectionString, logger } = books.database;
    for (let count = 0; count < 3; count += 1) {
      pools.push(
        createDatabase({
          connectionString,
          applicationName: 'test-books',
          poolSizeMax: 6,
          connectTimeoutMs: 60_000,
          logger,
        }),
      );
    }
  });

  afterAll(async () => {
    for (const pool of pools) await pool.close();
  });

  const dbOf = (index: number) => pools[index % pools.length]?.db ?? books.database.db;

  test('H5: 100 with one key are one', { timeout: 60_000 }, async () => {
    const lines = [lineOf('@HOUSE', '-1'), lineOf('s-bob', '1')];

    const answers = await Promise.all(
      Array.from({ length: 100 }, async (_, index) => await books.post('storm', lines, { db: dbOf(index) })),
    );

    expect(new Set(answers.map(({ id }) => id)).size).toBe(1);
    expect(answers.filter(({ isReplayed }) => !isReplayed)).toHaveLength(1);
    expect((await books.kept())['s-bob Amulet']).toBe('1.0000000000');
  });

  test('300 of all that there is: one has it', { timeout: 60_000 }, async () => {
    await books.give('whale', '1000');

    const answers = await Promise.allSettled(
      Array.from(
        { length: 300 },
        async (_, index) =>
          await books.post(`whale-${index}`, [lineOf('whale', '-1000'), lineOf(`fish-${index}`, '1000')], {
            db: dbOf(index),
          }),
      ),
    );

    expect(answers.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    const codes = new Set(answers.flatMap((one) => (one.status === 'rejected' ? [one.reason.code] : [])));
    expect(codes).toEqual(new Set(['INSUFFICIENT_FUNDS']));
    expect((await books.kept())['whale Amulet']).toBe('0.0000000000');
  });

  test('many customers that trade with each other both ways: nobody waits in a circle, and the sums are right', {
    timeout: 60_000,
  }, async () => {
    const names = ['m0', 'm1', 'm2', 'm3', 'm4', 'm5'];
    for (const name of names) {
      await books.give(name, '1000');
      await books.give(name, '1000', BOND);
    }
    const before = await deadlocks();

    const answers = await Promise.allSettled(
      Array.from({ length: 200 }, async (_, index) => {
        const seller = names[index % 6] ?? '';
        const buyer = names[(index + 1 + (index % 5)) % 6] ?? '';
        const lines = trade(seller, buyer, '1', '2');
        await books.post(`circle-${index}`, index % 2 === 0 ? lines : [...lines].reverse(), { db: dbOf(index) });
      }),
    );

    expect(answers.filter(({ status }) => status === 'rejected')).toEqual([]);
    expect(await deadlocks()).toBe(before);
    const { rows } = await sql<{ sum: string }>`
      SELECT sum(balance)::text AS sum FROM customer_balance k JOIN account a ON a.id = k.account_id WHERE a.owner = ANY (${names})`.execute(
      books.database.db,
    );
    expect(rows).toEqual([{ sum: '12000.0000000000' }]);
  });

  async function deadlocks(): Promise<bigint | undefined> {
    const { rows } = await sql<{ deadlocks: bigint }>`
      SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`.execute(books.database.db);
    return rows[0]?.deadlocks;
  }
});
