/**
 * A treasury that keeps itself able to pay: dust is merged before a withdrawal that needs it, one large holding becomes a pool, and locks that are over hide no money. Executed for real, against the simulated
 * network, on the path that pays withdrawals.
 */
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { checkBooks } from '../../src/books/check-books.ts';
import { createLocalSigner, ed25519PrivateKey } from '../../src/custody/local-signer.ts';
import { systemClock } from '../../src/env/system.ts';
import { SNAPSHOT_PREFIX } from '../../src/ingestion/known-updates.ts';
import { recordSignatureRequest } from '../../src/submissions/attempt-signing.ts';
import { type AttemptLimits, lapseAttempts, takeDueAttempts } from '../../src/submissions/attempts.ts';
import { parseAmount } from '../../src/tokens/amount.ts';
import { openAttempts } from '../../src/withdrawals/attempt-funding.ts';
import { createSelfTransferSink } from '../../src/withdrawals/pool/self-transfer-sink.ts';
import { SELF_TRANSFERS } from '../../src/withdrawals/pool/self-transfers.ts';
import { createWithdrawals, type Withdrawals } from '../../src/withdrawals/withdrawal-requests.ts';
import { createWithdrawalSink } from '../../src/withdrawals/withdrawal-sink.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { type RunningIngestion, startIngestion } from '../support/ingestion.ts';
import { NETWORK, startTestNetwork, type TestNetwork } from '../support/network.ts';
import { SIGNER_SEED, startPayouts } from '../support/payouts.ts';
import { registryOf } from '../support/simnet-registry.ts';

const LIMITS: AttemptLimits = {
  ttlMs: 20_000,
  recordTimeAgeMsMax: 600_000,
  recordTimeAheadMsMax: 600_000,
  attemptsMax: 2,
  triesMax: 6,
  tryHoldMs: 5_000,
};
const PATIENCE = { deadlineMs: 40_000 };

let database: TestDatabase;
let simnet: TestNetwork;
let ingestion: RunningIngestion;
let withdrawals: Withdrawals;
const stopping: (() => Promise<void>)[] = [];

beforeEach(async () => {
  database = await createTestDatabase();
  simnet = await startTestNetwork('self-transfers');
  const key = await createLocalSigner({ privateKey: ed25519PrivateKey(SIGNER_SEED) }).currentKey();
  simnet.network.registerKey('treasury', key.publicKey.export({ type: 'spki', format: 'der' }));
  simnet.network.preapprove({ instrument: 'amulet', receiver: 'bob' });
  ingestion = await startIngestion({
    connectionString: database.connectionString,
    ledgerUrl: simnet.ledgerUrl(),
    catalog: simnet.catalog,
    sinks: [
      createWithdrawalSink({ clock: systemClock, logger: database.logger }),
      createSelfTransferSink({ clock: systemClock }),
    ],
  });
  withdrawals = createWithdrawals({ db: database.db, clock: systemClock, network: NETWORK, idKey: new Uint8Array(32) });
});

afterEach(async () => {
  for (const stop of stopping.splice(0)) await stop();
  await ingestion.stop();
  await simnet.stop();
  await database.close();
});

function treasuryOf() {
  const [treasury] = ingestion.treasuries;
  if (treasury === undefined) throw new Error('No treasury.');
  return treasury;
}

function start() {
  const payouts = startPayouts({
    db: database.db,
    treasury: treasuryOf(),
    ledgerUrl: simnet.ledgerUrl(),
    registry: registryOf(simnet),
    logger: database.logger,
    limits: LIMITS,
  });
  stopping.push(payouts.stop);
  return payouts;
}

async function fund(amounts: readonly string[]): Promise<void> {
  for (const amount of amounts) simnet.network.tap({ instrument: 'amulet', owner: 'treasury', amount });
  await eventually(async () => expect((await holdings()).length).toBe(amounts.length), PATIENCE);
}

async function holdings(): Promise<readonly string[]> {
  const { rows } = await sql<{ amount: string }>`
    SELECT amount::text AS amount FROM holding WHERE archived_update_id IS NULL AND treasury_id = ${treasuryOf().id} ORDER BY amount`.execute(
    database.db,
  );
  return rows.map(({ amount }) => amount);
}

