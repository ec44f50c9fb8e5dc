/** Who keeps the balances of customers: decided once, agreed on by every process, and switched in one moment. */
import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { agreeOnBooks } from '../../src/books/books-mode.ts';
import { confirmPosts, switchBooks } from '../../src/books/books-switch.ts';
import { checkBooks } from '../../src/books/check-books.ts';
import { readCustomerBooks } from '../../src/read/customer-books.ts';
import { BOND, type BooksScene, lineOf, startBooks } from '../support/books.ts';

let books: BooksScene;

beforeEach(async () => {
  books = await startBooks();
  await sql`DELETE FROM customer_books`.execute(books.database.db);
});

afterEach(async () => {
  await books.database.close();
});

const agree = async (configured: 'external' | 'internal', network = 'testnet') =>
  await agreeOnBooks(books.database.db, { network, configured, nowMicros: 1n });
const turn = async (to: 'EXTERNAL' | 'OPENING' | 'INTERNAL') =>
  await switchBooks(books.database.db, { network: 'testnet', to, by: 'test', nowMicros: 2n });

describe('at the start of a process', () => {
  test('the first decides, the same is agreed to, and another does not start', async () => {
    expect(await agree('internal')).toBe('INTERNAL');
    expect(await agree('internal')).toBe('INTERNAL');

    await expect(agree('external')).rejects.toMatchObject({ code: 'CUSTOMER_BOOKS_DIFFER', retryable: false });
    expect(await agree('external', 'othernet')).toBe('EXTERNAL');
  });

  test('of many that start at once with different settings one side wins', async () => {
    const answers = await Promise.allSettled(
      Array.from({ length: 10 }, async (_, index) => await agree(index % 2 === 0 ? 'internal' : 'external')),
    );

    const decided = new Set(answers.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : [])));
    expect(decided.size).toBe(1);
    expect(answers.filter(({ status }) => status === 'fulfilled')).toHaveLength(5);
  });

  test('customers that were booked before anybody decided are in external books', async () => {
    await books.give('alice', '1');

    await expect(agree('internal')).rejects.toMatchObject({ code: 'CUSTOMER_BOOKS_DIFFER' });
    expect(await agree('external')).toBe('EXTERNAL');
  });
});

