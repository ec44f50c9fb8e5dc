/**
 * C12: the database is put back to a real copy of an earlier moment, and the ledger has gone on since. Withdrawals stand at every moment of their lives in that copy. Each is paid once, on the network's own
 * ledger; each ends as what it is; every old idempotency key meets its withdrawal.
 */
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { checkBooks } from '../../src/books/check-books.ts';
import { createLocalSigner, ed25519PrivateKey } from '../../src/custody/local-signer.ts';
import type { Database } from '../../src/db/connection.ts';
import { DatabaseRestoredError, type RestoreWindow } from '../../src/db/database-restore.ts';
import { createLogMemory, demandKnownLog, type LogMemory } from '../../src/db/log-history.ts';
import { lookAtLog } from '../../src/db/log-watch.ts';
import { createSystemLogger, systemClock, systemRandom } from '../../src/env/system.ts';
import { openFreeze } from '../../src/ingestion/freezes.ts';
import type { Submitter } from '../../src/ledger/submission-client.ts';
import { type AttemptLimits, recordSignatureRequest, takeDueAttempts } from '../../src/submissions/attempts.ts';
import { HELD_MONEY } from '../../src/submissions/held-money.ts';
import { parseAmount } from '../../src/tokens/amount.ts';
import { openAttempts } from '../../src/withdrawals/attempt-funding.ts';
import { WITHDRAWALS } from '../../src/withdrawals/attempts.ts';
import { createPaymentRecovery } from '../../src/withdrawals/recovered-payments.ts';
import { reopen } from '../../src/withdrawals/reopening.ts';
import { createOriginSeal } from '../../src/withdrawals/transfer-metadata.ts';
import { createWithdrawals, type WithdrawalRequest } from '../../src/withdrawals/withdrawal-requests.ts';
import { createWithdrawalSink } from '../../src/withdrawals/withdrawal-sink.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { type RunningIngestion, startIngestion } from '../support/ingestion.ts';
import { NETWORK, startTestNetwork, type TestNetwork } from '../support/network.ts';
import { SIGNER_SEED, startPayouts } from '../support/payouts.ts';
import { registryOf } from '../support/simnet-registry.ts';

const TTL_MS = 4_000;
const LIMITS: AttemptLimits = {
  ttlMs: TTL_MS,
  recordTimeAgeMsMax: 600_000,
  attemptsMax: 3,
  triesMax: 6,
  tryHoldMs: 1_000,
};
const WINDOW: RestoreWindow = { ttlMicros: BigInt(TTL_MS) * 1_000n, marginMicros: 500_000n };
const PATIENCE = { deadlineMs: 60_000 };
const idKey = new Uint8Array(32).fill(5);
const seal = createOriginSeal({ idKey });
const logger = createSystemLogger('silent');

type Sluice = {
  readonly db: Database;
  readonly ingestion: RunningIngestion;
  startPayouts(wrapSubmitter?: (submitter: Submitter) => Submitter): void;
  create(key: string, amount?: string): Promise<{ readonly id: string; readonly isReplayed: boolean }>;
  cancel(id: string): Promise<boolean>;
  states(): Promise<Record<string, string>>;
  stop(): Promise<void>;
};

let simnet: TestNetwork;
let memory: LogMemory;
const databases: TestDatabase[] = [];
const running: Sluice[] = [];

beforeEach(async () => {
  simnet = await startTestNetwork('restored', { checkpoints: { busyMs: 100, idleMs: 200 } });
  const key = await createLocalSigner({ privateKey: ed25519PrivateKey(SIGNER_SEED) }).currentKey();
  simnet.network.registerKey('treasury', key.publicKey.export({ type: 'spki', format: 'der' }));
  simnet.network.preapprove({ instrument: 'amulet', receiver: 'bob' });
  memory = createLogMemory(null, { keeper: HELD_MONEY, window: WINDOW });
});

afterEach(async () => {
  for (const one of running.splice(0)) await one.stop();
  await simnet.stop();
  for (const database of databases.splice(0)) await database.close();
});

