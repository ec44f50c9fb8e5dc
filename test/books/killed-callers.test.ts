/** H5, H6: callers that die before they are told, and all the others that ask again with the same key, in processes of their own. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createDatabase, type DatabaseConnection } from '../../src/db/connection.ts';
import { systemClock } from '../../src/env/system.ts';
import { parseAmount } from '../../src/tokens/amount.ts';
import { createWithdrawals } from '../../src/withdrawals/withdrawal-requests.ts';
import { ID_KEY } from '../support/api.ts';
import { AMULET, type BooksScene, lineOf, startBooks } from '../support/books.ts';

const CHILD = fileURLToPath(new URL('../support/books-child.ts', import.meta.url));
const MOMENTS = ['commit', 'answer', 'commit', 'answer', 'never', 'never'] as const;
const CALLERS = 100;

let books: BooksScene;
let pool: DatabaseConnection;

beforeAll(async () => {
  books = await startBooks();
  await books.rows.treasury();
  await books.rows.stream({});
  const { connectionString, logger } = books.database;
  pool = createDatabase({
    connectionString,
    applicationName: 'test-books',
    poolSizeMax: 8,
    connectTimeoutMs: 60_000,
    logger,
  });
});

afterAll(async () => {
  await pool.close();
  await books.database.close();
});

type Ended = { readonly signal: string | null; readonly answer: { id: string; isReplayed: boolean } | null };

async function child(killAt: string, task: Record<string, unknown>): Promise<Ended> {
  return await new Promise((resolve, reject) => {
    const { connectionString } = books.database;
    const BOOKS_TASK = JSON.stringify({ connectionString, idKey: Buffer.from(ID_KEY).toString('hex'), ...task });
    const running = spawn(process.execPath, [CHILD], {
      env: { ...process.env, BOOKS_TASK, KILL_AT: killAt },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let told = '';
    running.stdout.on('data', (chunk) => {
      told += String(chunk);
    });
    running.on('error', reject);
    running.on('close', (_code, signal) => resolve({ signal, answer: told === '' ? null : JSON.parse(told) }));
  });
}

/** At once: children that die and some that live, and callers of this process. @returns what those who lived were told. */
async function storm(
  task: Record<string, unknown>,
  call: () => Promise<{ readonly id: string; readonly isReplayed: boolean }>,
) {
  const children = MOMENTS.map(async (moment) => ({ moment, ...(await child(moment, task)) }));
  const first = await Promise.race(children);
  const told = await Promise.all(Array.from({ length: CALLERS }, call));
  const ended = await Promise.all(children);
  for (const { moment, signal } of [first, ...ended])
    expect(signal, moment).toBe(moment === 'never' ? null : 'SIGKILL');
  return [...told, ...ended.flatMap(({ answer }) => (answer === null ? [] : [answer]))];
}

test('H5, H6: a post transfer whose callers are killed around its commit is one, and whoever asks again is told of it', {
  timeout: 120_000,
}, async () => {
  await books.give('alice', '10');
  const lines = [lineOf('alice', '-10'), lineOf('bob', '10')];
  const plain = lines.map((line) => ({ ...line, amount: line.amount < 0n ? '-10' : '10' }));
  const task = { postTransfer: { client: 'service', idempotencyKey: 'storm', reference: null, lines: plain } };

  const told = await storm(task, async () => await books.post('storm', lines, { db: pool.db }));

  expect(new Set(told.map(({ id }) => id)).size).toBe(1);
  expect(told.filter(({ isReplayed }) => !isReplayed).length).toBeLessThanOrEqual(1);
  expect(await books.kept()).toMatchObject({ 'alice Amulet': '0.0000000000', 'bob Amulet': '10.0000000000' });
  const events = await sql`SELECT FROM event_outbox WHERE type = 'post-transfer.posted'`.execute(books.database.db);
  expect(events.rows).toHaveLength(1);
  await expect(books.post('storm', [lineOf('bob', '-10'), lineOf('alice', '10')])).rejects.toMatchObject({
    code: 'IDEMPOTENCY_KEY_REUSED',
  });
  expect(await books.faults()).toEqual([]);
});

test('H5, H6: a withdrawal of all that a customer has, likewise', { timeout: 120_000 }, async () => {
  await books.give('carol', '7');
  const request = {
    client: 'service',
    idempotencyKey: 'storm',
    account: 'carol',
    treasuryParty: 'treasury::1220bb',
    instrument: AMULET,
    receiver: `bob::1220${'ab'.repeat(32)}`,
    memo: null,
  };
  const withdrawals = createWithdrawals({ db: pool.db, clock: systemClock, network: 'testnet', idKey: ID_KEY });
  const create = async (amount: string) => await withdrawals.create({ ...request, amount: parseAmount(amount) });

  const told = await storm({ withdrawal: { ...request, amount: '7' } }, async () => await create('7'));

  expect(new Set(told.map(({ id }) => id)).size).toBe(1);
  expect(told.filter(({ isReplayed }) => !isReplayed).length).toBeLessThanOrEqual(1);
  const rows = await books.database.db.selectFrom('withdrawal').select('id').execute();
  expect(rows).toHaveLength(1);
  expect((await books.kept())['carol Amulet']).toBe('0.0000000000');
  await expect(create('6')).rejects.toMatchObject({ code: 'IDEMPOTENCY_KEY_REUSED' });
  expect(await books.faults()).toEqual([]);
});
