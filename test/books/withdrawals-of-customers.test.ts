/** Withdrawals where Sluice keeps the balances: nobody is paid more than he has, however many ask at once, and by whatever way. */
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ConfiguredBooks } from '../../src/books/books-mode.ts';
import { createDatabase, type DatabaseConnection } from '../../src/db/connection.ts';
import { systemClock } from '../../src/env/system.ts';
import { parseAmount } from '../../src/tokens/amount.ts';
import { createWithdrawals } from '../../src/withdrawals/withdrawal-requests.ts';
import { ID_KEY } from '../support/api.ts';
import { AMULET, type BooksScene, lineOf, startBooks } from '../support/books.ts';

const SERVERS = 3;
const RECEIVER = `bob::1220${'ab'.repeat(32)}`;
const TREASURY = 'treasury::1220bb';

let books: BooksScene;
const pools: DatabaseConnection[] = [];

beforeAll(async () => {
  books = await startBooks();
  await books.rows.treasury();
  await books.rows.stream({});
  const { connectionString, logger } = books.database;
  for (let count = 0; count < SERVERS; count += 1) {
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
  await books.database.close();
});

const dbOf = (index: number) => pools[index % pools.length]?.db ?? books.database.db;

async function withdraw(
  idempotencyKey: string,
  account: string,
  amount: string,
  index = 0,
  configured: ConfiguredBooks = 'external',
) {
  const common = { clock: systemClock, network: 'testnet', idKey: ID_KEY };
  const withdrawals = createWithdrawals({ db: dbOf(index), books: configured, ...common });
  return await withdrawals.create({
    client: 'service',
    idempotencyKey,
    account,
    treasuryParty: TREASURY,
    instrument: AMULET,
    receiver: RECEIVER,
    amount: parseAmount(amount),
    memo: null,
  });
}

async function withdrawalsOf(account: string): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    SELECT count(*)::int AS count FROM withdrawal w JOIN account a ON a.id = w.account_id WHERE a.owner = ${account}`.execute(
    books.database.db,
  );
  return rows[0]?.count ?? -1;
}

const codesOf = (answers: readonly PromiseSettledResult<unknown>[]) =>
  new Set(answers.flatMap((one) => (one.status === 'rejected' ? [one.reason.code] : [])));

const kept = async (account: string) => (await books.kept())[`${account} Amulet`];

describe('a withdrawal', () => {
  test('takes what the customer has, to the last unit, and not one more', async () => {
    await books.give('alice', '5');

    await expect(withdraw('too-much', 'alice', '5.0000000001')).rejects.toMatchObject({
      code: 'INSUFFICIENT_FUNDS',
      shortfalls: [{ account: 'alice', available: parseAmount('5'), asked: parseAmount('5.0000000001') }],
    });
    expect(await withdrawalsOf('alice')).toBe(0);
    await withdraw('all', 'alice', '5');

    expect(await kept('alice')).toBe('0.0000000000');
    await expect(withdraw('again', 'alice', '0.0000000001')).rejects.toMatchObject({ code: 'INSUFFICIENT_FUNDS' });
  });

  test('of a customer nobody has heard of is refused', async () => {
    await expect(withdraw('stranger', 'stranger', '0.0000000001')).rejects.toMatchObject({
      code: 'INSUFFICIENT_FUNDS',
      shortfalls: [{ available: 0n }],
    });
  });

  test('H5: that took all is found again by its key, and not refused for funds; a refused key is free', async () => {
    await books.give('repeat', '2');
    const first = await withdraw('repeat', 'repeat', '2');

    expect(await withdraw('repeat', 'repeat', '2')).toEqual({ ...first, isReplayed: true });
    await expect(withdraw('repeat', 'repeat', '1')).rejects.toMatchObject({ code: 'IDEMPOTENCY_KEY_REUSED' });
    await expect(withdraw('later', 'repeat', '1')).rejects.toMatchObject({ code: 'INSUFFICIENT_FUNDS' });
    await books.give('repeat', '1');
    await expect(withdraw('later', 'repeat', '1')).resolves.toMatchObject({ isReplayed: false });
  });

  test('that is cancelled gives back what it took, once', async () => {
    await books.give('back', '3');
    const { id } = await withdraw('back', 'back', '3');

    for (let times = 0; times < 2; times += 1) {
      await createWithdrawals({ db: dbOf(0), clock: systemClock, network: 'testnet', idKey: ID_KEY }).cancel(
        'service',
        id,
      );
    }

    expect(await kept('back')).toBe('3.0000000000');
    const { rows: dated } = await sql<{ isLater: boolean }>`
      SELECT back.record_time > asked.record_time AS "isLater" FROM journal_entry back, journal_entry asked
      WHERE back.cause = ${`withdrawal:${id}:back`} AND asked.cause = ${`withdrawal:${id}:requested`}`.execute(
      books.database.db,
    );
    expect(dated, 'who asks for the time between is told that it was not there').toEqual([{ isLater: true }]);
    await expect(withdraw('back-2', 'back', '3')).resolves.toMatchObject({ isReplayed: false });
  });

  test('where the exchange keeps the balances, nobody is refused for funds', async () => {
    await books.setMode('EXTERNAL');

    await expect(withdraw('external', 'external', '1000')).resolves.toMatchObject({ isReplayed: false });

    await books.setMode('INTERNAL');
  });
});

describe('Z37: at once, at three servers', () => {
  test('1,000 of all that a customer has: one is paid', { timeout: 120_000 }, async () => {
    await books.give('thousand', '77');

    const answers = await Promise.allSettled(
      Array.from({ length: 1_000 }, async (_, index) => await withdraw(`thousand-${index}`, 'thousand', '77', index)),
    );

    expect(answers.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect(codesOf(answers)).toEqual(new Set(['INSUFFICIENT_FUNDS']));
    expect(await withdrawalsOf('thousand')).toBe(1);
    expect(await kept('thousand')).toBe('0.0000000000');
  });

  test('H5: 100 of all that a customer has, with one key: one is paid, and all are told so', {
    timeout: 60_000,
  }, async () => {
    await books.give('storm', '8');

    const answers = await Promise.all(
      Array.from({ length: 100 }, async (_, index) => await withdraw('storm', 'storm', '8', index)),
    );

    expect(new Set(answers.map(({ id }) => id)).size).toBe(1);
    expect(answers.filter(({ isReplayed }) => !isReplayed)).toHaveLength(1);
    expect(await kept('storm')).toBe('0.0000000000');
  });

  test('a withdrawal and a trade of the same money: one of them, 60 rounds', { timeout: 120_000 }, async () => {
    for (let round = 0; round < 60; round += 1) {
      const account = `both-${round}`;
      await books.give(account, '10');

      const answers = await Promise.allSettled([
        withdraw(account, account, '10', round),
        books.post(account, [lineOf(account, '-10'), lineOf('taker', '10')], { db: dbOf(round + 1) }),
        withdraw(`${account}-more`, account, '10', round + 2),
      ]);

      expect(answers.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
      expect(codesOf(answers)).toEqual(new Set(['INSUFFICIENT_FUNDS']));
      expect(await kept(account)).toBe('0.0000000000');
    }
  });

  test('cancels, withdrawals and trades of one customer end, and the journal and the balance agree', {
    timeout: 120_000,
  }, async () => {
    await books.give('busy', '100');
    await books.give('taker', '100');
    const withdrawals = createWithdrawals({ db: dbOf(0), clock: systemClock, network: 'testnet', idKey: ID_KEY });

    const answers = await Promise.allSettled(
      Array.from({ length: 150 }, async (_, index) => {
        if (index % 3 === 0)
          return await books.post(`busy-${index}`, [lineOf('busy', '-1'), lineOf('taker', '1')], { db: dbOf(index) });
        if (index % 3 === 1) {
          return await books.post(`busy-${index}`, [lineOf('taker', '-1'), lineOf('busy', '1')], { db: dbOf(index) });
        }
        const { id } = await withdraw(`busy-${index}`, 'busy', '1', index);
        return await withdrawals.cancel('service', id);
      }),
    );

    expect(codesOf(answers)).toEqual(new Set());
    const kept = await books.kept();
    expect(kept).toMatchObject({ 'busy Amulet': '100.0000000000' });
    const journal = await books.balances();
    for (const [name, balance] of Object.entries(kept)) expect(journal[name] ?? '0.0000000000', name).toBe(balance);
  });
});

describe('after a database was restored', () => {
  test('nothing is paid before somebody said that lost post transfers were sent again', async () => {
    await books.give('restored', '4');
    await sql`
      INSERT INTO database_restore (cause, treasury_id, noticed_at, noticed_by, detail, safe_record_time, lost_events, put_back)
      VALUES ('test', NULL, 100, 'test', 'test', 0, 3, 'null')`.execute(books.database.db);

    await expect(withdraw('restored', 'restored', '4')).rejects.toMatchObject({
      code: 'BOOKS_BEHIND',
      retryable: true,
    });
    await expect(books.post('re-sent', [lineOf('restored', '-1'), lineOf('taker', '1')])).resolves.toBeDefined();
    // What it lacks may be among what is still to be sent again.
    const early = async () => await books.post('early', [lineOf('late', '-2'), lineOf('taker', '2')]);
    await expect(early()).rejects.toMatchObject({ code: 'BOOKS_BEHIND', retryable: true });
    await books.post('gained', [lineOf('late', '2'), lineOf('@HOUSE', '-2')]);
    await expect(early()).resolves.toMatchObject({ isReplayed: false });
    await sql`UPDATE customer_books SET posts_whole_at = 101`.execute(books.database.db);

    await expect(withdraw('restored', 'restored', '4')).rejects.toMatchObject({ code: 'INSUFFICIENT_FUNDS' });
    await expect(withdraw('restored', 'restored', '3')).resolves.toMatchObject({ isReplayed: false });
    await expect(books.post('broke', [lineOf('restored', '-1'), lineOf('taker', '1')])).rejects.toMatchObject({
      code: 'INSUFFICIENT_FUNDS',
    });
  });

  test('C12: to before the switch, a process that was told that Sluice keeps them pays nobody', async () => {
    await books.setMode('EXTERNAL');
    await sql`
      INSERT INTO database_restore (cause, treasury_id, noticed_at, noticed_by, detail, safe_record_time, lost_events, put_back)
      VALUES ('test 2', NULL, 200, 'test', 'test', 0, 3, 'null')`.execute(books.database.db);

    await expect(withdraw('before', 'nobody', '4', 0, 'internal')).rejects.toMatchObject({ code: 'BOOKS_BEHIND' });
    await expect(withdraw('before', 'nobody', '4', 0, 'external')).resolves.toMatchObject({ isReplayed: false });
    await sql`UPDATE customer_books SET changed_at = 201`.execute(books.database.db);

    await expect(withdraw('since', 'nobody', '4', 0, 'internal')).resolves.toMatchObject({ isReplayed: false });
  });
});
