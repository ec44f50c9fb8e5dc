/**
 * The submission mechanism on real PostgreSQL: requests, funding, lapse, settlement. Transfers come from the simulated network over gRPC; a test plays the participant's part of
 * "executed" by making the network commit a transfer with the hash that was signed.
 */
import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { checkBooks } from '../../src/books/check-books.ts';
import { systemClock } from '../../src/env/system.ts';
import { createLedgerClient } from '../../src/ledger/ledger-client.ts';
import { recordSignatureRequest } from '../../src/submissions/attempt-signing.ts';
import {
  type AttemptLimits,
  giveUpUnsigned,
  lapseAttempts,
  type OpenAttempt,
  takeDueAttempts,
} from '../../src/submissions/attempts.ts';
import { breakReservations } from '../../src/submissions/broken-reservations.ts';
import { witnessInputs } from '../../src/submissions/input-witness.ts';
import { releaseNotLet } from '../../src/submissions/release.ts';
import { amountOf, parseAmount } from '../../src/tokens/amount.ts';
import { openAttempts } from '../../src/withdrawals/attempt-funding.ts';
import { WITHDRAWALS } from '../../src/withdrawals/attempts.ts';
import {
  createWithdrawals,
  type WithdrawalRequest,
  type Withdrawals,
} from '../../src/withdrawals/withdrawal-requests.ts';
import { createWithdrawalSink } from '../../src/withdrawals/withdrawal-sink.ts';
import { releaseWithdrawal, stopWithdrawal } from '../../src/withdrawals/withdrawal-stops.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { type RunningIngestion, startIngestion } from '../support/ingestion.ts';
import { NETWORK, startTestNetwork, type TestNetwork } from '../support/network.ts';

const LIMITS: AttemptLimits = {
  ttlMs: 60_000,
  recordTimeAgeMsMax: 600_000,
  recordTimeAheadMsMax: 60_000,
  attemptsMax: 2,
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
  simnet = await startTestNetwork('withdrawals');
  ingestion = await startIngestion({
    connectionString: database.connectionString,
    ledgerUrl: simnet.ledgerUrl(),
    catalog: simnet.catalog,
    sinks: [createWithdrawalSink({ clock: systemClock, logger: database.logger })],
  });
  treasuryId = ingestion.treasuries[0]?.id ?? 0;
  withdrawals = createWithdrawals({ db: database.db, clock: systemClock, network: NETWORK, idKey: new Uint8Array(32) });
  simnet.network.preapprove({ instrument: 'amulet', receiver: 'bob' });
});

afterEach(async () => {
  await ingestion.stop();
  await simnet.stop();
  await database.close();
});

async function fundTreasury(...amounts: string[]): Promise<void> {
  const before = await database.db
    .selectFrom('holding')
    .select('contract_id')
    .where('archived_update_id', 'is', null)
    .execute();
  for (const amount of amounts) simnet.network.tap({ instrument: 'amulet', owner: 'treasury', amount });
  await eventually(async () => {
    ingestion.throwIfFailed();
    const { rows } = await sql<{
      count: number;
    }>`SELECT count(*)::int AS count FROM holding WHERE archived_update_id IS NULL`.execute(database.db);
    expect(rows[0]?.count).toBe(before.length + amounts.length);
  });
}

function request(overrides: Partial<WithdrawalRequest> = {}): WithdrawalRequest {
  return {
    client: 'exchange',
    idempotencyKey: 'key-1',
    account: 'alice',
    treasuryParty: simnet.network.party('treasury'),
    instrument: simnet.network.instrument('amulet'),
    receiver: simnet.network.party('bob'),
    amount: parseAmount('5'),
    memo: 'bobs-memo',
    ...overrides,
  };
}

