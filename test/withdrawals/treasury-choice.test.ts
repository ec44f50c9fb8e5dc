/** Which treasury pays a request that names none. */
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { DEFAULT_RESTORE_WINDOW, noteRestore } from '../../src/db/database-restore.ts';
import { parseAmount } from '../../src/tokens/amount.ts';
import {
  createWithdrawals,
  type WithdrawalRequest,
  type Withdrawals,
} from '../../src/withdrawals/withdrawal-requests.ts';
import { createVirtualClock } from '../support/clock.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { AMULET_ADMIN, createRows, DAY, type Rows } from '../support/rows.ts';

const NORTH = 'north::1220bb';
const SOUTH = 'south::1220cc';

let database: TestDatabase;
let rows: Rows;
let withdrawals: Withdrawals;

beforeEach(async () => {
  database = await createTestDatabase();
  rows = createRows(database.db);
  for (const party of [NORTH, SOUTH]) await rows.treasury(party);
  await rows.instrument();
  const clock = createVirtualClock(DAY);
  withdrawals = createWithdrawals({ db: database.db, clock, network: 'testnet', idKey: new Uint8Array(32) });
});

afterEach(async () => {
  await database.close();
});

const request = (overrides: Partial<WithdrawalRequest> = {}): WithdrawalRequest => ({
  client: 'exchange',
  idempotencyKey: 'key',
  account: 'alice',
  treasuryParty: null,
  instrument: { admin: AMULET_ADMIN, id: 'Amulet' },
  receiver: `bob::1220${'ab'.repeat(32)}`,
  amount: parseAmount('50'),
  memo: null,
  ...overrides,
});

async function payers(): Promise<readonly string[]> {
  const { rows: found } = await sql<{ party: string }>`
    SELECT t.party FROM withdrawal w JOIN treasury_party t ON t.id = w.treasury_id ORDER BY w.idempotency_key`.execute(
    database.db,
  );
  return found.map(({ party }) => party);
}

test('E7: the fullest with enough pays, and a request is one withdrawal whatever is fullest when it is repeated', async () => {
  await rows.holding('n1', '60', { party: NORTH });
  await rows.holding('s1', '100', { party: SOUTH });
  const first = await withdrawals.create(request());
  await rows.holding('n2', '1000', { party: NORTH });

  expect(await withdrawals.create(request())).toEqual({ id: first.id, isReplayed: true });
  expect(await withdrawals.create(request({ treasuryParty: SOUTH }))).toEqual({ id: first.id, isReplayed: true });
  await expect(withdrawals.create(request({ treasuryParty: NORTH }))).rejects.toMatchObject({
    code: 'IDEMPOTENCY_KEY_REUSED',
  });
  expect(await payers()).toEqual([SOUTH]);
});

test('E7: what is promised already is not to spare', async () => {
  await rows.holding('n1', '60', { party: NORTH });
  await rows.holding('s1', '100', { party: SOUTH });
  for (const idempotencyKey of ['1', '2', '3']) await withdrawals.create(request({ idempotencyKey }));

  expect(await payers()).toEqual([SOUTH, NORTH, SOUTH]);
});

test('E7: too little in every one treasury is refused, with what is held where', async () => {
  await rows.holding('n1', '30', { party: NORTH });
  await rows.holding('s1', '40', { party: SOUTH });

  await expect(withdrawals.create(request())).rejects.toMatchObject({
    code: 'INSUFFICIENT_FUNDS',
    message: 'No one treasury has 50.0000000000 to spare, and one of them pays. They have: south 40, north 30.',
  });
  expect(await payers()).toEqual([]);
  // One that is named waits there.
  await withdrawals.create(request({ treasuryParty: NORTH }));
  expect(await payers()).toEqual([NORTH]);
});

