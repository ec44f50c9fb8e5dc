/** What is kept outside the database: the last that was seen of the log, and what must not move. A copy of a database that knows of neither gets both back. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Database } from '../../src/db/connection.ts';
import { readLogAnchor, runLogAnchor } from '../../src/db/log-anchor.ts';
import { createLogMemory, type LogMemory, renewLogEpoch } from '../../src/db/log-history.ts';
import { lookAtLog } from '../../src/db/log-watch.ts';
import { createSystemLogger, systemClock, systemRandom } from '../../src/env/system.ts';
import { type FreezeReason, openFreeze } from '../../src/ingestion/freezes.ts';
import { haltMoney, liftHalt } from '../../src/submissions/halts.ts';
import { HELD_MONEY } from '../../src/submissions/held-money.ts';
import { parseAmount } from '../../src/tokens/amount.ts';
import { reopen } from '../../src/withdrawals/reopening.ts';
import { createWithdrawals } from '../../src/withdrawals/withdrawal-requests.ts';
import { stopWithdrawal } from '../../src/withdrawals/withdrawal-stops.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';

const env = { clock: systemClock, random: systemRandom, logger: createSystemLogger('silent') };
const WINDOW = { ttlMicros: 5_000_000n, marginMicros: 1_000_000n };

let folder: string;
let live: TestDatabase;
const copies: TestDatabase[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-anchor-'));
  live = await createTestDatabase();
  await sql`
    WITH n AS (INSERT INTO network (name) VALUES ('simnet') RETURNING id),
      t AS (INSERT INTO treasury_party (network_id, party, name) SELECT id, name || '::1220', name FROM n, unnest('{first,second}'::text[]) AS name)
    INSERT INTO instrument (network_id, admin, instrument_id, name, is_accepted) SELECT id, 'DSO::1220', token, token, true FROM n, unnest('{A,B}'::text[]) AS token`.execute(
    live.db,
  );
});

afterEach(async () => {
  for (const copy of copies.splice(0)) await copy.close();
  await live.close();
  await rm(folder, { recursive: true });
});

const memoryOf = (anchor: Awaited<ReturnType<typeof readLogAnchor>> = null): LogMemory =>
  createLogMemory(anchor?.mark ?? null, {
    kept: anchor?.kept ?? null,
    audit: anchor?.audit ?? null,
    keeper: HELD_MONEY,
    window: WINDOW,
  });

const look = async (db: Database, memory: LogMemory) => await lookAtLog({ ...env, db, memory });

async function freeze(
  db: Database,
  reason: FreezeReason,
  scope: { treasury?: string; instrument?: string } = {},
): Promise<void> {
  const { rows } = await sql<{ treasuryId: number | null; instrumentKey: number | null }>`
    SELECT (SELECT id FROM treasury_party WHERE name = ${scope.treasury ?? ''}) AS "treasuryId",
      (SELECT id FROM instrument WHERE name = ${scope.instrument ?? ''}) AS "instrumentKey"`.execute(db);
  const [found] = rows;
  if (found === undefined) throw new Error('No row.');
  const nowMicros = systemClock.nowMicros();
  await openFreeze(db, { ...found, reason, detail: 'why', cause: 'test', openedBy: 'test', nowMicros });
}

async function standing(db: Database): Promise<string[]> {
  const { rows } = await sql<{ what: string }>`
    SELECT concat_ws(' ', reason, t.name, i.name) AS what FROM money_freeze f LEFT JOIN treasury_party t ON t.id = f.treasury_id LEFT JOIN instrument i ON i.id = f.instrument_id
    WHERE lifted_at IS NULL
    UNION ALL
    SELECT concat_ws(' ', 'halt', t.name, i.name) FROM halt h LEFT JOIN treasury_party t ON t.id = h.treasury_id LEFT JOIN instrument i ON i.id = h.instrument_id
    WHERE lifted_at IS NULL ORDER BY 1`.execute(db);
  return rows.map(({ what }) => what);
}

async function copyOf(database: TestDatabase): Promise<TestDatabase> {
  const copy = await createTestDatabase({ copyOf: database });
  copies.push(copy);
  return copy;
}

/** Everything in it is written down, and read again as by the next life of the process. */
async function throughFile(memory: LogMemory): Promise<LogMemory> {
  const path = join(folder, 'anchor');
  await runLogAnchor(path, { ...env, memory, signal: AbortSignal.abort() });
  return memoryOf(await readLogAnchor(path));
}

