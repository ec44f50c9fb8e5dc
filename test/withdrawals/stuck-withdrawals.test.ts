/** What people are told of withdrawals that do not get on. */
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readStuckWithdrawals } from '../../src/read/stuck-withdrawals.ts';
import { giveUpUnsigned, takeDueAttempts } from '../../src/submissions/attempts.ts';
import { openAttempts } from '../../src/withdrawals/attempt-funding.ts';
import { WITHDRAWALS } from '../../src/withdrawals/attempts.ts';
import { DEFAULT_LIMITS } from '../../src/withdrawals/automation.ts';
import { DAY } from '../support/rows.ts';
import { RECEIVER, startWithdrawalApi, type WithdrawalApi } from '../support/withdrawal-api.ts';

const LIMITS = { ...DEFAULT_LIMITS, ttlMs: 60_000, attemptsMax: 2 };
const MINUTE = 60_000_000n;

let api: WithdrawalApi;

beforeEach(async () => {
  api = await startWithdrawalApi();
  await api.rows.stream({ status: 'RUNNING' }, DAY);
  await api.rows.holding('funds', '1000');
});

afterEach(async () => await api.close());

/** @param nowMicros by our clock and the ledger's. */
const stuckAt = (nowMicros: bigint) =>
  readStuckWithdrawals(api.database.db, { nowMicros, recordTimeAheadMsMax: 60_000, limit: 9 });

test('one whose attempts come to nothing again and again is told of, with why, whatever its state is at the moment', async () => {
  const { db } = api.database;
  const id = await api.idOf('round and round');
  await db.updateTable('withdrawal').set({ changed_at: DAY }).execute();

  for (let minute = 0n; minute < 8n; minute += 1n) {
    const nowMicros = DAY + minute * MINUTE;
    await api.rows.stream({ status: 'RUNNING', observed_at: nowMicros }, nowMicros);
    expect(await openAttempts(db, api.treasury, LIMITS, nowMicros)).toBe(1);
    const inFlight = await stuckAt(nowMicros);
    expect(inFlight.map(({ code }) => code)).toEqual(minute > 5n ? ['NOT_TRIED'] : []);
    const [attempt] = await takeDueAttempts(db, WITHDRAWALS, api.treasury, LIMITS, { nowMicros, countMax: 1 });
    if (attempt === undefined) throw new Error('No attempt is due.');
    await sql`UPDATE attempt SET last_error = 'The registry is away.' WHERE state = 'OPEN'`.execute(db);
    const failure = { code: 'REGISTRY_UNREACHABLE', detail: 'away', isReleased: true };
    expect(await giveUpUnsigned(db, WITHDRAWALS, attempt, failure, nowMicros)).toBe(true);
    const queued = await stuckAt(nowMicros);
    expect(queued).toEqual(
      minute > 5n
        ? [expect.objectContaining({ id, since: DAY, code: 'NOT_TRIED', detail: 'The registry is away.' })]
        : [],
    );
  }
});

test('an offer that somebody wants back, and that nobody takes back, is told of before it is over', async () => {
  const { db } = api.database;
  const id = await api.idOf('wanted back');
  await db.updateTable('withdrawal').set({ state: 'OFFERED', changed_at: DAY, transfer_id: 'tr_offer' }).execute();
  await sql`
    INSERT INTO transfer_instruction (treasury_id, contract_id, original_contract_id, transfer_id, direction, status, instrument_id, amount, sender,
      receiver, requested_at, execute_before, created_update_id, created_record_time)
    SELECT treasury_id, 'offer', 'offer', 'tr_offer', 'OUT', 'OPEN', instrument_id, amount, 'treasury::1220bb', ${RECEIVER}, 0,
      ${DAY + 1_000n * MINUTE}::bigint, 'u', 0 FROM withdrawal`.execute(db);
  await sql`
    INSERT INTO offer_return (withdrawal_id, treasury_id, instrument_id, reason, state, trouble_code, trouble, next_try_at, created_at, changed_at)
    SELECT id, treasury_id, instrument_id, 'CANCELLED', 'PARKED', 'NOT_COMMITTED', 'The registry said no.', ${DAY}::bigint, ${DAY}::bigint, ${DAY}::bigint
    FROM withdrawal`.execute(db);

  expect(await stuckAt(DAY + 4n * MINUTE)).toEqual([]);
  expect(await stuckAt(DAY + 6n * MINUTE)).toEqual([
    expect.objectContaining({ id, code: 'OFFER_NOT_TAKEN_BACK', detail: 'The registry said no.' }),
  ]);
  await db.updateTable('offer_return').set({ state: 'ENDED' }).execute();
  expect(await stuckAt(DAY + 6n * MINUTE)).toEqual([]);
});

test('what was paid before its approval is not for those who approve', async () => {
  const { db } = api.database;
  const id = await api.idOf('paid before');
  await db.updateTable('withdrawal').set({ state: 'AWAITING_APPROVAL', changed_at: DAY }).execute();
  expect((await stuckAt(DAY + 61n * MINUTE)).map(({ code }) => code)).toEqual(['APPROVAL']);
  const transferObject = { meta: { values: { 'sluice.dev/withdrawal-id': id } } };
  await api.rows.transfer({ direction: 'OUT', updateId: 'earlier', amount: '12.5', transferObject });

  expect((await stuckAt(DAY + 61n * MINUTE)).map(({ code }) => code)).toEqual(['PAID_BEFORE']);
});