const open = (limits = LIMITS) => openAttempts(database.db, treasuryId, limits, systemClock.nowMicros());
const lapse = (limits = LIMITS) => lapseAttempts(database.db, WITHDRAWALS, treasuryId, limits, systemClock.nowMicros());
/** The participant is asked whether the inputs of what is past its target are still there. */
async function witness(): Promise<number> {
  const ledger = createLedgerClient({ url: simnet.ledgerUrl() });
  const { signal } = new AbortController();
  try {
    // Whoever asked a moment ago is not asked again: the clock of this test does not wait for that.
    const clock = { ...systemClock, nowMicros: () => systemClock.nowMicros() + 60_000_000n };
    const parts = { db: database.db, logger: database.logger, clock, signal };
    return await witnessInputs({ ...parts, purpose: WITHDRAWALS, treasuryId, ledger });
  } finally {
    ledger.close();
  }
}
const due = () =>
  takeDueAttempts(database.db, WITHDRAWALS, treasuryId, LIMITS, { nowMicros: systemClock.nowMicros(), countMax: 100 });
const stateOf = async (id: string) =>
  (await database.db.selectFrom('withdrawal').select('state').where('id', '=', id).executeTakeFirstOrThrow()).state;

async function onlyDue() {
  const [attempt, ...others] = await due();
  if (attempt === undefined || others.length > 0) throw new Error('Expected one due attempt.');
  return attempt;
}

/** Up to the moment in which a signature may exist. */
async function sign(hash: Uint8Array): Promise<OpenAttempt> {
  const attempt = await onlyDue();
  const request = { hash, scheme: 'V3', nowMicros: systemClock.nowMicros() } as const;
  expect(await recordSignatureRequest(database.db, WITHDRAWALS, attempt, request)).toBe(true);
  return attempt;
}

function commit({ transfer }: OpenAttempt, hash: Uint8Array): void {
  simnet.network.transfer({
    instrument: 'amulet',
    sender: 'treasury',
    receiver: 'bob',
    amount: transfer.amount,
    inputHoldingCids: transfer.inputHoldingCids,
    externalTransactionHash: hash,
  });
}

/** What the signer was asked for and the network then commits. */
async function signAndCommit(hash: Uint8Array): Promise<void> {
  commit(await sign(hash), hash);
}

async function balances(): Promise<Record<string, string>> {
  const { rows } = await sql<{ kind: string; balance: string }>`
    SELECT a.kind, sum(b.balance)::text AS balance FROM account_balance b JOIN account a ON a.id = b.account_id
    GROUP BY 1 HAVING sum(b.balance) <> 0`.execute(database.db);
  return Object.fromEntries(rows.map(({ kind, balance }) => [kind, balance]));
}

/** Stands in for a ledger that goes on without our transfer: ingestion's record time, as a checkpoint moves it. */
async function ledgerPasses(recordTime: bigint): Promise<void> {
  await ingestion.stop();
  await sql`UPDATE synchronizer_time SET record_time = ${recordTime}`.execute(database.db);
}

const targetOf = async () =>
  (
    await database.db
      .selectFrom('attempt')
      .select('target_record_time')
      .where('state', '=', 'OPEN')
      .executeTakeFirstOrThrow()
  ).target_record_time;

