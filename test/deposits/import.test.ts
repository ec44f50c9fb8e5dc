/** Many memos at once: through the command line, again after a death, and with those refused that are somebody else's. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createDepositAccounts } from '../../src/deposits/deposit-accounts.ts';
import { importLines } from '../../src/deposits/import-lines.ts';
import { systemClock, systemRandom } from '../../src/env/system.ts';
import { startSluice } from '../e2e/sluice-process.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { createRows } from '../support/rows.ts';

let database: TestDatabase;
let folder: string;

beforeAll(async () => {
  database = await createTestDatabase();
  await createRows(database.db).networkId();
  folder = await mkdtemp(join(tmpdir(), 'sluice-import-'));
});

afterAll(async () => {
  await rm(folder, { recursive: true });
  await database.close();
});

async function run(content: string | Buffer): Promise<{ code: number | null; out: string; err: string }> {
  const file = join(folder, 'memos.jsonl');
  await writeFile(file, content);
  const process = startSluice(['deposit-accounts', 'import', file, '--by', 'migration'], {
    DATABASE_URL: database.connectionString,
  });
  const { code } = await process.exited;
  return { code, out: process.stdout(), err: process.stderr() };
}

const lines = (rows: readonly unknown[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('');
const registered = async () =>
  await database.db
    .selectFrom('deposit_account')
    .innerJoin('account', 'account.id', 'deposit_account.account_id')
    .select(['memo', 'account.owner', 'metadata'])
    .orderBy('memo')
    .execute();

test('memos go in exactly as they are written, once, and those of others are refused', {
  timeout: 90_000,
}, async () => {
  const accounts = createDepositAccounts({ db: database.db, clock: systemClock, random: systemRandom });
  await accounts.create({ network: null, account: 'alice', memo: 'Taken', createdBy: 'test' });
  const memos = [
    'a,b',
    '"quoted"',
    '\\N',
    '\\',
    'tab\\t',
    ' blank ',
    '\u2028',
    'Å',
    'A\u030a',
    '💣',
    "'; DROP TABLE account; --",
  ];
  const content = lines([
    ...memos.map((memo) => ({ account: 'bob', memo, metadata: { note: memo } })),
    { account: 'mallory', memo: 'Taken' },
    { account: 'alice', memo: 'Taken' },
    { account: 'carol', memo: 'Twice' },
    { account: 'mallory', memo: 'Twice' },
  ]);

  const first = await run(content);
  const again = await run(content);

  expect(first.code).toBe(1);
  expect(first.out).toBe(
    '12 registered, 1 known before, 2 refused\nthese lines have memos that stand for another account: 12, 15\n',
  );
  expect(again.out).toContain('0 registered, 13 known before, 2 refused');
  const rows = await registered();
  expect(new Map(rows.map(({ memo, owner }) => [memo, owner]))).toEqual(
    new Map([...memos.map((memo) => [memo, 'bob'] as const), ['Taken', 'alice'], ['Twice', 'carol']]),
  );
  expect(rows.find(({ memo }) => memo === '\\N')?.metadata).toEqual({ note: '\\N' });
  const mallory = await database.db.selectFrom('account').select('id').where('owner', '=', 'mallory').execute();
  expect(mallory).toEqual([]);
  const events = await database.db.selectFrom('event_outbox').select('event_id').execute();
  expect(events).toHaveLength(memos.length + 2);
});

test('many more than one portion, twice', { timeout: 120_000 }, async () => {
  const before = (await registered()).length;
  const content = lines(
    Array.from({ length: 25_000 }, (_, index) => ({ account: `c-${index % 9_000}`, memo: `M-${index}` })),
  );

  expect((await run(content)).out).toMatch(/25000 registered, 0 known before, 0 refused\n$/);
  expect((await run(content)).out).toMatch(/0 registered, 25000 known before, 0 refused\n$/);
  expect(await registered()).toHaveLength(before + 25_000);
});

test('a file that is not UTF-8 is refused', { timeout: 60_000 }, async () => {
  const { code, err } = await run(Buffer.from([0x7b, 0xff, 0x7d, 0x0a]));

  expect(code).not.toBe(0);
  expect(err).toContain('not UTF-8');
});

test.each([
  ['{', 'it is no JSON'],
  ['{"account":"a"}', 'expected'],
  ['{"account":"a","memo":"b","extra":1}', 'expected'],
  ['{"account":"a","memo":"b","metadata":{"n":1}}', 'expected'],
  ['{"account":"a","memo":""}', 'bytes'],
  ['{"account":"a","memo":"\\u0000"}', 'characters'],
  ['{"account":"a","memo":"\\ud800"}', 'characters'],
  [`{"account":"a","memo":"${'x'.repeat(30_000)}`, 'too long'],
])('the line %j is refused by its number', async (line, why) => {
  async function* chunks() {
    yield '{"account":"ok","mem';
    yield 'o":"1"}\n\n';
    yield line;
  }
  const rows: unknown[] = [];
  const reading = (async () => {
    for await (const row of importLines(chunks())) rows.push(row);
  })();

  await expect(reading).rejects.toThrow(/^Line 3: /);
  await expect(reading).rejects.toThrow(why);
  expect(rows).toEqual([{ line: 1, account: 'ok', memo: '1', metadata: null }]);
});
