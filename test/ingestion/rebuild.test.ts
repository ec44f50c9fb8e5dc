/** `sluice rebuild` as an operator runs it: beside a live stream, with and without the switch, and killed at any moment of it. */
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { checkBooks } from '../../src/books/check-books.ts';
import { EXIT_CODES } from '../../src/cli/exit-code.ts';
import { createSeededRandom } from '../../src/env/random.ts';
import { systemClock } from '../../src/env/system.ts';
import type { Treasury } from '../../src/ingestion/effect-sink.ts';
import { compareWithRebuild } from '../../src/ingestion/rebuild.ts';
import { startSluice } from '../e2e/sluice-process.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { type RunningIngestion, registerMemos, startIngestion } from '../support/ingestion.ts';
import { NETWORK, startTestNetwork, type TestNetwork } from '../support/network.ts';
import { rounds } from '../support/tier.ts';

const UPDATES = 700; // More than one page of them.
const KILLS = rounds(2, 20);

let database: TestDatabase;
let simnet: TestNetwork;
let ingestion: RunningIngestion;
let treasury: Treasury;

beforeAll(async () => {
  database = await createTestDatabase();
  simnet = await startTestNetwork('rebuild');
  await registerMemos(database.db, NETWORK, { 'alice-memo': 'alice' });
  ingestion = await startIngestion({
    connectionString: database.connectionString,
    ledgerUrl: simnet.ledgerUrl(),
    catalog: simnet.catalog,
    settings: { leaseTtlMs: 600, reconnect: { attemptsMax: 40, delayMsMin: 5, delayMsMax: 200 } },
  });
  const [only] = ingestion.treasuries;
  if (only === undefined) throw new Error('No treasury.');
  treasury = only;
  for (let made = 0; made < UPDATES; made += 1) {
    simnet.network.tap({ instrument: 'amulet', owner: 'treasury', amount: '1' });
  }
  payIn('5');
  await credited('5');
});

afterAll(async () => {
  await ingestion.stop();
  await simnet.stop();
  await database.close();
});

function payIn(amount: string): void {
  simnet.network.tap({ instrument: 'amulet', owner: 'alice', amount });
  simnet.network.transfer({ instrument: 'amulet', sender: 'alice', receiver: 'treasury', amount, memo: 'alice-memo' });
}

async function credited(total: string): Promise<void> {
  await eventually(
    async () => {
      ingestion.throwIfFailed();
      const { rows } = await sql<{ total: string | null }>`
        SELECT trim_scale(sum(b.balance))::text AS total FROM account_balance b JOIN account a ON a.id = b.account_id
        WHERE a.kind = 'CUSTOMER'`.execute(database.db);
      expect(rows[0]?.total).toBe(total);
    },
    { deadlineMs: 30_000 },
  );
}

async function run(...args: string[]): Promise<{ code: number | null; said: string }> {
  const running = startSluice(['rebuild', ...args], { DATABASE_URL: database.connectionString });
  const { code } = await running.exited;
  return { code, said: `${running.stdout()}${running.stderr()}` };
}

/** A wrong migration: amounts, a row that is gone and one too many. */
async function breakTables(): Promise<void> {
  await sql`UPDATE holding SET amount = 1.5 WHERE contract_id IN (SELECT contract_id FROM holding ORDER BY 1 LIMIT 3)`.execute(
    database.db,
  );
  await sql`DELETE FROM transfer WHERE id IN (SELECT id FROM transfer WHERE kind = 'MINT' ORDER BY 1 LIMIT 1)`.execute(
    database.db,
  );
  await sql`INSERT INTO holding SELECT treasury_id, '00ff' || contract_id, instrument_id, amount, template, lock_holders, lock_expires_at, lock_expires_after,
    lock_context, created_update_id, created_record_time, NULL, NULL FROM holding ORDER BY contract_id LIMIT 1`.execute(
    database.db,
  );
}

const isRight = async () => (await compareWithRebuild(database.db, treasury)).differences.length === 0;

/** Everything we own: what no rebuild may touch. */
async function ownedRows(): Promise<unknown> {
  const tables = [
    'journal_entry',
    'posting',
    'account',
    'attribution',
    'ledger_update',
    'event',
    'event_outbox',
    'quarantine',
  ];
  return await Promise.all(
    tables.map(async (table) => {
      const { rows } = await sql<{ hash: string }>`
        SELECT md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) AS hash FROM ${sql.table(table)} t`.execute(
        database.db,
      );
      return [table, rows[0]?.hash];
    }),
  );
}

async function secondSchemaExists(): Promise<boolean> {
  const { rows } = await sql`SELECT FROM pg_namespace WHERE nspname = 'sluice_rebuild'`.execute(database.db);
  return rows.length > 0;
}

test('it says that all is equal, shows what is not, changes nothing without --switch, and mends it with', {
  timeout: 120_000,
}, async () => {
  const equal = await run();
  expect(equal.said).toMatch(/simnet treasury: 7\d\d updates derived again\nsimnet treasury: all tables equal/);
  expect(equal.code).toBe(EXIT_CODES.done.code);

  await breakTables();
  const owned = await ownedRows();
  const shown = await run();
  expect(shown.code).toBe(EXIT_CODES.no.code);
  expect(shown.said).toMatch(/TABLES DIFFER/);
  expect(shown.said.match(/^ {2}- holding/gm)).toHaveLength(4);
  expect(shown.said.match(/^ {2}\+ holding/gm)).toHaveLength(3);
  expect(shown.said.match(/^ {2}\+ transfer/gm)).toHaveLength(1);
  expect(await isRight()).toBe(false);
  expect(await secondSchemaExists()).toBe(false);

  const switched = await run('--switch');
  expect(switched.code).toBe(EXIT_CODES.done.code);
  expect(switched.said).toMatch(/switched, 4 rows out, 4 rows in, 0 updates out of quarantine\n$/);
  expect(await isRight()).toBe(true);
  expect(await checkBooks(database.db)).toEqual([]);
  expect(await ownedRows()).toEqual(owned);
  expect(await secondSchemaExists()).toBe(false);
});

test(`killed ${KILLS} times on the way, the tables in use are the old ones or the new ones, and the stream goes on`, {
  timeout: 60_000 + KILLS * 40_000,
}, async () => {
  const random = createSeededRandom(7);
  let kills = 0;
  let total = 5;
  for (let round = 0; kills < KILLS; round += 1) {
    expect(round, 'rounds that were over before they were struck').toBeLessThan(12 * KILLS);
    if (await isRight()) await breakTables();
    const owned = await ownedRows();
    const running = startSluice(['rebuild', '--switch'], { DATABASE_URL: database.connectionString });
    // From the first page on: the comparison, the switch and its commit follow within a second.
    await running.waitFor(/updates derived again/).catch(() => undefined);
    await systemClock.sleep(random.next() * 150);
    running.child.kill('SIGKILL');
    const { signal } = await running.exited;
    if (signal === 'SIGKILL') kills += 1;

    const { differences } = await compareWithRebuild(database.db, treasury);
    const rows = differences.flatMap(({ onlyStored, onlyRebuilt }) => [...onlyStored, ...onlyRebuilt]);
    expect([0, 8]).toContain(rows.length); // Nothing between.
    expect(await ownedRows()).toEqual(owned);
  }

  const last = await run('--switch');
  expect(last.code).toBe(EXIT_CODES.done.code);
  expect(await isRight()).toBe(true);
  payIn('7');
  total += 7;
  await credited(String(total));
  expect(await checkBooks(database.db)).toEqual([]);
});
