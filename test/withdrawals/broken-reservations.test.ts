/** Somebody else consumes a holding that an attempt was given, as the DSO does with dust, at each phase of the attempt. */
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { checkBooks } from '../../src/books/check-books.ts';
import { systemClock } from '../../src/env/system.ts';
import { SNAPSHOT_PREFIX } from '../../src/ingestion/known-updates.ts';
import { recordSignatureRequest } from '../../src/submissions/attempt-signing.ts';
import { type AttemptLimits, takeDueAttempts } from '../../src/submissions/attempts.ts';
import { breakReservations } from '../../src/submissions/broken-reservations.ts';
import { parseAmount } from '../../src/tokens/amount.ts';
import { openAttempts } from '../../src/withdrawals/attempt-funding.ts';
import { WITHDRAWALS } from '../../src/withdrawals/attempts.ts';
import { createWithdrawals, type Withdrawals } from '../../src/withdrawals/withdrawal-requests.ts';
import { createWithdrawalSink } from '../../src/withdrawals/withdrawal-sink.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { type RunningIngestion, startIngestion } from '../support/ingestion.ts';
import { NETWORK, startTestNetwork, type TestNetwork } from '../support/network.ts';

const LIMITS: AttemptLimits = {
  ttlMs: 60_000,
  recordTimeAgeMsMax: 600_000,
  recordTimeAheadMsMax: 600_000,
  attemptsMax: 3,
  triesMax: 5,
  tryHoldMs: 0,
};

let database: TestDatabase;
let simnet: TestNetwork;
let ingestion: RunningIngestion;
let withdrawals: Withdrawals;
let treasuryId: number;

beforeEach(async () => {
  database = await createTestDatabase();
  simnet = await startTestNetwork('broken-reservations');
  ingestion = await startIngestion({
    connectionString: database.connectionString,
    ledgerUrl: simnet.ledgerUrl(),
    catalog: simnet.catalog,
    sinks: [createWithdrawalSink({ clock: systemClock, logger: database.logger })],
  });
  treasuryId = ingestion.treasuries[0]?.id ?? 0;
  withdrawals = createWithdrawals({ db: database.db, clock: systemClock, network: NETWORK, idKey: new Uint8Array(32) });
});

afterEach(async () => {
  await ingestion.stop();
  await simnet.stop();
  await database.close();
});

const now = () => systemClock.nowMicros();
const open = () => openAttempts(database.db, treasuryId, LIMITS, now());
const breakAll = () => breakReservations(database.db, WITHDRAWALS, treasuryId, now());
const due = () => takeDueAttempts(database.db, WITHDRAWALS, treasuryId, LIMITS, { nowMicros: now(), countMax: 10 });
const live = async () =>
  (
    await sql<{ id: string }>`SELECT contract_id AS id FROM holding WHERE archived_update_id IS NULL`.execute(
      database.db,
    )
  ).rows.map(({ id }) => id);

/** A withdrawal of five with an attempt on one of two holdings. */
async function underWay(): Promise<{ readonly id: string; readonly input: string }> {
  for (const amount of ['5', '6']) simnet.network.tap({ instrument: 'amulet', owner: 'treasury', amount });
  await eventually(async () => expect((await live()).length).toBe(2));
  const { id } = await withdrawals.create({
    client: 'exchange',
    idempotencyKey: 'key',
    account: 'alice',
    treasuryParty: simnet.network.party('treasury'),
    instrument: simnet.network.instrument('amulet'),
    receiver: simnet.network.party('bob'),
    amount: parseAmount('5'),
    memo: null,
  });
  expect(await open()).toBe(1);
  const { contract_id: input } = await database.db
    .selectFrom('reservation')
    .select('contract_id')
    .where('is_open', '=', true)
    .executeTakeFirstOrThrow();
  return { id, input };
}

async function expire(input: string): Promise<string> {
  const { updateId } = simnet.network.expireDust({ contractId: input });
  await eventually(async () => expect(await live()).not.toContain(input));
  return updateId;
}

const attempts = async () =>
  (
    await sql<{ state: string; lastError: string | null; brokenBy: string | null }>`
    SELECT a.state, a.last_error AS "lastError", r.broken_by AS "brokenBy" FROM attempt a
    JOIN reservation r ON r.submission_id = a.submission_id AND r.number = a.number ORDER BY a.number`.execute(
      database.db,
    )
  ).rows;
const stateOf = async (id: string) =>
  (await database.db.selectFrom('withdrawal').select('state').where('id', '=', id).executeTakeFirstOrThrow()).state;

test('E8: without a signature the attempt ends at once, and the withdrawal is funded anew', async () => {
  const { id, input } = await underWay();
  const updateId = await expire(input);

  expect(await breakAll()).toBe(1);
  expect(await stateOf(id)).toBe('QUEUED');
  expect(await attempts()).toMatchObject([{ state: 'GIVEN_UP', brokenBy: updateId }]);
  expect(await open()).toBe(1);
  expect(await attempts()).toMatchObject([{ state: 'GIVEN_UP' }, { state: 'OPEN', brokenBy: null }]);
  // Once is enough.
  expect(await breakAll()).toBe(0);
  expect(await checkBooks(database.db)).toEqual([]);
});

test('E8: with a signature only the proof ends it: it is written down, shown, and tried no more', async () => {
  const { id, input } = await underWay();
  const [attempt] = await due();
  if (attempt === undefined) throw new Error('Nothing is due.');
  const hash = new Uint8Array(32).fill(3);
  expect(
    await recordSignatureRequest(database.db, WITHDRAWALS, attempt, { hash, scheme: 'V3', nowMicros: now() }),
  ).toBe(true);
  const updateId = await expire(input);

  expect(await breakAll()).toBe(0);
  expect(await stateOf(id)).toBe('IN_FLIGHT');
  const [row] = await attempts();
  expect(row).toMatchObject({ state: 'OPEN', brokenBy: updateId });
  expect(row?.lastError).toContain(updateId);
  expect(await due()).toEqual([]);
});

test('E8: a crash between writing it down and ending the attempt changes nothing', async () => {
  const { id, input } = await underWay();
  const updateId = await expire(input);
  await sql`UPDATE reservation SET broken_by = ${updateId}`.execute(database.db);

  expect(await breakAll()).toBe(1);
  expect(await stateOf(id)).toBe('QUEUED');
});

test('A16: an input that went behind a gap of history is not said to have gone elsewhere', async () => {
  const { input } = await underWay();
  const [attempt] = await due();
  if (attempt === undefined) throw new Error('Nothing is due.');
  const hash = new Uint8Array(32).fill(3);
  await recordSignatureRequest(database.db, WITHDRAWALS, attempt, { hash, scheme: 'V3', nowMicros: now() });
  await sql`UPDATE holding SET archived_update_id = ${`${SNAPSHOT_PREFIX}1`} WHERE contract_id = ${input}`.execute(
    database.db,
  );

  expect(await breakAll()).toBe(0);
  const [row] = await attempts();
  expect(row).toMatchObject({ state: 'OPEN', lastError: expect.stringContaining('it may have been this transfer') });
  expect(await due()).toEqual([]);
});