describe('a request', () => {
  test('is debited at once, replayed under its key, and refused under its key with other content', async () => {
    const first = await withdrawals.create(request());
    expect(first).toEqual({ id: expect.stringMatching(/^wd_[0-9a-f]{40}$/), isReplayed: false });
    expect(await withdrawals.create(request())).toEqual({ id: first.id, isReplayed: true });
    await expect(withdrawals.create(request({ amount: parseAmount('6') }))).rejects.toMatchObject({
      code: 'IDEMPOTENCY_KEY_REUSED',
    });
    await expect(withdrawals.create(request({ memo: null }))).rejects.toMatchObject({ code: 'IDEMPOTENCY_KEY_REUSED' });
    expect((await withdrawals.create(request({ client: 'another' }))).id).not.toBe(first.id);

    expect(await stateOf(first.id)).toBe('QUEUED');
    expect(await balances()).toEqual({ CUSTOMER: '-10.0000000000', WITHDRAWALS: '10.0000000000' });
  });

  test('is replayed also when it would be refused today', async () => {
    const first = await withdrawals.create(request());
    await sql`UPDATE instrument SET is_accepted = false`.execute(database.db);

    expect(await withdrawals.create(request())).toEqual({ id: first.id, isReplayed: true });
    await expect(withdrawals.create(request({ idempotencyKey: 'key-2' }))).rejects.toMatchObject({
      code: 'INSTRUMENT_NOT_ACCEPTED',
    });
  });

  test('a hundred parallel retries make one withdrawal', async () => {
    const created = await Promise.all(Array.from({ length: 100 }, () => withdrawals.create(request())));

    expect(new Set(created.map(({ id }) => id)).size).toBe(1);
    expect(created.filter(({ isReplayed }) => !isReplayed)).toHaveLength(1);
    expect(await balances()).toEqual({ CUSTOMER: '-5.0000000000', WITHDRAWALS: '5.0000000000' });
  });

  test.each([
    ['AMOUNT_NOT_POSITIVE', { amount: amountOf(0n) }],
    ['AMOUNT_NOT_POSITIVE', { amount: parseAmount('-1') }],
    ['RECEIVER_INVALID', { receiver: 'bob' }],
    ['RECEIVER_INVALID', { receiver: 'bob::1220abc' }],
    ['MEMO_INVALID', { memo: 'with\0nul' }],
    ['MEMO_INVALID', { memo: 'x'.repeat(256) }],
    ['IDEMPOTENCY_KEY_INVALID', { idempotencyKey: '' }],
    ['IDEMPOTENCY_KEY_INVALID', { idempotencyKey: 'half\ud800' }],
    ['IDEMPOTENCY_KEY_INVALID', { idempotencyKey: 'x'.repeat(256) }],
    ['ACCOUNT_INVALID', { account: '' }],
    ['INSTRUMENT_NOT_ACCEPTED', { instrument: { admin: 'somebody', id: 'Amulet' } }],
    ['TREASURY_UNKNOWN', { treasuryParty: 'nobody' }],
  ] as const)('is refused with %s, case %#', async (code, overrides) => {
    await expect(withdrawals.create(request(overrides))).rejects.toMatchObject({ code });
    expect(await database.db.selectFrom('withdrawal').selectAll().execute()).toEqual([]);
  });

  test('to a treasury of ours is refused', async () => {
    await expect(withdrawals.create(request({ receiver: simnet.network.party('treasury') }))).rejects.toMatchObject({
      code: 'RECEIVER_INVALID',
    });
  });
});

