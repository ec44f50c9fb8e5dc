/** The second witness: an attempt that may have been signed does not lapse unless the participant still has an input of it active, at or past the position that proves. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemClock } from '../../src/env/system.ts';
import { CreatedEvent } from '../../src/gen/com/daml/ledger/api/v2/event.ts';
import type { ActiveContract } from '../../src/ledger/ledger-client.ts';
import { recordSignatureRequest, recordTry } from '../../src/submissions/attempt-signing.ts';
import { lapseAttempts, takeDueAttempts } from '../../src/submissions/attempts.ts';
import { type WitnessLedger, witnessInputs } from '../../src/submissions/input-witness.ts';
import { openAttempts } from '../../src/withdrawals/attempt-funding.ts';
import { WITHDRAWALS } from '../../src/withdrawals/attempts.ts';
import { DEFAULT_LIMITS } from '../../src/withdrawals/automation.ts';
import { DAY, SYNCHRONIZER } from '../support/rows.ts';
import { startWithdrawalApi, type WithdrawalApi } from '../support/withdrawal-api.ts';

const LIMITS = { ...DEFAULT_LIMITS, ttlMs: 60_000, attemptsMax: 1 };
const TARGET = DAY + 60_000_000n;

let api: WithdrawalApi;
let id: string;

beforeEach(async () => {
  api = await startWithdrawalApi();
  const { db } = api.database;
  await api.rows.stream({ status: 'RUNNING' }, DAY);
  await api.rows.holding('funds', '1000');
  id = await api.idOf('one');
  expect(await openAttempts(db, api.treasury, LIMITS, DAY)).toBe(1);
  const [attempt] = await takeDueAttempts(db, WITHDRAWALS, api.treasury, LIMITS, { nowMicros: DAY, countMax: 1 });
  if (attempt === undefined) throw new Error('No attempt is due.');
  const hash = new Uint8Array(32).fill(1);
  await recordSignatureRequest(db, WITHDRAWALS, attempt, { hash, scheme: 'V3', nowMicros: DAY });
  await recordTry(db, attempt, DAY);
  await db.updateTable('ingestion_stream').set({ participant_id: 'ours', ledger_offset: 50n }).execute();
});

afterEach(async () => await api.close());

type Participant = { name?: string; offset?: bigint; active?: readonly string[]; recordTime?: bigint; error?: Error };

/** A participant that says this. */
function participant({
  name = 'ours',
  offset = 50n,
  active = ['funds'],
  recordTime,
  error,
}: Participant): WitnessLedger {
  return {
    participantId: async () => {
      if (error !== undefined) throw error;
      return name;
    },
    ledgerEnd: async () => ({
      offset,
      recordTimes: new Map(recordTime === undefined ? [] : [[SYNCHRONIZER, recordTime]]),
    }),
    activeContracts: async function* ({ atOffset }): AsyncGenerator<ActiveContract> {
      expect(atOffset).toBe(offset);
      for (const contractId of ['another', ...active]) {
        yield { kind: 'ACTIVE', synchronizerId: SYNCHRONIZER, createdEvent: CreatedEvent.fromPartial({ contractId }) };
      }
    },
  };
}

async function witnessed(says: Participant, later = 0n): Promise<number> {
  const { db, logger } = api.database;
  const clock = { ...systemClock, nowMicros: () => DAY + 3_600_000_000n + later };
  const { signal } = new AbortController();
  const ledger = participant(says);
  return await witnessInputs({ db, purpose: WITHDRAWALS, treasuryId: api.treasury, ledger, clock, logger, signal });
}

const lapse = () => lapseAttempts(api.database.db, WITHDRAWALS, api.treasury, LIMITS, DAY);
const passed = async (recordTime = TARGET + 1n) => await api.rows.stream({ status: 'RUNNING' }, recordTime);
const attempt = () =>
  api.database.db
    .selectFrom('attempt')
    .select(['state', 'inputs_active_offset', 'last_error'])
    .executeTakeFirstOrThrow();
const stateOf = async () =>
  (await api.database.db.selectFrom('withdrawal').select('state').where('id', '=', id).executeTakeFirstOrThrow()).state;

test('with an input active past the proof it lapses, and the offset is kept', async () => {
  await passed();
  await api.database.db.updateTable('ingestion_stream').set({ participant_id: 'ours', ledger_offset: 50n }).execute();
  expect(await lapse()).toBe(0);

  expect(await witnessed({ offset: 57n })).toBe(1);
  expect(await attempt()).toMatchObject({ inputs_active_offset: 57n });
  expect([await lapse(), await stateOf()]).toEqual([1, 'FAILED']);
});

test('before its target nobody is asked, and at it nobody either', async () => {
  await passed(TARGET);

  expect(await witnessed({ error: new Error('Nobody should ask.') })).toBe(0);
  expect(await attempt()).toMatchObject({ inputs_active_offset: null, last_error: null });
});

test.each([
  ['has no input of it active: it may have been paid, and the update hidden', { active: [] }, /committed unseen/],
  ['has not come as far as the position that proves', { offset: 49n }, /has not come that far/],
  ['is another one, and does not say how far it is', { name: 'theirs', offset: 9_999n }, /has not come that far/],
  ['is another one, and only at the target', { name: 'theirs', recordTime: TARGET }, /has not come that far/],
  ['cannot be asked', { error: new Error('PERMISSION_DENIED') }, /could not be asked.*PERMISSION_DENIED/],
] as const)('a participant that %s ends nothing, and the reason is shown', async (_name, says, why) => {
  await passed();
  await api.database.db.updateTable('ingestion_stream').set({ participant_id: 'ours', ledger_offset: 50n }).execute();

  expect(await witnessed(says)).toBe(0);
  expect([await lapse(), await stateOf()]).toEqual([0, 'IN_FLIGHT']);
  const { inputs_active_offset: offset, last_error: error } = await attempt();
  expect([offset, error]).toEqual([null, expect.stringMatching(why)]);

  // It is asked again, not at once, and believed when it can be.
  expect(await witnessed({}, 1_000_000n)).toBe(0);
  expect(await witnessed({}, 3_000_000n)).toBe(1);
  expect(await lapse()).toBe(1);
});

test('another participant that has passed the target is as good a witness', async () => {
  await passed();

  expect(await witnessed({ name: 'theirs', offset: 3n, recordTime: TARGET + 1n })).toBe(1);
});

test('a clock that was ahead when it was taken keeps nobody from asking', async () => {
  await passed();
  await api.database.db.updateTable('ingestion_stream').set({ participant_id: 'ours', ledger_offset: 50n }).execute();
  await api.database.db
    .updateTable('attempt')
    .set({ taken_at: DAY + 86_400_000_000n })
    .execute();

  expect(await witnessed({})).toBe(1);
  expect(await lapse()).toBe(1);
});