test('E7: a frozen treasury is chosen last', async () => {
  await rows.holding('n1', '60', { party: NORTH });
  await rows.holding('s1', '100', { party: SOUTH });
  await sql`
    INSERT INTO money_freeze (treasury_id, reason, detail, cause, opened_at, opened_by)
    SELECT id, 'OPERATOR', 'a test', 'a test', 0, 'test' FROM treasury_party WHERE party = ${SOUTH}`.execute(
    database.db,
  );
  await withdrawals.create(request());

  expect(await payers()).toEqual([NORTH]);
});

test('E7: what nobody can decide takes neither more nor less from a treasury than what it holds on to', async () => {
  await rows.holding('gone', '100', { party: NORTH, isArchived: true });
  await rows.holding('held', '500', { party: NORTH });
  await rows.holding('n1', '60', { party: NORTH });
  await withdrawals.create(request({ idempotencyKey: 'undecided', treasuryParty: NORTH, amount: parseAmount('300') }));
  await sql`
    INSERT INTO submission (id, treasury_id, instrument_id, purpose, withdrawal_id, created_at)
    SELECT 'sb_undecided', treasury_id, instrument_id, 'WITHDRAWAL', id, 0 FROM withdrawal`.execute(database.db);
  await sql`
    INSERT INTO attempt (submission_id, number, state, synchronizer_id, target_record_time, transfer_object, next_try_at, opened_at, sign_requested_at, sign_requests)
    VALUES ('sb_undecided', 1, 'OPEN', 'global', ${DAY}, '{}', 0, 0, 0, 1)`.execute(database.db);
  await sql`
    INSERT INTO reservation (submission_id, number, treasury_id, contract_id, is_open)
    SELECT 'sb_undecided', 1, treasury_id, contract_id, true FROM holding WHERE contract_id IN ('gone', 'held')`.execute(
    database.db,
  );
  await sql`UPDATE withdrawal SET state = 'UNRESOLVED'`.execute(database.db);
  const choose = (amount: string) =>
    withdrawals.create(request({ idempotencyKey: amount, amount: parseAmount(amount) }));

  // Before its target is past it leaves what it does not pay.
  await sql`
    INSERT INTO synchronizer_time (treasury_id, synchronizer_id, record_time) SELECT treasury_id, 'global', ${DAY} FROM withdrawal`.execute(
    database.db,
  );
  await expect(choose('261')).rejects.toMatchObject({ message: expect.stringContaining('north 260') });
  await sql`UPDATE synchronizer_time SET record_time = record_time + 1`.execute(database.db);
  await expect(choose('61')).rejects.toMatchObject({ message: expect.stringContaining('north 60') });
  await choose('60');
  expect(await payers()).toEqual([NORTH, NORTH]);
});

test('rivals with one key and no treasury are one withdrawal, whatever each would have chosen', async () => {
  await rows.holding('n1', '60', { party: NORTH });
  await rows.holding('s1', '60', { party: SOUTH });

  const created = await Promise.all(Array.from({ length: 8 }, () => withdrawals.create(request())));

  expect(new Set(created.map(({ id }) => id)).size).toBe(1);
  expect(created.filter(({ isReplayed }) => !isReplayed).length).toBe(1);
});

test('C12: while a restore is open of one treasury, only who names another one is served: what is lost may have been paid from any', async () => {
  await rows.holding('n1', '60', { party: NORTH });
  await rows.holding('s1', '100', { party: SOUTH });
  await database.db.transaction().execute(
    async (tx) =>
      await noteRestore(tx, {
        cause: 'test',
        treasuryId: await rows.treasury(SOUTH),
        detail: 'test',
        by: 'test',
        nowMicros: DAY,
        window: DEFAULT_RESTORE_WINDOW,
        lostEvents: null,
        putBack: async () => null,
      }),
  );

  // The same key was served before the restore, and that payment has not been read yet: the other treasury would pay it again.
  await expect(withdrawals.create(request())).rejects.toMatchObject({ code: 'DB_RESTORED' });
  await expect(withdrawals.create(request({ treasuryParty: SOUTH }))).rejects.toMatchObject({ code: 'DB_RESTORED' });
  await withdrawals.create(request({ treasuryParty: NORTH }));
  expect(await payers()).toEqual([NORTH]);
});