test('C12: what stood still when the database was lost stands still in its backup, and what was lifted there does not come back', async () => {
  await freeze(live.db, 'HISTORY_GAP');
  const backup = await copyOf(live);
  const memory = memoryOf();
  await sql`UPDATE money_freeze SET lifted_at = 1, lifted_by = 'test', lift_detail = 'test'`.execute(live.db);
  await freeze(live.db, 'OPERATOR', { treasury: 'first', instrument: 'A' });
  await freeze(live.db, 'QUARANTINE', { treasury: 'second' });
  const word = { by: 'operator', why: 'test', nowMicros: systemClock.nowMicros() };
  await haltMoney(live.db, { treasury: null, instrument: { admin: 'DSO::1220', id: 'B' } }, word);
  const { haltId } = await haltMoney(live.db, { treasury: null, instrument: null }, word);
  await liftHalt(live.db, haltId, word);
  await liftHalt(live.db, haltId, { ...word, by: 'another' });
  await look(live.db, memory);

  await look(backup.db, await throughFile(memory));

  expect(await standing(backup.db)).toEqual([
    'DATABASE_WENT_BACK',
    // In the backup it stands: that it was lifted, somebody has to say again.
    'HISTORY_GAP',
    'OPERATOR first A',
    'QUARANTINE second',
    'halt B',
  ]);
  const { put_back, safe_record_time, noticed_at } = await backup.db
    .selectFrom('database_restore')
    .selectAll()
    .executeTakeFirstOrThrow();
  expect(put_back).toMatchObject({
    freezes: [{ reason: 'OPERATOR' }, { reason: 'QUARANTINE' }],
    halts: [{ why: 'test' }],
  });
  expect(safe_record_time - noticed_at).toBe(6_000_000n);
});

test('C12: what covered something that the backup does not have covers everything', async () => {
  const backup = await copyOf(live);
  const memory = memoryOf();
  await sql`INSERT INTO instrument (network_id, admin, instrument_id, name, is_accepted) SELECT id, 'DSO::1220', 'C', 'C', true FROM network`.execute(
    live.db,
  );
  await freeze(live.db, 'OPERATOR', { instrument: 'C' });
  await look(live.db, memory);

  await look(backup.db, memory);
  expect(await standing(backup.db)).toEqual(['DATABASE_WENT_BACK', 'OPERATOR']);
});

test('C12: a withdrawal that somebody holds since is held in the backup, whatever its client says', async () => {
  const withdrawals = createWithdrawals({
    db: live.db,
    clock: systemClock,
    network: 'simnet',
    idKey: new Uint8Array(32),
  });
  const ids: string[] = [];
  for (const idempotencyKey of ['held', 'parked', 'ended']) {
    const { id } = await withdrawals.create({
      client: 'exchange',
      idempotencyKey,
      account: 'alice',
      treasuryParty: 'first::1220',
      instrument: { admin: 'DSO::1220', id: 'A' },
      receiver: `bob::1220${'ab'.repeat(32)}`,
      amount: parseAmount('1'),
      memo: null,
    });
    ids.push(id);
  }
  const [held = '', parked = '', ended = ''] = ids;
  const backup = await copyOf(live);
  const memory = memoryOf();
  const word = { by: 'compliance', why: 'sanctions', nowMicros: systemClock.nowMicros() };
  await stopWithdrawal(live.db, held, 'HOLD', word);
  await stopWithdrawal(live.db, parked, 'PARK', word);
  await stopWithdrawal(live.db, ended, 'HOLD', word);
  await withdrawals.cancel('exchange', ended);
  await look(live.db, memory);

  await look(backup.db, await throughFile(memory));
  const stops = await backup.db
    .selectFrom('withdrawal_stop')
    .select(['withdrawal_id', 'kind', 'why', 'set_by', 'released_at'])
    .orderBy('kind')
    .execute();
  const kept = { why: 'sanctions', set_by: 'compliance', released_at: null };
  expect(stops).toEqual([
    { ...kept, withdrawal_id: held, kind: 'HOLD' },
    { ...kept, withdrawal_id: parked, kind: 'PARK' },
  ]);
  const { put_back } = await backup.db.selectFrom('database_restore').selectAll().executeTakeFirstOrThrow();
  expect(put_back).toMatchObject({ freezes: [], halts: [], stops: [{}, {}] });
});

test('C12: a process that only hears of it puts back what it knows, once', async () => {
  const backup = await copyOf(live);
  const [informed, other, away] = [memoryOf(), memoryOf(), memoryOf()];
  await look(live.db, other);
  await freeze(live.db, 'OPERATOR');
  await look(live.db, informed);
  await look(live.db, away);

  await look(backup.db, other);
  expect(await standing(backup.db)).toEqual(['DATABASE_WENT_BACK']);
  await look(backup.db, informed);
  expect(await standing(backup.db)).toEqual(['DATABASE_WENT_BACK', 'OPERATOR']);
  await sql`UPDATE money_freeze SET lifted_at = 1, lifted_by = 'test', lift_detail = 'test'`.execute(backup.db);
  await look(backup.db, informed);
  await look(backup.db, other);
  // It knows of what somebody has lifted since.
  await look(backup.db, away);
  expect(await standing(backup.db)).toEqual([]);
});

