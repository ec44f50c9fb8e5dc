/** Who keeps the balances of customers: decided once, agreed on by every process, and switched in one moment. */
import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { agreeOnBooks } from '../../src/books/books-mode.ts';
import { confirmPosts, switchBooks } from '../../src/books/books-switch.ts';
import { checkBooks } from '../../src/books/check-books.ts';
import { demandFunds } from '../../src/books/customer-funds.ts';
import { houseAccount, postEntries } from '../../src/books/journal.ts';
import type { Transaction } from '../../src/db/connection.ts';
import { identityOf } from '../../src/invariants/fault-identity.ts';
import { readCustomerBooks } from '../../src/read/customer-books.ts';
import { parseAmount } from '../../src/tokens/amount.ts';
import { AMULET, BOND, type BooksScene, lineOf, startBooks } from '../support/books.ts';
import { eventually } from '../support/eventually.ts';

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

  test('is audited with who gave it, also where it was the same person as before', async () => {
    await agree('external');
    await turn('OPENING');
    await turn('INTERNAL');
    await confirmPosts(books.database.db, { network: 'testnet', by: 'test', nowMicros: 9n });

    const { rows } = await sql<{ principal: string }>`
      SELECT principal FROM audit_outbox WHERE subject_type = 'customer_books' ORDER BY seq`.execute(books.database.db);
    expect(rows.slice(-4).map(({ principal }) => principal)).toEqual(['sluice:start', 'test', 'test', 'test']);
  });

  test('confirming what was sent again is for internal books', async () => {
    await agree('external');
    const by = { network: 'testnet', by: 'test', nowMicros: 9n };
    await expect(confirmPosts(books.database.db, by)).rejects.toMatchObject({ code: 'BOOKS_NOT_INTERNAL' });
    await turn('INTERNAL');
    await confirmPosts(books.database.db, by);
  });
});

describe('a switch beside those who have balances locked', () => {
  /** What a withdrawal does: it looks what its customer has, and books it a moment later. */
  async function spend(meanwhile: (tx: Transaction) => Promise<void>): Promise<void> {
    const { db } = books.database;
    const networkId = await books.rows.networkId();
    const instrumentKey = await books.rows.instrument();
    const claim = { accountId: await books.rows.account('alice'), account: 'alice', instrumentKey, instrument: AMULET };
    const amount = parseAmount('5');
    await db.transaction().execute(async (tx) => {
      await demandFunds(tx, networkId, [{ ...claim, gives: amount }]);
      await meanwhile(tx);
      const lines = [
        { debit: { kind: 'CUSTOMER', owner: 'alice' }, credit: houseAccount('HOUSE'), instrumentKey, amount },
      ] as const;
      await postEntries(tx, networkId, [{ cause: 'spent', description: 'test', recordTime: 1n, lines }]);
    });
  }
  const waits = async (): Promise<void> => {
    await eventually(async () => {
      const { rows } =
        await sql`SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`.execute(
          books.database.db,
        );
      expect(rows).toHaveLength(1);
    });
  };

  test.for([
    ['INTERNAL', 'EXTERNAL'],
    ['EXTERNAL', 'INTERNAL'],
  ] as const)('from %s to %s waits for them, and neither ends the other', async ([from, to]) => {
    await agree(from === 'INTERNAL' ? 'internal' : 'external');
    await books.give('alice', '5');
    let turning: Promise<unknown> = Promise.resolve();

    await spend(async () => {
      turning = turn(to);
      turning.catch(() => undefined);
      await waits();
    });

    expect(await turning).toBe(from);
    expect(await books.kept()).toEqual(to === 'INTERNAL' ? { 'alice Amulet': '0.0000000000' } : {});
    expect((await books.balances())['alice Amulet']).toBe('0.0000000000');
    expect(await checkBooks(books.database.db)).toEqual([]);
  });
});

describe('after a database was restored', () => {
  const noticeAt = async (noticedAt: bigint) => {
    await sql`
      INSERT INTO database_restore (cause, treasury_id, noticed_at, noticed_by, detail, safe_record_time, lost_events, put_back)
      VALUES (${`test ${noticedAt}`}, NULL, ${noticedAt}, 'test', 'test', 0, 3, 'null')`.execute(books.database.db);
  };
  const isBehind = async () => (await readCustomerBooks(books.database.db, 'testnet'))?.isBehind;
  const confirm = async (nowMicros: bigint) =>
    await confirmPosts(books.database.db, { network: 'testnet', by: 'test', nowMicros });

  test('C12: books are behind until somebody says otherwise, and a process that starts is nobody', async () => {
    await noticeAt(0n);
    await agreeOnBooks(books.database.db, { network: 'testnet', configured: 'external', nowMicros: 1n });
    await turn('INTERNAL');
    expect(await isBehind()).toBe(false);

    await sql`DELETE FROM customer_books`.execute(books.database.db);
    await noticeAt(1n);
    await agreeOnBooks(books.database.db, { network: 'testnet', configured: 'internal', nowMicros: 5n });
    expect(await isBehind()).toBe(true);
    await confirm(6n);
    expect(await isBehind()).toBe(false);
    await noticeAt(7n);
    expect(await isBehind()).toBe(true);
  });

  test('C12: they are not confirmed before what the house laid out is settled: the customer would have it twice', async () => {
    await agree('internal');
    await noticeAt(3n);
    await books.give('alice', '4');
    await books.post('laid out', [lineOf('@SHORTFALL', '-4'), lineOf('alice', '4')]);

    await expect(confirm(4n)).rejects.toMatchObject({ code: 'SHORTFALL_OPEN', retryable: false });
    expect(await isBehind()).toBe(true);
    await books.post('settled', [lineOf('alice', '-4'), lineOf('@SHORTFALL', '4')]);
    await confirm(4n);

    expect(await isBehind()).toBe(false);
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
    // More that is taken of less than nothing is another fault; what comes in is not.
    const identity = async () =>
      (await checkBooks(db)).filter(({ kind }) => kind === 'CUSTOMER_NEGATIVE').map((fault) => identityOf(fault));
    const before = await identity();
    const move = async (from: string, to: string, line: number) =>
      await sql`INSERT INTO posting (entry_id, line, debit_account_id, credit_account_id, instrument_id, amount)
        SELECT e.id, ${line}, d.id, c.id, i.id, 1 FROM journal_entry e, account d, account c, instrument i
        WHERE e.id = (SELECT max(id) FROM journal_entry) AND coalesce(d.owner, d.kind) = ${from} AND coalesce(c.owner, c.kind) = ${to} AND i.instrument_id = 'Amulet'`.execute(
        db,
      );
    await sql`INSERT INTO journal_entry (cause, description, record_time) VALUES ('post:pt_more', 'forged', 0)`.execute(
      db,
    );
    await move('bob', 'alice', 0);
    expect(await identity()).toEqual(before);
    await move('alice', 'bob', 1);
    expect(await identity()).toHaveLength(1);
    expect(await identity()).not.toEqual(before);
  });
});