async function keepPool(count: number, amount: string, inputsMax: number): Promise<void> {
  await sql`
    INSERT INTO pool_target (treasury_id, instrument_id, holdings_count, holding_amount, inputs_max, changed_at, changed_by)
    SELECT ${treasuryOf().id}, id, ${count}, ${amount}, ${inputsMax}, 0, 'test' FROM instrument WHERE instrument_id = 'Amulet'`.execute(
    database.db,
  );
}

const ask = (key: string, amount: string) =>
  withdrawals.create({
    client: 'exchange',
    idempotencyKey: key,
    account: 'alice',
    treasuryParty: simnet.network.party('treasury'),
    instrument: simnet.network.instrument('amulet'),
    receiver: simnet.network.party('bob'),
    amount: parseAmount(amount),
    memo: null,
  });

async function states(table: 'withdrawal' | 'self_transfer'): Promise<Record<string, number>> {
  const { rows } = await sql<{ state: string; count: number }>`
    SELECT state, count(*)::int AS count FROM ${sql.table(table)} GROUP BY 1`.execute(database.db);
  return Object.fromEntries(rows.map(({ state, count }) => [state, count]));
}

const become = (wanted: Record<string, number>) =>
  eventually(async () => expect(await states('withdrawal')).toEqual(wanted), PATIENCE);
const paidToBob = () => simnet.network.balance({ instrument: 'amulet', owner: 'bob' });

test('E7: where only dust is left it is merged first, and the withdrawal is paid once', async () => {
  await fund(Array.from({ length: 30 }, () => '1'));
  await keepPool(0, '1000', 8);
  await ask('one', '25');
  const { rows: before } = await sql`SELECT * FROM posting ORDER BY 1`.execute(database.db);
  start();
  await become({ COMPLETED: 1 });

  expect(await paidToBob()).toBe('25.0000000000');
  // 25 of 30 in pieces of one, eight at a time: the least that makes eight inputs of twenty-five.
  const { rows } = await sql<{ kind: string; why: string; state: string; inputs: number }>`
    SELECT kind, why, state, inputs_count::int AS inputs FROM self_transfer ORDER BY inputs_count`.execute(database.db);
  expect(rows.every(({ kind, why, state }) => `${kind} ${why} ${state}` === 'MERGE WITHDRAWAL DONE')).toBe(true);
  expect(rows.map(({ inputs }) => inputs)).toEqual([4, 8, 8]);
  // Merges are movements of their own kind, and no posting of theirs touches anybody.
  const { rows: merges } = await sql<{ count: number }>`
    SELECT count(*)::int AS count FROM transfer WHERE kind = 'MERGE' AND direction = 'SELF'`.execute(database.db);
  expect(merges[0]?.count).toBe(3);
  const { rows: after } = await sql`SELECT * FROM posting ORDER BY 1`.execute(database.db);
  expect(after.length).toBe(before.length + 2);
  expect(await checkBooks(database.db)).toEqual([]);
});

test('E10: one large holding becomes a pool, while withdrawals are paid out of it', async () => {
  await fund(['1000']);
  await keepPool(8, '20', 50);
  for (let line = 0; line < 12; line += 1) await ask(`burst-${line}`, '5');
  start();
  await become({ COMPLETED: 12 });
  await eventually(async () => {
    const large = (await holdings()).filter((amount) => Number(amount) >= 20);
    expect(large.length).toBeGreaterThanOrEqual(8);
  }, PATIENCE);

  expect(await paidToBob()).toBe('60.0000000000');
  const splits = await states('self_transfer');
  await eventually(async () => expect((await states('self_transfer'))['IN_FLIGHT']).toBeUndefined(), PATIENCE);
  expect(splits['ENDED']).toBeUndefined();
  expect(await checkBooks(database.db)).toEqual([]);
});

