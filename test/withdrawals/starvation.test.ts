/**
 * Many withdrawals and few holdings: everybody is paid, nothing is reserved twice, and nobody is overtaken for ever. The ledger is played by the test: what an attempt was given is consumed, and the change
 * comes back, in the tables that ingestion writes.
 */
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createDatabase } from '../../src/db/connection.ts';
import type { AttemptLimits } from '../../src/submissions/attempts.ts';
import { parseAmount } from '../../src/tokens/amount.ts';
import { openAttempts } from '../../src/withdrawals/attempt-funding.ts';
import { createWithdrawals } from '../../src/withdrawals/withdrawal-requests.ts';
import { stopWithdrawal } from '../../src/withdrawals/withdrawal-stops.ts';
import { createVirtualClock, type VirtualClock } from '../support/clock.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { AMULET_ADMIN, createRows, DAY, type Rows } from '../support/rows.ts';
import { rounds } from '../support/tier.ts';

const LIMITS: AttemptLimits = {
  ttlMs: 60_000,
  recordTimeAgeMsMax: 600_000,
  recordTimeAheadMsMax: 600_000,
  attemptsMax: 2,
  triesMax: 5,
  tryHoldMs: 0,
};
const HOLDINGS = 5;
const REQUESTS = rounds(250, 1_000);

let database: TestDatabase;
let rows: Rows;
let treasury: number;
let clock: VirtualClock;

beforeEach(async () => {
  database = await createTestDatabase();
  rows = createRows(database.db);
  treasury = await rows.treasury();
  await rows.instrument();
  await rows.stream({});
  await sql`
    INSERT INTO ledger_update (treasury_id, epoch, update_id, ledger_offset, record_time, synchronizer_id, kind, received)
    SELECT ${treasury}, 1, '1220ff', 1, ${DAY}, synchronizer_id, 'TRANSACTION', '\\x00' FROM synchronizer_time`.execute(
    database.db,
  );
  clock = createVirtualClock(DAY);
});

afterEach(async () => {
  await database.close();
});

async function ask(idempotencyKey: string, amount: string, instrumentId = 'Amulet'): Promise<string> {
  const withdrawals = createWithdrawals({ db: database.db, clock, network: 'testnet', idKey: new Uint8Array(32) });
  const { id } = await withdrawals.create({
    client: 'exchange',
    idempotencyKey,
    account: 'alice',
    treasuryParty: 'treasury::1220bb',
    instrument: { admin: AMULET_ADMIN, id: instrumentId },
    receiver: `bob::1220${'ab'.repeat(32)}`,
    amount: parseAmount(amount),
    memo: null,
  });
  return id;
}

/** As many like `id` as it takes, requested after it, a microsecond apart. */
async function copies(id: string, count: number): Promise<void> {
  await sql`
    INSERT INTO withdrawal
    SELECT (jsonb_populate_record(w, jsonb_build_object(
      'id', 'wd_' || lpad(n::text, 40, '0'), 'idempotency_key', 'copy-' || n, 'created_at', w.created_at + n
    ))).* FROM withdrawal w, generate_series(1, ${count}::int) AS n WHERE w.id = ${id}`.execute(database.db);
}

/** Everything under way commits, and ingestion has seen it. */
let made = 0;
async function commitAll(): Promise<number> {
  made += 1;
  const update = `u${made}`;
  return await database.db.transaction().execute(async (tx) => {
    await sql`
      UPDATE holding h SET archived_update_id = ${update}, archived_record_time = ${DAY} FROM reservation r
      WHERE r.is_open AND h.treasury_id = r.treasury_id AND h.contract_id = r.contract_id`.execute(tx);
    await sql`
      INSERT INTO holding (treasury_id, contract_id, instrument_id, amount, template, created_update_id, created_record_time)
      SELECT w.treasury_id, ${`${update}-`} || w.id, w.instrument_id, spent.sum - w.amount::numeric, 'test:Test:Test', ${update}, ${DAY}
      FROM submission s JOIN withdrawal w ON w.id = s.withdrawal_id
      JOIN (
        SELECT r.submission_id, sum(h.amount::numeric) FROM reservation r
        JOIN holding h ON h.treasury_id = r.treasury_id AND h.contract_id = r.contract_id WHERE r.is_open GROUP BY 1
      ) AS spent (submission_id, sum) ON spent.submission_id = s.id
      WHERE spent.sum > w.amount::numeric`.execute(tx);
    await sql`UPDATE withdrawal SET state = 'COMPLETED' WHERE state = 'IN_FLIGHT'`.execute(tx);
    await sql`UPDATE reservation SET is_open = false WHERE is_open`.execute(tx);
    const { numAffectedRows } =
      await sql`UPDATE attempt SET state = 'SETTLED', closed_at = 0 WHERE state = 'OPEN'`.execute(tx);
    return Number(numAffectedRows ?? 0n);
  });
}