describe('an attempt', () => {
  test('settles with the transfer that carries its hash; the customer has paid, nothing is unexplained', async () => {
    await fundTreasury('3', '4', '100');
    const { id } = await withdrawals.create(request());
    expect(await open()).toBe(1);
    expect(await stateOf(id)).toBe('IN_FLIGHT');

    await signAndCommit(new Uint8Array(32).fill(1));
    await eventually(async () => expect(await stateOf(id)).toBe('COMPLETED'));

    const row = await database.db.selectFrom('withdrawal').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
    const transfer = await database.db
      .selectFrom('transfer')
      .selectAll()
      .where('id', '=', row.transfer_id)
      .executeTakeFirstOrThrow();
    expect(transfer).toMatchObject({ direction: 'OUT', amount: '5.0000000000', update_id: row.update_id });
    expect(await database.db.selectFrom('reservation').select('is_open').distinct().execute()).toEqual([
      { is_open: false },
    ]);
    expect(await balances()).toEqual({
      CUSTOMER: '-5.0000000000',
      HOUSE: '107.0000000000',
      TREASURY: '-102.0000000000',
    });
    expect(await checkBooks(database.db)).toEqual([]);
    const states = await database.db
      .selectFrom('event_outbox')
      .select('payload')
      .where('subject', '=', id)
      .orderBy('seq')
      .execute();
    expect(states.map(({ payload }) => (payload as { state: string }).state)).toEqual([
      'REQUESTED',
      'QUEUED',
      'IN_FLIGHT',
      'COMPLETED',
    ]);
  });

  test('a transfer that is seen for a withdrawal which has ended stays unexplained and freezes the treasury', async () => {
    await fundTreasury('100', '50');
    const { id } = await withdrawals.create(request());
    await open();
    const hash = new Uint8Array(32).fill(1);
    await signAndCommit(hash);
    await eventually(async () => expect(await stateOf(id)).toBe('COMPLETED'));
    expect(await database.db.selectFrom('money_freeze').select('id').execute()).toEqual([]);

    const again = { instrument: 'amulet', sender: 'treasury', receiver: 'bob', amount: '5' };
    const { updateId } = simnet.network.transfer({ ...again, externalTransactionHash: hash });
    await eventually(async () => expect((await balances())['UNEXPLAINED']).toBe('-5.0000000000'));

    expect(await stateOf(id)).toBe('COMPLETED');
    expect(
      await database.db
        .selectFrom('money_freeze')
        .select(['treasury_id', 'instrument_id', 'reason', 'cause'])
        .execute(),
    ).toEqual([
      { treasury_id: treasuryId, instrument_id: null, reason: 'TRANSFER_NOT_EXPECTED', cause: `update:${updateId}` },
    ]);
    const next = await withdrawals.create(request({ idempotencyKey: 'key-2' }));
    expect(await open()).toBe(0);
    expect(await stateOf(next.id)).toBe('QUEUED');
  });

  test('a transfer of an attempt that counts as dead pays once and freezes the treasury, also while the next one is open', async () => {
    await fundTreasury('100', '50');
    const { id } = await withdrawals.create(request());
    await open();
    const hash = new Uint8Array(32).fill(1);
    const first = await sign(hash);
    // As by a node that does not hold to the last record time.
    await sql`UPDATE attempt SET state = 'LAPSED', closed_at = 1, lapsed_by = target_record_time + 1`.execute(
      database.db,
    );
    await sql`UPDATE reservation SET is_open = false`.execute(database.db);
    await sql`UPDATE withdrawal SET state = 'QUEUED'`.execute(database.db);
    expect(await open()).toBe(1);

    commit(first, hash);
    await eventually(async () => expect(await stateOf(id)).toBe('COMPLETED'));

    const freezes = await database.db.selectFrom('money_freeze').select(['instrument_id', 'reason']).execute();
    expect(freezes).toEqual([{ instrument_id: null, reason: 'TRANSFER_NOT_EXPECTED' }]);
    expect((await balances())['UNEXPLAINED']).toBeUndefined();
    const { rows: stillOpen } = await sql`SELECT FROM attempt WHERE number = 2 AND state = 'OPEN'`.execute(database.db);
    expect(stillOpen).toHaveLength(1);
    // What was opened after it can never commit, and gives back what it holds.
    await breakReservations(database.db, WITHDRAWALS, treasuryId, systemClock.nowMicros());
    expect(
      await database.db.selectFrom('reservation').select('contract_id').where('is_open', '=', true).execute(),
    ).toEqual([]);
    expect(await stateOf(id)).toBe('COMPLETED');
  });

  test('E19, Z13: a foreign transfer that names the withdrawal completes nothing, nor does a deposit', async () => {
    await fundTreasury('100');
    const { id } = await withdrawals.create(request());
    await open();
    const meta = { 'sluice.dev/withdrawal-id': id };
    simnet.network.tap({ instrument: 'amulet', owner: 'bob', amount: '5' });
    simnet.network.transfer({ instrument: 'amulet', sender: 'bob', receiver: 'treasury', amount: '5', memo: id, meta });
    simnet.network.transfer({
      instrument: 'amulet',
      sender: 'treasury',
      receiver: 'bob',
      amount: '5',
      memo: 'bobs-memo',
      meta,
    });
    await eventually(async () => expect((await balances())['UNEXPLAINED']).toBe('-5.0000000000'));

    expect(await stateOf(id)).toBe('IN_FLIGHT');
  });

  test('C12: what the ledger shows as paid is neither signed nor ended unpaid, whoever wants it cancelled', async () => {
    await fundTreasury('100', '50');
    const flying = await withdrawals.create(request());
    await open();
    const attempt = await onlyDue();
    const queued = await withdrawals.create(request({ idempotencyKey: 'key-2' }));
    // Paid by attempts that went with the database that was lost: nobody has their hash, and nothing was sealed for them.
    for (const { id } of [flying, queued]) {
      const meta = { 'sluice.dev/withdrawal-id': id };
      simnet.network.transfer({ instrument: 'amulet', sender: 'treasury', receiver: 'bob', amount: '5', meta });
    }
    await eventually(async () => expect((await balances())['UNEXPLAINED']).toBe('-10.0000000000'));

    const asked = { hash: new Uint8Array(32), scheme: 'V3', nowMicros: systemClock.nowMicros() } as const;
    expect(await recordSignatureRequest(database.db, WITHDRAWALS, attempt, asked)).toBe(false);
    expect(await withdrawals.cancel('exchange', queued.id)).toBe(false);
    expect(await withdrawals.cancel('exchange', flying.id)).toBe(true);
    expect(await releaseNotLet(database.db, WITHDRAWALS, treasuryId, systemClock.nowMicros() + 60_000_000n)).toBe(1);

    expect([await stateOf(queued.id), await stateOf(flying.id)]).toEqual(['QUEUED', 'QUEUED']);
    expect((await balances())['CUSTOMER']).toBe('-10.0000000000');
    expect(await open()).toBe(0);
  });

  test('a transfer of ours that says of itself that it failed completes nothing', async () => {
    await fundTreasury('100');
    const { id } = await withdrawals.create(request());
    await open();
    const hash = new Uint8Array(32).fill(1);
    const attempt = await sign(hash);
    await ingestion.stop();
    const [treasury] = ingestion.treasuries;
    const { key } = await database.db.selectFrom('submission').select('instrument_id as key').executeTakeFirstOrThrow();
    if (treasury === undefined) throw new Error('No treasury.');
    const sink = createWithdrawalSink({ clock: systemClock, logger: database.logger });
    await database.db.transaction().execute(
      async (tx) =>
        await sink.apply(tx, treasury, [
          {
            transferId: 'tr_failed',
            isNew: true,
            direction: 'OUT',
            kind: 'DIRECT',
            status: 'FAILED',
            instrument: { key, ...attempt.instrument, isAccepted: true },
            amount: parseAmount('5'),
            counterparty: simnet.network.party('bob'),
            memo: null,
            updateId: 'update',
            recordTime: attempt.target,
            holdingsDelta: amountOf(0n),
            earlierHoldingsDelta: amountOf(0n),
            signedHash: hash,
            inputs: attempt.inputs.map(({ contractId }) => contractId),
          },
        ]),
    );

    expect(await stateOf(id)).toBe('UNRESOLVED');
    expect(await database.db.selectFrom('money_freeze').select('reason').execute()).toHaveLength(1);
  });

  test('B3: is alive at exactly its target and dead one microsecond later; the next one keeps an input', async () => {
    await fundTreasury('3', '4', '100', '200');
    const { id } = await withdrawals.create(request());
    await open();
    const first = await onlyDue();
    // What would be chosen if nothing had to be kept: smaller than any input of the first.
    await fundTreasury('1', '1', '1', '1', '1');
    await recordSignatureRequest(database.db, WITHDRAWALS, first, {
      hash: new Uint8Array(32),
      scheme: 'V3',
      nowMicros: 1n,
    });
    const target = await targetOf();

    await ledgerPasses(target);
    expect([await witness(), await lapse()]).toEqual([0, 0]);
    await ledgerPasses(target + 1n);
    expect([await witness(), await lapse()]).toEqual([1, 1]);
    expect(await stateOf(id)).toBe('QUEUED');

    await sql`UPDATE synchronizer_time SET record_time = ${systemClock.nowMicros()}`.execute(database.db);
    expect(await open()).toBe(1);
    const second = await onlyDue();
    expect(second.number).toBe(2);
    const inputs = new Set(second.inputs.map(({ contractId }) => contractId));
    expect(first.inputs.some(({ contractId }) => inputs.has(contractId))).toBe(true);
  });

  test('the last one that lapses fails the withdrawal with its proof, and the customer has his money back', async () => {
    await fundTreasury('100');
    const { id } = await withdrawals.create(request());
    await open();
    const target = await targetOf();
    await ledgerPasses(target + 7n);
    expect(await lapse({ ...LIMITS, attemptsMax: 1 })).toBe(1);

    expect(
      await database.db
        .selectFrom('withdrawal')
        .select(['state', 'failure_code'])
        .where('id', '=', id)
        .executeTakeFirst(),
    ).toEqual({
      state: 'FAILED',
      failure_code: 'NOT_COMMITTED',
    });
    expect(
      await database.db.selectFrom('attempt').select(['state', 'lapsed_by', 'target_record_time']).execute(),
    ).toEqual([{ state: 'LAPSED', lapsed_by: target + 7n, target_record_time: target }]);
    expect(await balances()).toEqual({ HOUSE: '100.0000000000', TREASURY: '-100.0000000000' });
  });

  test('B4: another synchronizer that has passed the target proves nothing', async () => {
    await fundTreasury('100');
    await withdrawals.create(request());
    await open();
    await ingestion.stop();
    await database.db
      .insertInto('synchronizer_time')
      .values({ treasury_id: treasuryId, synchronizer_id: 'another::1220', record_time: (await targetOf()) + 1n })
      .execute();

    expect(await lapse()).toBe(0);
  });

  test('B4: is opened on the synchronizer of the treasury, however far ahead another one is', async () => {
    await fundTreasury('10');
    await withdrawals.create(request());
    await sql`INSERT INTO synchronizer_time SELECT ${treasuryId}, 'other::1220', ${systemClock.nowMicros() + 3_600_000_000n}`.execute(
      database.db,
    );

    expect(await open()).toBe(1);
    expect(await onlyDue()).toMatchObject({ synchronizerId: simnet.network.synchronizerId });
  });

  test('is given up only while no signature was asked for', async () => {
    await fundTreasury('100', '100');
    const unsigned = await withdrawals.create(request());
    await open();
    const failure = { code: 'RECEIVER_NOT_PREAPPROVED', detail: 'x' };
    expect(await giveUpUnsigned(database.db, WITHDRAWALS, await onlyDue(), failure, 1n)).toBe(true);
    expect(await stateOf(unsigned.id)).toBe('FAILED');

    const signed = await withdrawals.create(request({ idempotencyKey: 'key-2' }));
    await open();
    const attempt = await onlyDue();
    await recordSignatureRequest(database.db, WITHDRAWALS, attempt, {
      hash: new Uint8Array(32),
      scheme: 'V3',
      nowMicros: 1n,
    });
    expect(await giveUpUnsigned(database.db, WITHDRAWALS, attempt, failure, 1n)).toBe(false);
    expect(await stateOf(signed.id)).toBe('IN_FLIGHT');
  });

  test('I8: parallel funders reserve no holding twice, and queue what funds do not reach', async () => {
    await fundTreasury('5', '5', '5', '5', '5');
    for (let index = 0; index < 8; index += 1) await withdrawals.create(request({ idempotencyKey: `key-${index}` }));
    await Promise.all(Array.from({ length: 6 }, () => open()));

    const reserved = await database.db
      .selectFrom('reservation')
      .select('contract_id')
      .where('is_open', '=', true)
      .execute();
    expect(reserved).toHaveLength(5);
    expect(new Set(reserved.map(({ contract_id }) => contract_id)).size).toBe(5);
    const states = await database.db.selectFrom('withdrawal').select('state').execute();
    expect(states.filter(({ state }) => state === 'QUEUED')).toHaveLength(3);
  });

  test('E10, E22: what one pass has given away is not given again to one that was to keep it', async () => {
    await fundTreasury('5', '100');
    const word = { by: 'mia', why: 'test', nowMicros: systemClock.nowMicros() };
    const older = await withdrawals.create(request());
    await stopWithdrawal(database.db, older.id, 'HOLD', word);
    const younger = await withdrawals.create(request({ idempotencyKey: 'key-2' }));
    await open();
    const signed = { hash: new Uint8Array(32), scheme: 'V3', nowMicros: 1n } as const;
    await recordSignatureRequest(database.db, WITHDRAWALS, await onlyDue(), signed);
    await ledgerPasses((await targetOf()) + 1n);
    expect([await witness(), await lapse()]).toEqual([1, 1]);
    await releaseWithdrawal(database.db, older.id, 'HOLD', word);

    await sql`UPDATE synchronizer_time SET record_time = ${systemClock.nowMicros()}`.execute(database.db);
    expect(await open()).toBe(1);
    expect([await stateOf(older.id), await stateOf(younger.id)]).toEqual(['IN_FLIGHT', 'QUEUED']);
  });

  test('A7: none is opened while the ledger’s time is too far from ours', async () => {
    await fundTreasury('100');
    await withdrawals.create(request());
    await ledgerPasses(systemClock.nowMicros() - 3_600_000_000n);

    expect(await open()).toBe(0);
  });

  test('B1, C12: none is opened while our clock is further behind the ledger than a restore reckons with', async () => {
    await fundTreasury('100');
    await withdrawals.create(request());
    await ledgerPasses(systemClock.nowMicros() + 70_000_000n);

    expect(await open()).toBe(0);
  });
});