async function openDatabase(copyOf?: TestDatabase): Promise<TestDatabase> {
  const database = await createTestDatabase(copyOf && { copyOf });
  databases.push(database);
  return database;
}

/** Ingestion and requests on a database; payouts when they are started. */
async function sluiceOn(database: TestDatabase, { isRecovering = true } = {}): Promise<Sluice> {
  const { db } = database;
  const recover = createPaymentRecovery({ seal, clock: systemClock, logger, window: WINDOW });
  const ingestion = await startIngestion({
    connectionString: database.connectionString,
    ledgerUrl: simnet.ledgerUrl(),
    catalog: simnet.catalog,
    sinks: [createWithdrawalSink({ clock: systemClock, logger, ...(isRecovering && { recover }) })],
  });
  const withdrawals = createWithdrawals({ db, clock: systemClock, network: NETWORK, idKey, seal, log: memory });
  let payouts: ReturnType<typeof startPayouts> | null = null;
  const [treasury] = ingestion.treasuries;
  if (treasury === undefined) throw new Error('No treasury.');
  const sluice: Sluice = {
    db,
    ingestion,
    startPayouts: (wrapSubmitter) => {
      payouts = startPayouts({
        db,
        treasury,
        ledgerUrl: simnet.ledgerUrl(),
        registry: registryOf(simnet),
        logger,
        limits: LIMITS,
        ...(wrapSubmitter !== undefined && { wrapSubmitter }),
      });
    },
    create: async (key, amount) => await withdrawals.create(request(key, amount)),
    cancel: async (id) => await withdrawals.cancel('exchange', id),
    states: async () => {
      ingestion.throwIfFailed();
      payouts?.throwIfFailed();
      const rows = await db.selectFrom('withdrawal').select(['idempotency_key', 'state']).execute();
      return Object.fromEntries(rows.map((row) => [row.idempotency_key, row.state]));
    },
    stop: async () => {
      await payouts?.stop();
      await ingestion.stop();
    },
  };
  running.push(sluice);
  return sluice;
}

async function stop(sluice: Sluice): Promise<void> {
  running.splice(running.indexOf(sluice), 1);
  await sluice.stop();
}

const amounts = new Map<string, string>();

function request(key: string, amount = amounts.get(key) ?? '1'): WithdrawalRequest {
  amounts.set(key, amount);
  return {
    client: 'exchange',
    idempotencyKey: key,
    account: `account of ${key}`,
    treasuryParty: simnet.network.party('treasury'),
    instrument: simnet.network.instrument('amulet'),
    receiver: simnet.network.party('bob'),
    amount: parseAmount(amount),
    memo: key.length % 2 === 0 ? null : `memo of ${key}`,
  };
}

async function fund(sluice: Sluice, count: number): Promise<void> {
  for (let each = 0; each < count; each += 1)
    simnet.network.tap({ instrument: 'amulet', owner: 'treasury', amount: '1000' });
  await caughtUp(sluice);
}

async function caughtUp({ db, ingestion }: Sluice): Promise<void> {
  const end = simnet.network.participant('participant1').ledgerEnd();
  await eventually(async () => {
    ingestion.throwIfFailed();
    const stream = await db.selectFrom('ingestion_stream').select('ledger_offset').executeTakeFirst();
    expect(stream?.ledger_offset ?? 0n).toBeGreaterThanOrEqual(end);
  }, PATIENCE);
}

async function become(sluice: Sluice, wanted: Record<string, string>): Promise<void> {
  await eventually(async () => expect(await sluice.states()).toMatchObject(wanted), PATIENCE);
}

/** An attempt for what is queued, as the automation opens it, and nobody to try it. */
async function openOnly({ db, ingestion }: Sluice, limits = LIMITS): Promise<void> {
  expect(await openAttempts(db, ingestion.treasuries[0]?.id ?? 0, limits, systemClock.nowMicros())).toBe(1);
}