const stateOf = async (id: string) =>
  (await database.db.selectFrom('withdrawal').select('state').where('id', '=', id).executeTakeFirstOrThrow()).state;

async function pass(): Promise<number> {
  return await openAttempts(database.db, treasury, LIMITS, clock.nowMicros());
}

test(`E10: ${REQUESTS} at once on five holdings are all paid, nothing is reserved twice, and the largest at the head is not starved`, async () => {
  for (let index = 0; index < HOLDINGS; index += 1) await rows.holding(`h${index}`, '1000');
  // The first takes a holding away, so that the head has to wait for it to come back.
  await ask('first', '1');
  expect(await pass()).toBe(1);
  await clock.advance(1);
  const head = await ask('head', '4500');
  await clock.advance(1);
  const small = await ask('small', '0.3');
  await copies(small, REQUESTS - 3);

  let passes = 0;
  let headPaidAfter: number | null = null;
  for (let paid = 1; paid < REQUESTS; passes += 1) {
    expect(passes).toBeLessThan(REQUESTS);
    await pass();
    const { rows: doubled } = await sql`
      SELECT contract_id FROM reservation WHERE is_open GROUP BY contract_id HAVING count(*) > 1`.execute(database.db);
    expect(doubled).toEqual([]);
    paid += await commitAll();
    if (headPaidAfter === null && (await stateOf(head)) === 'COMPLETED') headPaidAfter = passes;
    // Five at a time is what five holdings allow; with more it goes faster.
    if (passes === 20) for (let index = 0; index < 60; index += 1) await rows.holding(`more-${index}`, '100');
  }
  expect(headPaidAfter).not.toBeNull();
  expect(headPaidAfter ?? REQUESTS).toBeLessThanOrEqual(3);
  const { rows: left } = await sql`SELECT id FROM withdrawal WHERE state <> 'COMPLETED'`.execute(database.db);
  expect(left).toEqual([]);
}, 120_000);

test('E10: a large one whose funds are under way is not overtaken by small ones without end', async () => {
  for (let index = 0; index < HOLDINGS; index += 1) await rows.holding(`h${index}`, '100');
  await ask('first', '1');
  expect(await pass()).toBe(1);
  await clock.advance(1);
  const head = await ask('head', '450');
  await clock.advance(1);
  await copies(await ask('small', '10'), 50);

  // What is there in the end is 499: small ones go on as long as 450 remain, four times ten, and then wait.
  expect(await pass()).toBe(4);
  expect(await pass()).toBe(0);
  await commitAll();
  expect(await pass()).toBe(1);
  expect(await stateOf(head)).toBe('IN_FLIGHT');
});

test('E10: those who wait behind a large one of their instrument keep no other instrument waiting, however many they are', async () => {
  for (let index = 0; index < HOLDINGS; index += 1) await rows.holding(`h${index}`, '100');
  await rows.holding('other', '100', { instrumentId: 'Other' });
  await ask('first', '1');
  expect(await pass()).toBe(1);
  await clock.advance(1);
  const head = await ask('head', '450');
  await clock.advance(1);
  await copies(await ask('small', '10'), 80);
  await clock.advance(20_000);
  const elsewhere = await ask('elsewhere', '10', 'Other');

  expect(await pass()).toBe(1);
  expect(await stateOf(elsewhere)).toBe('IN_FLIGHT');
  // And the large one is still the next of its own.
  await commitAll();
  await pass();
  expect(await stateOf(head)).toBe('IN_FLIGHT');
});