describe('cancelling', () => {
  test('while queued ends it and books it back', async () => {
    const { id } = await withdrawals.create(request());
    expect(await withdrawals.cancel('another', id)).toBe(false);
    expect(await withdrawals.cancel('exchange', id)).toBe(true);

    expect(await stateOf(id)).toBe('CANCELLED');
    expect(await balances()).toEqual({});
    expect(await withdrawals.cancel('exchange', id)).toBe(false);
  });

  test('in flight is a wish: the transfer wins if it is seen, the wish if the attempt lapses', async () => {
    await fundTreasury('100', '100');
    const paid = await withdrawals.create(request());
    await open();
    const hash = new Uint8Array(32).fill(2);
    const attempt = await sign(hash);
    expect(await withdrawals.cancel('exchange', paid.id)).toBe(true);
    expect(await stateOf(paid.id)).toBe('IN_FLIGHT');
    expect(await due()).toEqual([]);
    commit(attempt, hash);
    await eventually(async () => expect(await stateOf(paid.id)).toBe('COMPLETED'));

    const lapsed = await withdrawals.create(request({ idempotencyKey: 'key-2' }));
    await eventually(async () => expect(await open()).toBe(1));
    await sign(new Uint8Array(32).fill(3));
    await withdrawals.cancel('exchange', lapsed.id);
    await ledgerPasses((await targetOf()) + 1n);
    expect([await witness(), await lapse()]).toEqual([1, 1]);
    expect(await stateOf(lapsed.id)).toBe('CANCELLED');
    expect(await checkBooks(database.db)).toEqual([]);
  });
});
