/** Which queued withdrawals are funded: whatever cannot be paid stands in nobody's way, and dust hides no money. */
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { AttemptLimits } from '../../src/submissions/attempts.ts';
import type { OnRefused } from '../../src/submissions/isolated.ts';
import { parseAmount } from '../../src/tokens/amount.ts';
import { openAttempts } from '../../src/withdrawals/attempt-funding.ts';
import { createWithdrawals } from '../../src/withdrawals/withdrawal-requests.ts';
import { createVirtualClock, type VirtualClock } from '../support/clock.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { AMULET_ADMIN, createRows, DAY, type Rows } from '../support/rows.ts';

const LIMITS: AttemptLimits = {
  ttlMs: 60_000,
  recordTimeAgeMsMax: 600_000,
  recordTimeAheadMsMax: 600_000,
  attemptsMax: 2,
  triesMax: 5,
  tryHoldMs: 0,
};
/** More than one pass takes. */
const MANY = 60;

let database: TestDatabase;
let rows: Rows;
let treasury: number;
let clock: VirtualClock;

beforeEach(async () => {
  database = await createTestDatabase();
  rows = createRows(database.db);
  treasury = await rows.treasury();
  await rows.instrument();
  await rows.instrument('Usd');
  await rows.stream({});
  // Where the treasury lives is told by its first update.
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

async function ask(idempotencyKey: string, amount: string, id = 'Amulet'): Promise<string> {
  await clock.advance(1);
  const withdrawals = createWithdrawals({ db: database.db, clock, network: 'testnet', idKey: new Uint8Array(32) });
  const created = await withdrawals.create({
    client: 'exchange',
    idempotencyKey,
    account: 'alice',
    treasuryParty: 'treasury::1220bb',
    instrument: { admin: AMULET_ADMIN, id },
    receiver: `bob::1220${'ab'.repeat(32)}`,
    amount: parseAmount(amount),
    memo: null,
  });
  return created.id;
}

/** As many passes as the automation would make in some seconds. */
async function openAll(onRefused?: OnRefused): Promise<readonly string[]> {
  for (let pass = 0; pass < 5; pass++) await openAttempts(database.db, treasury, LIMITS, clock.nowMicros(), onRefused);
  const funded = await database.db
    .selectFrom('withdrawal')
    .select('id')
    .where('state', '=', 'IN_FLIGHT')
    .orderBy('created_at')
    .execute();
  return funded.map(({ id }) => id);
}

test('E7: many of an instrument that the treasury has run out of stop no other instrument', async () => {
  for (let line = 0; line < MANY; line++) await ask(`usd-${line}`, '5', 'Usd');
  const payable = await ask('amulet', '5');
  await rows.holding('amulet-1', '5');

  expect(await openAll()).toEqual([payable]);
});

test('E7: many that are larger than what there is stop no smaller one', async () => {
  for (let line = 0; line < MANY; line++) await ask(`large-${line}`, '1000');
  const payable = await ask('small', '5');
  await rows.holding('amulet-1', '20');

  expect(await openAll()).toEqual([payable]);
});

test('E7: the oldest goes first where the funds reach for one', async () => {
  const first = await ask('first', '5');
  await ask('second', '5');
  await rows.holding('amulet-1', '5');

  expect(await openAll()).toEqual([first]);
});

test('E7: one that the database refuses takes nothing from the others of its pass, and each of them is opened', async () => {
  const refused = await ask('refused', '5');
  const others = [await ask('second', '5'), await ask('third', '5')];
  await rows.holding('amulet-1', '5');
  await rows.holding('amulet-2', '5');
  await sql`
    CREATE FUNCTION refuse_one() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      RAISE EXCEPTION 'Not this one.' USING ERRCODE = 'check_violation';
    END $$`.execute(database.db);
  await sql`
    CREATE TRIGGER refuse_one BEFORE UPDATE ON withdrawal FOR EACH ROW WHEN (OLD.id = ${sql.lit(refused)}) EXECUTE FUNCTION refuse_one()`.execute(
    database.db,
  );
  const told: string[] = [];

  // The holdings reach for two of three: what the first would have taken is the third one's.
  const opened = await openAttempts(database.db, treasury, LIMITS, clock.nowMicros(), (id) => void told.push(id));

  expect(opened).toBe(2);
  expect(told).toEqual([refused]);
  expect(await openAll(() => undefined)).toEqual(others);
  const { rows: reserved } = await sql<{ id: string }>`
    SELECT contract_id AS id FROM reservation WHERE is_open ORDER BY contract_id`.execute(database.db);
  expect(reserved).toEqual([{ id: 'amulet-1' }, { id: 'amulet-2' }]);
});

test('E7: more dust than is looked at hides no large holding', async () => {
  await rows.holding('dust', '0.0000000001');
  await sql`
    INSERT INTO holding (treasury_id, contract_id, instrument_id, amount, template, created_update_id, created_record_time)
    SELECT treasury_id, 'dust-' || n, instrument_id, amount, template, created_update_id, created_record_time
    FROM holding, generate_series(1, 1100) AS n`.execute(database.db);
  await rows.holding('large', '50');
  const payable = await ask('payable', '40');

  expect(await openAll()).toEqual([payable]);
});

test('E9: a holding whose lock the ledger has passed is paid with, one that is still locked is not', async () => {
  const first = await ask('first', '5');
  await ask('second', '5');
  await rows.holding('expired', '5', { lockHolders: ['holder'], createdAt: DAY - 61_000_000n });
  // Its lock ends at exactly the record time that was seen: it may still hold.
  await rows.holding('at-its-end', '5', { lockHolders: ['holder'], createdAt: DAY - 60_000_000n });

  expect(await openAll()).toEqual([first]);
  const { rows: reserved } = await sql<{ id: string }>`SELECT contract_id AS id FROM reservation`.execute(database.db);
  expect(reserved).toEqual([{ id: 'expired' }]);
});

test('B4: a lock that only another synchronizer has passed still holds', async () => {
  await ask('only', '5');
  await rows.holding('locked', '5', { lockHolders: ['holder'], createdAt: DAY });
  await sql`INSERT INTO synchronizer_time VALUES (${treasury}, 'other::1220', ${DAY + 3_600_000_000n})`.execute(
    database.db,
  );

  expect(await openAll()).toEqual([]);
});

test('E9: what an offer of ours locked is left alone while the offer is there, however long its lock is over', async () => {
  await rows.holding('locked', '5', { lockHolders: ['holder'], createdAt: DAY - 3_600_000_000n });
  await sql`
    INSERT INTO transfer_instruction (treasury_id, contract_id, original_contract_id, transfer_id, direction, status, instrument_id, amount, sender,
      receiver, requested_at, execute_before, created_update_id, created_record_time)
    SELECT treasury_id, 'offer', 'offer', 'tr_offer', 'OUT', 'OPEN', instrument_id, 5, 'treasury::1220bb', 'bob', 0, 1, 'u', 0 FROM holding`.execute(
    database.db,
  );
  const only = await ask('only', '5');
  expect(await openAll()).toEqual([]);

  await sql`UPDATE transfer_instruction SET status = 'EXPIRED', ended_update_id = 'v', ended_record_time = 1`.execute(
    database.db,
  );
  expect(await openAll()).toEqual([only]);
});