test('an anchor of the first version is read, and one that was tampered with is refused', async () => {
  const path = join(folder, 'anchor');
  await writeFile(path, '{"version":1,"epoch":"e","position":"7","history":"h","walPosition":"9"}');
  expect(await readLogAnchor(path)).toEqual({
    mark: { epoch: 'e', position: 7n, history: 'h', walPosition: 9n },
    kept: null,
    audit: null,
  });
  const memory = memoryOf();
  await look(live.db, memory);
  await throughFile(memory);
  const text = await readFile(path, 'utf8');
  await writeFile(path, text.replace('"version":3', '"version":4'));
  await expect(readLogAnchor(path)).rejects.toMatchObject({ code: 'LOG_ANCHOR_UNREADABLE' });
});

test('C12: each treasury is opened when its own stream has passed the safe record time, and not before', async () => {
  const { db } = live;
  await renewLogEpoch(db, {
    by: 'test',
    why: 'test',
    random: systemRandom,
    nowMicros: systemClock.nowMicros(),
    window: WINDOW,
  });
  const { safe_record_time: safe } = await db.selectFrom('database_restore').selectAll().executeTakeFirstOrThrow();
  await sql`
    INSERT INTO ledger_update (treasury_id, update_id, epoch, ledger_offset, record_time, synchronizer_id, kind, received)
    SELECT id, 'u', 1, 1, 1, 'sync', 'TRANSACTION', '' FROM treasury_party`.execute(db);
  await sql`INSERT INTO ingestion_stream (treasury_id, status) SELECT id, 'RUNNING' FROM treasury_party`.execute(db);
  const stand = async (name: string, recordTime: bigint) =>
    await sql`
      INSERT INTO synchronizer_time (treasury_id, synchronizer_id, record_time) SELECT id, 'sync', ${recordTime} FROM treasury_party WHERE name = ${name}
      ON CONFLICT (treasury_id, synchronizer_id) DO UPDATE SET record_time = excluded.record_time`.execute(db);
  const run = async (status: string) => await sql`UPDATE ingestion_stream SET status = ${status}`.execute(db);

  // At the safe record time itself it may still commit.
  await stand('first', safe);
  await stand('second', safe - 1n);
  expect(await reopen({ ...env, db })).toEqual([]);
  await stand('first', safe + 1n);
  await run('HALTED');
  expect(await reopen({ ...env, db })).toEqual([]);
  await run('RUNNING');
  expect(await reopen({ ...env, db })).toEqual(['first']);
  expect(await standing(db)).toEqual(['DATABASE_WENT_BACK second']);
  expect(await reopen({ ...env, db })).toEqual([]);
  await stand('second', safe + 1n);
  expect(await reopen({ ...env, db })).toEqual(['second']);
  expect(await standing(db)).toEqual([]);
});

const seen = (position: bigint, other: { epoch?: string; walPosition?: bigint } = {}) => ({
  epoch: 'e',
  history: 'h',
  position,
  walPosition: position,
  ...other,
});
const warnings: string[] = [];
const telling = { ...env, logger: { ...env.logger, warn: (message: string) => void warnings.push(message) } };
const write = async (path: string, memory: LogMemory) =>
  await runLogAnchor(path, { ...telling, memory, signal: AbortSignal.abort() });

test('C12: of processes that share an anchor file the one that saw least, and writes last, takes nothing from the others', async () => {
  const path = join(folder, 'shared');
  await write(path, createLogMemory(seen(10n), { kept: ['ten'] }));
  await write(path, createLogMemory(seen(7n, { walPosition: 12n }), { kept: ['seven'] }));

  expect(await readLogAnchor(path)).toEqual({ mark: seen(10n, { walPosition: 12n }), kept: ['ten'], audit: null });
  // Another epoch was seen later: it goes on from there, however little it has.
  await write(path, createLogMemory(seen(2n, { epoch: 'next' })));
  expect((await readLogAnchor(path))?.mark).toEqual(seen(2n, { epoch: 'next' }));
});

test('C12: many processes that write one anchor file at once leave one that is whole, has the most that was seen, and leave nothing beside it', async () => {
  warnings.splice(0);
  const path = join(folder, 'crowded');
  const positions = Array.from({ length: 12 }, (_, index) => BigInt((index * 7) % 12) + 1n);
  for (let round = 0n; round < 5n; round += 1n) {
    const writing = positions.map(async (position) => await write(path, createLogMemory(seen(round * 12n + position))));
    await Promise.all(writing);
    expect((await readLogAnchor(path))?.mark.position).toBe(round * 12n + 12n);
  }
  expect(warnings).toEqual([]);
  expect(await readdir(folder)).toEqual(['crowded']);
});

test('C12: what a writer left behind that was killed in the middle stops nobody', async () => {
  const path = join(folder, 'left');
  await writeFile(path, '{"version":3,"ep');
  await writeFile(`${path}.lock`, 'a process that is no more');
  const stopping = new AbortController();
  const running = runLogAnchor(path, { ...env, memory: createLogMemory(seen(3n)), signal: stopping.signal });
  await eventually(async () => expect((await readLogAnchor(path))?.mark.position).toBe(3n), { deadlineMs: 15_000 });
  stopping.abort();
  await running;
  expect(await readdir(folder)).toEqual(['left']);
});