describe('a switch', () => {
  test('to internal is refused while anybody has less than nothing, names them, and changes nothing', async () => {
    await agree('external');
    await books.give('alice', '5');
    await turn('OPENING');
    await books.post('trade', [lineOf('alice', '-6'), lineOf('bob', '6')]);

    await expect(turn('INTERNAL')).rejects.toMatchObject({
      code: 'CUSTOMERS_NEGATIVE',
      count: 1,
      customers: [{ account: 'alice', balance: '-1.0000000000' }],
    });

    expect(await readCustomerBooks(books.database.db, 'testnet')).toMatchObject({ mode: 'OPENING' });
    expect(await books.kept()).toEqual({});
  });

  test('by way of opening keeps exactly what the journal says, and refuses from that moment on', async () => {
    await agree('external');
    await books.give('alice', '5');
    await expect(books.post('early', [lineOf('alice', '-1'), lineOf('bob', '1')])).rejects.toMatchObject({
      code: 'BOOKS_EXTERNAL',
    });
    expect(await turn('OPENING')).toBe('EXTERNAL');
    expect(await agree('external')).toBe('OPENING');
    expect(await agree('internal')).toBe('OPENING');
    await books.post('opening alice', [lineOf('alice', '-2'), lineOf('bob', '2')]);
    await books.post('opening bob', [lineOf('bob', '7', BOND), lineOf('@HOUSE', '-7', BOND)]);

    expect(await turn('INTERNAL')).toBe('OPENING');

    expect(await books.kept()).toEqual({
      'alice Amulet': '3.0000000000',
      'bob Amulet': '2.0000000000',
      'bob Bond': '7.0000000000',
    });
    await expect(books.post('late', [lineOf('alice', '-4'), lineOf('bob', '4')])).rejects.toMatchObject({
      code: 'INSUFFICIENT_FUNDS',
    });
    await expect(agree('external')).rejects.toMatchObject({ code: 'CUSTOMER_BOOKS_DIFFER' });
    await expect(turn('OPENING')).rejects.toMatchObject({ code: 'BOOKS_SWITCH_IMPOSSIBLE' });
    expect(await turn('INTERNAL')).toBe('INTERNAL');
  });

  test('back to external forgets what was kept, and a later one begins from the journal again', async () => {
    await agree('internal');
    await books.give('alice', '5');
    await turn('EXTERNAL');
    expect(await books.kept()).toEqual({});
    await books.give('alice', '2');

    await turn('INTERNAL');

    expect(await books.kept()).toEqual({ 'alice Amulet': '7.0000000000' });
  });

  test('beside trades that go on loses none: what is kept is what the journal says', { timeout: 60_000 }, async () => {
    await agree('external');
    await turn('OPENING');
    for (const name of ['a', 'b', 'c']) await books.give(name, '100');

    const trading = Promise.allSettled(
      Array.from({ length: 60 }, async (_, index) => {
        const [from, to] = [['a', 'b', 'c'][index % 3] ?? '', ['a', 'b', 'c'][(index + 1) % 3] ?? ''];
        await books.post(`beside-${index}`, [lineOf(from, '-1'), lineOf(to, '1')]);
      }),
    );
    await turn('INTERNAL');
    const done = await trading;

    expect(done.filter(({ status }) => status === 'rejected')).toEqual([]);
    const journal = await books.balances();
    for (const [name, balance] of Object.entries(await books.kept())) expect(journal[name]).toBe(balance);
  });

  test('confirming what was sent again is for internal books', async () => {
    await agree('external');
    const by = { network: 'testnet', by: 'test', nowMicros: 9n };
    await expect(confirmPosts(books.database.db, by)).rejects.toMatchObject({ code: 'BOOKS_NOT_INTERNAL' });
    await turn('INTERNAL');
    await confirmPosts(books.database.db, by);
  });
});

describe('the check of the books', () => {
  const faults = async () => (await checkBooks(books.database.db)).map(({ kind }) => kind).sort();

  test('finds a balance that is not what the journal says, a customer below nothing, and a post transfer without its entry', async () => {
    const { db } = books.database;
    await agree('internal');
    await books.give('alice', '5');
    await books.post('fine', [lineOf('alice', '-1'), lineOf('bob', '1')]);
    expect(await faults()).toEqual([]);

    await sql`UPDATE customer_balance SET balance = balance + 0.0000000001 WHERE balance = 4`.execute(db);
    expect(await faults()).toEqual(['CUSTOMER_BALANCE_OFF']);
    await sql`UPDATE customer_balance SET balance = 4 WHERE balance <> 1`.execute(db);
    await sql`INSERT INTO journal_entry (cause, description, record_time) VALUES ('post:pt_nobody', 'forged', 0)`.execute(
      db,
    );
    await sql`INSERT INTO post_transfer (id, network_id, client, idempotency_key, request_hash, posted_at)
      SELECT 'pt_lost', id, 'x', 'x', '', 0 FROM network WHERE name = 'testnet'`.execute(db);
    expect(await faults()).toEqual(['POST_TRANSFER_OFF', 'POST_TRANSFER_OFF']);
    // As if somebody had gone around the trigger.
    await sql`ALTER TABLE posting DISABLE TRIGGER customer_balances_are_kept`.execute(db);
    await sql`INSERT INTO posting (entry_id, line, debit_account_id, credit_account_id, instrument_id, amount)
      SELECT e.id, 0, a.id, h.id, i.id, 100 FROM journal_entry e, account a, account h, instrument i
      WHERE e.cause = 'post:pt_nobody' AND a.owner = 'alice' AND h.kind = 'HOUSE' AND i.instrument_id = 'Amulet'`.execute(
      db,
    );
    expect(await faults()).toEqual([
      'CUSTOMER_BALANCE_OFF',
      'CUSTOMER_NEGATIVE',
      'POST_TRANSFER_OFF',
      'POST_TRANSFER_OFF',
    ]);
  });
});
