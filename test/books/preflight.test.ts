/** Looking ahead at a withdrawal where Sluice keeps the balances: told what the request would be told, and nothing is locked or booked for it. */
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ConfiguredBooks } from '../../src/books/books-mode.ts';
import { systemClock } from '../../src/env/system.ts';
import { createAskingBudget } from '../../src/preflight/asking-budget.ts';
import { createOutsideFacts } from '../../src/preflight/outside-facts.ts';
import { createPreflight } from '../../src/preflight/preflight.ts';
import { parseAmount } from '../../src/tokens/amount.ts';
import { AMULET, type BooksScene, startBooks } from '../support/books.ts';

const RECEIVER = `bob::1220${'ab'.repeat(32)}`;

let books: BooksScene;

beforeAll(async () => {
  books = await startBooks();
  await books.rows.treasury();
  await books.rows.update('first');
  await books.rows.stream({ status: 'RUNNING' });
  await books.rows.holding('h-1', '100');
});

afterAll(async () => {
  await books.database.close();
});

async function request(
  account: string,
  amount: string,
  isForCustomer = false,
  configured: ConfiguredBooks = 'internal',
) {
  const clock = systemClock;
  const { look } = createPreflight({
    db: books.database.db,
    network: 'testnet',
    clock,
    askOutside: createOutsideFacts({
      outside: { transferKind: async () => 'direct', preapproval: null, receiver: null },
      budget: createAskingBudget({ clock, perSecond: 1_000 }),
      clock,
    }),
    ttlMs: 60_000,
    recordTimeAgeMsMax: 600_000,
    recordTimeAheadMsMax: 60_000,
    books: configured,
  });
  const report = await look({
    client: 'service',
    account,
    treasuryParty: null,
    instrument: AMULET,
    receiver: RECEIVER,
    amount: parseAmount(amount),
    memo: null,
    isForCustomer,
  });
  return report.checks.find(({ kind }) => kind === 'REQUEST');
}

describe('a look ahead where Sluice keeps the balances', () => {
  test('is told that it has too little, to the last unit, and whoever asks for himself likewise', async () => {
    await books.give('alice', '5');

    expect(await request('alice', '5')).toMatchObject({ outcome: 'PASSED', code: null });
    for (const isForCustomer of [true, false]) {
      expect(await request('alice', '5.0000000001', isForCustomer)).toMatchObject({
        outcome: 'REFUSED',
        code: 'INSUFFICIENT_FUNDS',
        detail: expect.stringContaining('5.0000000000 available'),
      });
    }
    expect((await books.kept())['alice Amulet']).toBe('5.0000000000');
  });

  test('of a customer nobody has heard of is refused, and makes no row of his', async () => {
    expect(await request('stranger', '0.0000000001')).toMatchObject({ code: 'INSUFFICIENT_FUNDS' });
    const { rows } = await sql`SELECT FROM account WHERE owner = 'stranger'`.execute(books.database.db);
    expect(rows).toEqual([]);
  });

  test('after a restore is told that nobody knows what customers have', async () => {
    const { db } = books.database;
    await sql`
      INSERT INTO database_restore (cause, treasury_id, noticed_at, noticed_by, detail, safe_record_time, lost_events, put_back)
      VALUES ('test', NULL, ${systemClock.nowMicros()}, 'test', 'test', 0, NULL, '{}')`.execute(db);

    expect(await request('alice', '1')).toMatchObject({ outcome: 'REFUSED', code: 'BOOKS_BEHIND' });
    await sql`DELETE FROM database_restore`.execute(db);
  });

  test('where the exchange keeps the balances nobody is refused for funds', async () => {
    await books.setMode('EXTERNAL');

    expect(await request('stranger', '50', false, 'external')).toMatchObject({ outcome: 'PASSED' });
    await books.setMode('INTERNAL');
  });
});
