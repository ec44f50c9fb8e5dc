/** What `sluice stuck` says of a withdrawal that has an attempt or an offer: that which is in its way, and not what would be asked about first. */
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openFreeze } from '../../src/ingestion/freezes.ts';
import { readStuckWithdrawals } from '../../src/read/stuck-withdrawals.ts';
import { haltMoney } from '../../src/submissions/halts.ts';
import { openAttempts } from '../../src/withdrawals/attempt-funding.ts';
import { DEFAULT_LIMITS } from '../../src/withdrawals/automation.ts';
import { releaseWithdrawal, stopWithdrawal } from '../../src/withdrawals/withdrawal-stops.ts';
import { DAY } from '../support/rows.ts';
import { startWithdrawalApi, type WithdrawalApi } from '../support/withdrawal-api.ts';

const LIMITS = { ...DEFAULT_LIMITS, ttlMs: 60_000, attemptsMax: 2 };
const MINUTE = 60_000_000n;
const NOTHING_NAMED = { treasuryId: null, instrumentKey: null };
const EVERYTHING = { treasury: null, instrument: null };

let api: WithdrawalApi;
let id: string;

beforeEach(async () => {
  api = await startWithdrawalApi();
  await api.rows.stream({ status: 'RUNNING' }, DAY);
  await api.rows.holding('funds', '1000');
  id = await api.idOf('first');
  expect(await openAttempts(api.database.db, api.treasury, LIMITS, DAY)).toBe(1);
});

afterEach(async () => await api.close());

const word = (nowMicros: bigint) => ({ by: 'mia', why: 'Because of a test.', nowMicros });
const stuckAt = async (nowMicros: bigint) =>
  (await readStuckWithdrawals(api.database.db, { nowMicros, recordTimeAheadMsMax: 60_000, limit: 9 })).map(
    ({ id: of, code }) => ({ of, code }),
  );

test('a withdrawal in flight waits for the ledger where its time is over and the ledger has not said so', async () => {
  expect(await stuckAt(DAY + 10n * MINUTE)).toEqual([{ of: id, code: 'LEDGER' }]);
  await api.rows.stream({ status: 'HALTED', status_reason: 'UPDATE_MISSING' }, DAY);
  expect(await stuckAt(DAY + 10n * MINUTE)).toEqual([{ of: id, code: 'LEDGER' }]);
  await api.rows.stream({ status: 'RUNNING' }, DAY + 5n * MINUTE);
  expect(await stuckAt(DAY + 10n * MINUTE)).toEqual([{ of: id, code: 'NOT_PROVEN' }]);
});

test('one whose time is not over is not tried, or somebody has stopped it', async () => {
  await sql`UPDATE attempt SET target_record_time = ${DAY + 60n * MINUTE}`.execute(api.database.db);
  expect(await stuckAt(DAY + 10n * MINUTE)).toEqual([{ of: id, code: 'NOT_TRIED' }]);
  await stopWithdrawal(api.database.db, id, 'HOLD', word(DAY));
  expect(await stuckAt(DAY + MINUTE)).toEqual([{ of: id, code: 'HELD' }]);
  await releaseWithdrawal(api.database.db, id, 'HOLD', word(DAY));
  await stopWithdrawal(api.database.db, id, 'PARK', word(DAY));
  expect(await stuckAt(DAY + MINUTE)).toEqual([{ of: id, code: 'PARKED' }]);
});

test.each(['HALT', 'FREEZE', 'HELD'] as const)('an offer that is over is not taken back for a %s', async (code) => {
  const { db } = api.database;
  const now = DAY + 10n * MINUTE;
  const transfer = await api.rows.transfer({ updateId: 'offered', direction: 'OUT', kind: 'OFFER', status: 'PENDING' });
  await api.rows.openOffer('offer', '12.5', transfer);
  await api.apply(
    id,
    { kind: 'OFFER_SEEN' },
    { nowMicros: DAY, evidence: { transferId: transfer, updateId: 'offered' } },
  );
  await sql`UPDATE transfer_instruction SET direction = 'OUT', execute_before = ${DAY}`.execute(db);
  expect(await stuckAt(now)).toEqual([{ of: id, code: 'OFFER_NOT_TAKEN_BACK' }]);
  const freeze = {
    ...NOTHING_NAMED,
    reason: 'OPERATOR' as const,
    detail: 'x',
    cause: 'test',
    openedBy: 'mia',
    nowMicros: DAY,
  };
  if (code === 'HALT') await haltMoney(db, EVERYTHING, word(DAY));
  if (code === 'FREEZE') await openFreeze(db, freeze);
  if (code === 'HELD') await stopWithdrawal(db, id, 'HOLD', word(DAY));
  expect(await stuckAt(now)).toEqual([{ of: id, code }]);
});