test('E10: what can never be paid holds up nobody: more than there is, or parked', async () => {
  for (let index = 0; index < HOLDINGS; index += 1) await rows.holding(`h${index}`, '100');
  await ask('first', '1');
  expect(await pass()).toBe(1);
  await clock.advance(1);
  const tooMuch = await ask('too much', '500');
  const parked = await ask('parked', '450');
  const nowMicros = clock.nowMicros();
  await stopWithdrawal(database.db, parked, 'PARK', { by: 'ann', why: 'test', nowMicros });
  await clock.advance(60_000);
  const small = await ask('small', '10');

  expect(await pass()).toBe(1);
  expect([await stateOf(tooMuch), await stateOf(parked), await stateOf(small)]).toEqual([
    'QUEUED',
    'QUEUED',
    'IN_FLIGHT',
  ]);
});

test('E7: merges that came to nothing together count once, and are tried again as soon as after one', async () => {
  for (let index = 0; index < 40; index += 1) await rows.holding(`dust-${index}`, '1');
  await sql`
    INSERT INTO pool_target (treasury_id, instrument_id, holdings_count, holding_amount, inputs_max, changed_at, changed_by)
    SELECT ${treasury}, id, 0, 1000, 4, 0, 'test' FROM instrument WHERE instrument_id = 'Amulet'`.execute(database.db);
  await ask('head', '35');
  const merges = await pass();
  expect(merges).toBeGreaterThan(4);
  // Nobody answered while they could commit.
  const now = clock.nowMicros();
  await sql`UPDATE self_transfer SET state = 'ENDED', reason = 'NOT_COMMITTED', changed_at = ${now}`.execute(
    database.db,
  );
  await sql`UPDATE attempt SET state = 'GIVEN_UP', closed_at = ${now}`.execute(database.db);
  await sql`UPDATE reservation SET is_open = false`.execute(database.db);

  expect(await pass()).toBe(0);
  await clock.advance(10_001);
  expect(await pass()).toBe(merges);
});

async function inputsMax(count: number): Promise<void> {
  await sql`
    INSERT INTO pool_target (treasury_id, instrument_id, holdings_count, holding_amount, inputs_max, changed_at, changed_by)
    SELECT ${treasury}, id, 0, 1000, ${count}, 0, 'test' FROM instrument WHERE instrument_id = 'Amulet'`.execute(
    database.db,
  );
}

/** What is under way was signed, and came to nothing by proof. */
async function lapseAll(): Promise<void> {
  await sql`
    UPDATE attempt SET state = 'LAPSED', sign_requested_at = opened_at, sign_requests = 1, closed_at = opened_at, lapsed_by = target_record_time + 1
    WHERE state = 'OPEN'`.execute(database.db);
  await sql`UPDATE reservation SET is_open = false`.execute(database.db);
  await sql`UPDATE withdrawal SET state = 'QUEUED' WHERE state = 'IN_FLIGHT'`.execute(database.db);
}

/** Transfers to ourselves that are under way commit: one holding of all that each consumes. */
async function commitMerges(): Promise<void> {
  made += 1;
  const update = `u${made}`;
  await sql`
    INSERT INTO holding (treasury_id, contract_id, instrument_id, amount, template, created_update_id, created_record_time)
    SELECT x.treasury_id, ${`${update}-`} || x.id, x.instrument_id, x.amount, 'test:Test:Test', ${update}, ${DAY}
    FROM self_transfer x WHERE x.state = 'IN_FLIGHT'`.execute(database.db);
  await sql`
    UPDATE holding h SET archived_update_id = ${update}, archived_record_time = ${DAY}
    FROM reservation r JOIN submission s ON s.id = r.submission_id AND s.self_transfer_id IS NOT NULL
    WHERE r.is_open AND h.treasury_id = r.treasury_id AND h.contract_id = r.contract_id`.execute(database.db);
  await sql`
    UPDATE reservation r SET is_open = false FROM submission s WHERE s.id = r.submission_id AND s.self_transfer_id IS NOT NULL`.execute(
    database.db,
  );
  await sql`
    UPDATE attempt a SET state = 'SETTLED', closed_at = 0 FROM submission s
    WHERE s.id = a.submission_id AND s.self_transfer_id IS NOT NULL AND a.state = 'OPEN'`.execute(database.db);
  await sql`UPDATE self_transfer SET state = 'DONE', update_id = ${update} WHERE state = 'IN_FLIGHT'`.execute(
    database.db,
  );
}