async function signNewest({ db, ingestion }: Sluice, hash: number): Promise<void> {
  const nowMicros = systemClock.nowMicros();
  const treasuryId = ingestion.treasuries[0]?.id ?? 0;
  const due = await takeDueAttempts(
    db,
    WITHDRAWALS,
    treasuryId,
    { ...LIMITS, tryHoldMs: 0 },
    { nowMicros, countMax: 100 },
  );
  const newest = due.at(-1);
  if (newest === undefined) throw new Error('No attempt.');
  const facts = { hash: new Uint8Array(32).fill(hash), scheme: 'V3', nowMicros } as const;
  expect(await recordSignatureRequest(db, WITHDRAWALS, newest, facts)).toBe(true);
}

const paid = () => simnet.network.balance({ instrument: 'amulet', owner: 'bob' });
const look = (db: Database) => lookAtLog({ db, memory, clock: systemClock, random: systemRandom, logger });
const reopened = (db: Database) => reopen({ db, clock: systemClock, logger });

async function becomeReopened(sluice: Sluice): Promise<void> {
  await eventually(async () => {
    sluice.ingestion.throwIfFailed();
    expect(await reopened(sluice.db)).toEqual(['treasury']);
  }, PATIENCE);
}

test('C12, I3, I25: at whatever moment of a withdrawal’s life the backup was made, it is paid once and every old key meets it', {
  timeout: 150_000,
}, async () => {
  const live = await openDatabase();
  const before = await sluiceOn(live);
  await look(before.db);
  await fund(before, 12);

  // Distinct powers of two: what the receiver has says which of them were paid, and that none was twice.
  await before.create('lapsed once', '1');
  await openOnly(before, { ...LIMITS, ttlMs: 1_500 });
  await signNewest(before, 1);
  await sql`UPDATE attempt SET tries = ${LIMITS.triesMax}`.execute(before.db);
  await before.create('opened', '2');
  await openOnly(before);
  await before.create('signed', '4');
  await openOnly(before);
  await signNewest(before, 2);
  await before.create('queued', '8');
  const { id: cancelled } = await before.create('cancelled since', '16');
  expect(await before.states()).toEqual({
    'lapsed once': 'IN_FLIGHT',
    opened: 'IN_FLIGHT',
    signed: 'IN_FLIGHT',
    queued: 'QUEUED',
    'cancelled since': 'QUEUED',
  });
  await stop(before);
  const backup = await openDatabase(live);

  // Life goes on.
  const lost = await sluiceOn(live);
  await look(lost.db);
  await lost.cancel(cancelled);
  await lost.create('asked since', '32');
  const withheld: (() => Promise<void>)[] = [];
  lost.startPayouts((submitter) => ({
    ...submitter,
    execute: async (request) => {
      const { rows } = await sql<{ isWithheld: boolean }>`
        SELECT EXISTS (SELECT FROM withdrawal WHERE idempotency_key = 'on its way' AND state = 'IN_FLIGHT') AS "isWithheld"`.execute(
        lost.db,
      );
      if (rows[0]?.isWithheld === true) withheld.push(async () => await createLate(request));
      else await submitter.execute(request);
    },
  }));
  const settled = ['lapsed once', 'opened', 'signed', 'queued', 'asked since'];
  await become(lost, Object.fromEntries(settled.map((key) => [key, 'COMPLETED'])));
  await eventually(
    async () => expect(await attemptsOf(lost.db, 'lapsed once')).toEqual(['LAPSED', 'SETTLED']),
    PATIENCE,
  );
  expect(paid()).toBe('47.0000000000');
  await lost.create('on its way', '64');
  await eventually(() => expect(withheld.length).toBeGreaterThan(0), PATIENCE);
  await openFreeze(lost.db, {
    treasuryId: null,
    instrumentKey: null,
    reason: 'OPERATOR',
    detail: 'Nothing more of this life.',
    cause: 'test',
    openedBy: 'test',
    nowMicros: systemClock.nowMicros(),
  });
  await lost.create('never sent', '128');
  await sql`UPDATE money_freeze SET lifted_at = 1, lifted_by = 'test', lift_detail = 'test'`.execute(lost.db);
  await look(lost.db);
  await stop(lost);

  // The database goes back, and nobody has noticed yet.
  const { db } = backup;
  await expect(demandKnownLog(db, memory)).rejects.toMatchObject({ code: 'DB_IN_DOUBT', retryable: true });
  const after = await sluiceOn(backup);
  await expect(after.create('asked since')).rejects.toMatchObject({ code: 'DB_IN_DOUBT' });
  await look(db);
  await demandKnownLog(db, memory);
  // What was signed in the life before reaches the ledger now.
  for (const send of withheld) await send();
  after.startPayouts();

  // On every replica: one that has seen nothing of it is told by the database.
  const replica = createWithdrawals({ db, clock: systemClock, network: NETWORK, idKey, seal, log: createLogMemory() });
  for (const key of ['never sent', 'brand new']) {
    const refusal = await replica.create(request(key, '128')).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(DatabaseRestoredError);
    expect(refusal).toMatchObject({ retryable: true, safeRecordTime: await safeTime(db) });
  }
  // Nothing ends unpaid before it is certain that nothing of it was.
  const { id: queued } = await after.create('queued');
  const { state } = await db
    .selectFrom('withdrawal')
    .select('state')
    .where('id', '=', queued)
    .executeTakeFirstOrThrow();
  if (state === 'QUEUED') await expect(after.cancel(queued)).rejects.toBeInstanceOf(DatabaseRestoredError);

  await becomeReopened(after);
  expect(await after.states()).toEqual({
    ...Object.fromEntries(settled.map((key) => [key, 'COMPLETED'])),
    'on its way': 'COMPLETED',
    'cancelled since': 'QUEUED',
  });
  expect(paid()).toBe('111.0000000000');
  expect(await openFreezes(db)).toEqual([]);
  const recovered = await db
    .selectFrom('withdrawal as w')
    .innerJoin('account as a', 'a.id', 'w.account_id')
    .select(['w.idempotency_key as key', 'a.owner', 'w.client', 'w.memo'])
    .where('w.recovered_at', 'is not', null)
    .orderBy('w.amount')
    .execute();
  expect(recovered).toEqual(
    ['asked since', 'on its way'].map((key) => ({
      key,
      owner: `account of ${key}`,
      client: 'exchange',
      memo: request(key).memo,
    })),
  );

  // Every old key is sent again.
  for (const key of [...settled, 'on its way', 'cancelled since']) {
    expect(await after.create(key), key).toMatchObject({ isReplayed: true });
  }
  await expect(after.create('asked since', '33')).rejects.toMatchObject({ code: 'IDEMPOTENCY_KEY_REUSED' });
  amounts.set('asked since', '32');
  expect(await after.create('never sent')).toMatchObject({ isReplayed: false });
  await become(after, { 'never sent': 'COMPLETED', 'cancelled since': 'COMPLETED' });
  expect(paid()).toBe('255.0000000000');
  expect(await checkBooks(db)).toEqual([]);
  const { rows: reserved } = await sql`SELECT FROM reservation WHERE is_open`.execute(db);
  expect(reserved).toEqual([]);
});

/** Sends what a process of the life before had signed. */
async function createLate(request: Parameters<Submitter['execute']>[0]): Promise<void> {
  const { createSubmitter } = await import('../../src/ledger/submission-client.ts');
  const client = createSubmitter({ url: simnet.ledgerUrl() });
  try {
    await client.execute(request);
  } finally {
    client.close();
  }
}

async function attemptsOf(db: Database, key: string): Promise<string[]> {
  const rows = await db
    .selectFrom('attempt as a')
    .innerJoin('submission as s', 's.id', 'a.submission_id')
    .innerJoin('withdrawal as w', 'w.id', 's.withdrawal_id')
    .select('a.state')
    .where('w.idempotency_key', '=', key)
    .orderBy('a.number')
    .execute();
  return rows.map(({ state }) => state);
}

async function openFreezes(db: Database): Promise<string[]> {
  const rows = await db.selectFrom('money_freeze').select('reason').where('lifted_at', 'is', null).execute();
  return rows.map(({ reason }) => reason).sort();
}

async function safeTime(db: Database): Promise<bigint> {
  const row = await db.selectFrom('database_restore').select('safe_record_time').executeTakeFirstOrThrow();
  return row.safe_record_time;
}
