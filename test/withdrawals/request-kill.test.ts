/**
 * A process that dies in the middle of a request: before any of the statements that make it, and with its COMMIT on the way. Whatever the moment, there is a withdrawal with its debit and its event, or nothing; and
 * the same key asked again makes it one.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { checkBooks } from '../../src/books/check-books.ts';
import { systemClock } from '../../src/env/system.ts';
import { parseAmount } from '../../src/tokens/amount.ts';
import { withdrawalId } from '../../src/tokens/ids.ts';
import { createWithdrawals } from '../../src/withdrawals/withdrawal-requests.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { AMULET_ADMIN, createRows } from '../support/rows.ts';
import { rounds } from '../support/tier.ts';
import { RECEIVER } from '../support/withdrawal-api.ts';

const ID_KEY = new Uint8Array(32).fill(9);
const AT_ONCE = 3;

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
  const rows = createRows(database.db);
  await rows.treasury();
  await rows.instrument();
});

afterAll(async () => {
  await database.close();
});

const requestOf = (idempotencyKey: string) => ({
  client: 'exchange',
  idempotencyKey,
  account: 'alice',
  treasuryParty: 'treasury::1220bb',
  instrument: { admin: AMULET_ADMIN, id: 'Amulet' },
  receiver: RECEIVER,
  amount: '1.5',
  memo: null,
});

/** @returns how many statements it sent, or null where it was struck. */
async function askIn(key: string, killAt: string): Promise<number | null> {
  const child = spawn(process.execPath, [`${import.meta.dirname}/../support/request-child.ts`], {
    env: {
      ...process.env,
      KILL_AT: killAt,
      REQUEST: JSON.stringify({
        connectionString: database.connectionString,
        idKey: Buffer.from(ID_KEY).toString('hex'),
        network: 'testnet',
        request: requestOf(key),
      }),
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let printed = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    printed += chunk;
  });
  const [code, signal] = await once(child, 'exit');
  expect([code, signal], killAt).toEqual(killAt === '0:never' ? [0, null] : [null, 'SIGKILL']);
  return signal === null ? Number(printed) : null;
}

/** What is there of the request: a row, a debit, events. */
async function tracesOf(key: string): Promise<{ rows: number; bookings: number; events: number }> {
  const id = withdrawalId(ID_KEY, 'exchange', key);
  const { rows } = await sql<{ rows: number; bookings: number; events: number }>`
    SELECT (SELECT count(*)::int FROM withdrawal WHERE id = ${id}) AS rows,
      (SELECT count(*)::int FROM journal_entry WHERE cause LIKE ${`withdrawal:${id}:%`}) AS bookings,
      (SELECT count(*)::int FROM event_outbox WHERE subject = ${id}) AS events`.execute(database.db);
  return rows[0] ?? { rows: -1, bookings: -1, events: -1 };
}

/** Killed before each statement, or where nobody waits for all of them before every third, COMMIT among them. */
const STRIDE = rounds(3, 1);

test('E23: a request is whole or nothing, wherever its process is killed, and once when it is asked again', {
  timeout: 180_000,
}, async () => {
  const service = createWithdrawals({ db: database.db, clock: systemClock, network: 'testnet', idKey: ID_KEY });
  // The first request of a customer also opens his account, which the others find.
  await service.create({ ...requestOf('first'), amount: parseAmount('1.5') });
  const statements = (await askIn('whole', '0:never')) ?? 0;
  const whole = await tracesOf('whole');
  expect(statements).toBeGreaterThan(8);
  expect(whole).toMatchObject({ rows: 1, bookings: 1 });

  const numbers = Array.from({ length: statements }, (_, index) => index + 1);
  const kills = numbers.filter((number) => (statements - number) % STRIDE === 0).map((number) => `${number}:before`);
  // The last one is COMMIT; what becomes of one that is on its way nobody can know.
  kills.push(...Array.from({ length: 3 }, () => `${statements}:sent`));
  const keys = kills.map((kill, index) => ({ key: `killed-${index}`, kill }));
  for (let first = 0; first < keys.length; first += AT_ONCE) {
    await Promise.all(keys.slice(first, first + AT_ONCE).map(async ({ key, kill }) => await askIn(key, kill)));
  }

  let isThere = 0;
  for (const { key, kill } of keys) {
    const traces = await tracesOf(key);
    expect([{ rows: 0, bookings: 0, events: 0 }, whole], kill).toContainEqual(traces);
    if (kill.endsWith('before')) expect(traces.rows, kill).toBe(0);
    isThere += traces.rows;
    const again = await service.create({ ...requestOf(key), amount: parseAmount('1.5') });
    expect(again.isReplayed, kill).toBe(traces.rows === 1);
    expect(await tracesOf(key), kill).toEqual(whole);
  }
  console.log(`${keys.length} kills among ${statements} statements; ${isThere} of 3 commits on their way arrived.`);
  expect(await checkBooks(database.db)).toEqual([]);
  const { rows } = await sql<{ balance: string }>`
    SELECT b.balance::text AS balance FROM account_balance b JOIN account a ON a.id = b.account_id
    WHERE a.kind = 'CUSTOMER' AND a.owner = 'alice'`.execute(database.db);
  expect(parseAmount(rows[0]?.balance ?? '0')).toBe(parseAmount('-1.5') * BigInt(keys.length + 2));
});