test('E10: one that has to keep a small input of an earlier attempt is merged for, and holds nobody up for ever', async () => {
  await inputsMax(3);
  for (const amount of ['1', '4', '5']) await rows.holding(`h${amount}`, amount);
  const head = await ask('head', '10');
  expect(await pass()).toBe(1);
  await lapseAll();
  await sql`UPDATE holding SET archived_update_id = 'elsewhere', archived_record_time = 0 WHERE contract_id <> 'h1'`.execute(
    database.db,
  );
  for (const [index, amount] of ['3', '3', '4'].entries()) await rows.holding(`new-${index}`, amount);
  await clock.advance(60_000);
  const younger = await ask('younger', '1');

  // Three holdings make it, and not three with the one that it keeps.
  expect(await pass()).toBe(1);
  await commitMerges();
  expect(await pass()).toBe(1);
  expect(await stateOf(head)).toBe('IN_FLIGHT');
  const { rows: kept } = await sql`SELECT FROM reservation WHERE is_open AND contract_id = 'h1'`.execute(database.db);
  expect(kept).toHaveLength(1);
  await commitAll();
  expect(await pass()).toBe(1);
  expect(await stateOf(younger)).toBe('IN_FLIGHT');
});

test('E10: what nobody can decide keeps nothing back of what others have', async () => {
  await inputsMax(2);
  await rows.holding('large', '100');
  await ask('undecided', '100');
  expect(await pass()).toBe(1);
  await sql`UPDATE attempt SET sign_requested_at = opened_at, sign_requests = 1`.execute(database.db);
  await sql`UPDATE synchronizer_time SET record_time = ${DAY + 60_000_001n}`.execute(database.db);
  await clock.advance(60_000);
  for (let index = 0; index < 3; index += 1) await rows.holding(`h${index}`, '20');
  const pieces = await ask('pieces', '60');

  // Before its target is past nobody knows what comes back of it; now it is nothing to count on, and nothing to pay twice.
  expect(await pass()).toBe(1);
  await commitMerges();
  expect(await pass()).toBe(1);
  expect(await stateOf(pieces)).toBe('IN_FLIGHT');
});

test('E22: many processes that fund at once reserve no holding twice, and give no withdrawal two attempts', async () => {
  for (let index = 0; index < 20; index += 1) await rows.holding(`h${index}`, '5');
  await copies(await ask('small', '5'), 19);
  const connections = Array.from({ length: 6 }, (_, index) =>
    createDatabase({
      connectionString: database.connectionString,
      applicationName: `process-${index}`,
      poolSizeMax: 2,
      logger: database.logger,
    }),
  );
  const opened = await Promise.all(
    connections.map(async ({ db }) => await openAttempts(db, treasury, LIMITS, clock.nowMicros())),
  );
  for (const { close } of connections) await close();

  expect(opened.reduce((sum, count) => sum + count, 0)).toBe(20);
  const { rows: reserved } = await sql<{ holdings: number; attempts: number }>`
    SELECT count(DISTINCT contract_id)::int AS holdings, count(DISTINCT submission_id)::int AS attempts FROM reservation WHERE is_open`.execute(
    database.db,
  );
  expect(reserved).toEqual([{ holdings: 20, attempts: 20 }]);
});

test('E22: the tables refuse a second open reservation of a holding, whoever writes it', async () => {
  await rows.holding('h', '5');
  await ask('one', '5');
  expect(await pass()).toBe(1);
  await copies(await ask('two', '5'), 1);
  await sql`
    INSERT INTO submission (id, treasury_id, instrument_id, purpose, withdrawal_id, created_at)
    SELECT 'sb_rival', treasury_id, instrument_id, 'WITHDRAWAL', id, 0 FROM withdrawal WHERE idempotency_key = 'two'`.execute(
    database.db,
  );
  await sql`
    INSERT INTO attempt (submission_id, number, state, synchronizer_id, target_record_time, transfer_object, next_try_at, opened_at)
    SELECT 'sb_rival', 1, 'OPEN', synchronizer_id, target_record_time, transfer_object, 0, 0 FROM attempt`.execute(
    database.db,
  );

  await expect(
    sql`INSERT INTO reservation (submission_id, number, treasury_id, contract_id, is_open) VALUES ('sb_rival', 1, ${treasury}, 'h', true)`.execute(
      database.db,
    ),
  ).rejects.toMatchObject({ facts: { constraint: 'reservation_exclusive' } });
});