test('A16: merges whose inputs went behind a gap of history end when they cannot commit any more, and hinder no other', async () => {
  await fund(Array.from({ length: 30 }, () => '1'));
  await keepPool(0, '1000', 8);
  await ask('one', '25');
  const { db } = database;
  const now = systemClock.nowMicros();
  expect(await openAttempts(db, treasuryOf().id, LIMITS, now)).toBe(3);
  const due = await takeDueAttempts(db, SELF_TRANSFERS, treasuryOf().id, LIMITS, { nowMicros: now, countMax: 9 });
  for (const [index, attempt] of due.entries()) {
    const signing = { hash: new Uint8Array(32).fill(index), scheme: 'V3', nowMicros: now } as const;
    expect(await recordSignatureRequest(db, SELF_TRANSFERS, attempt, signing)).toBe(true);
  }
  await ingestion.stop();
  const target = due[0]?.target ?? 0n; // Opened in one pass, so the same for all.
  await sql`
    UPDATE holding SET archived_update_id = ${`${SNAPSHOT_PREFIX}1`} FROM reservation r WHERE r.contract_id = holding.contract_id AND r.is_open`.execute(
    db,
  );
  await sql`UPDATE synchronizer_time SET record_time = ${target + 1n}`.execute(db);

  expect(await lapseAttempts(db, SELF_TRANSFERS, treasuryOf().id, LIMITS, now)).toBe(3);
  expect(await states('self_transfer')).toEqual({ ENDED: 3 });
});

/** Funds for one split. */
async function openSplit() {
  await fund(['1000']);
  await keepPool(8, '20', 50);
  const { db } = database;
  const now = systemClock.nowMicros();
  await openAttempts(db, treasuryOf().id, LIMITS, now);
  const [attempt] = await takeDueAttempts(db, SELF_TRANSFERS, treasuryOf().id, LIMITS, { nowMicros: now, countMax: 9 });
  if (attempt === undefined) throw new Error('Nothing is under way.');
  return attempt;
}

/** And asks for its signature. */
async function askForSplit(hash: Uint8Array) {
  const { db } = database;
  const attempt = await openSplit();
  const now = systemClock.nowMicros();
  expect(await recordSignatureRequest(db, SELF_TRANSFERS, attempt, { hash, scheme: 'V3', nowMicros: now })).toBe(true);
  return {
    ...attempt,
    lapse: async () => {
      await sql`UPDATE synchronizer_time SET record_time = ${attempt.target + 1n}`.execute(db);
      expect(await lapseAttempts(db, SELF_TRANSFERS, treasuryOf().id, LIMITS, now)).toBe(1);
      expect(await states('self_transfer')).toEqual({ ENDED: 1 });
    },
  };
}

test('what another wallet of the treasury makes of the same holding is not ours, and ours ends when it cannot commit any more', async () => {
  const { lapse } = await askForSplit(new Uint8Array(32).fill(1));

  simnet.network.split({ instrument: 'amulet', owner: 'treasury', amount: '1.5' });
  await eventually(async () => expect(await holdings()).toContain('1.5000000000'), PATIENCE);
  expect(await states('self_transfer')).toEqual({ IN_FLIGHT: 1 });

  await lapse();
});

test('C12: one that a database which went back knows as not signed yet is done all the same, also before anybody knows that it went back', async () => {
  const { transfer } = await openSplit();

  const hash = new Uint8Array(32).fill(3);
  simnet.network.split({
    instrument: 'amulet',
    owner: 'treasury',
    amount: transfer.amount,
    externalTransactionHash: hash,
  });
  await eventually(async () => expect(await states('self_transfer')).toEqual({ DONE: 1 }), PATIENCE);
  expect(await database.db.selectFrom('attempt').select('state').execute()).toEqual([{ state: 'SETTLED' }]);
});

test('one that happens although it counts as dead freezes the treasury: the proof does not hold, nor does it for payments', async () => {
  const hash = new Uint8Array(32).fill(2);
  const { transfer, lapse } = await askForSplit(hash);
  // As if the participant had its inputs still: what is looked at here is what comes after.
  await sql`UPDATE attempt SET inputs_active_offset = ${2n ** 62n}`.execute(database.db);
  await lapse();

  simnet.network.split({
    instrument: 'amulet',
    owner: 'treasury',
    amount: transfer.amount,
    externalTransactionHash: hash,
  });
  await eventually(async () => expect(await states('self_transfer')).toEqual({ DONE: 1 }), PATIENCE);
  const freezes = await database.db.selectFrom('money_freeze').select(['instrument_id', 'reason']).execute();
  expect(freezes).toEqual([{ instrument_id: null, reason: 'TRANSFER_NOT_EXPECTED' }]);
});
