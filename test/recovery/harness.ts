/**
 * A Sluice on a simulated network whose database can be put back: a real copy of it is taken, life goes on, and another Sluice begins where the copy ends. Real PostgreSQL, real gRPC.
 */

import { afterEach, beforeEach, expect } from 'vitest';
import { createLocalSigner, ed25519PrivateKey } from '../../src/custody/local-signer.ts';
import type { Database } from '../../src/db/connection.ts';
import type { RestoreWindow } from '../../src/db/database-restore.ts';
import { createLogMemory, type LogMemory } from '../../src/db/log-history.ts';
import { lookAtLog } from '../../src/db/log-watch.ts';
import { recoverRefund } from '../../src/deposits/recovered-refund.ts';
import { createSystemLogger, systemClock, systemRandom } from '../../src/env/system.ts';
import { createSubmitter, type Submitter } from '../../src/ledger/submission-client.ts';
import { recordSignatureRequest } from '../../src/submissions/attempt-signing.ts';
import { type AttemptLimits, takeDueAttempts } from '../../src/submissions/attempts.ts';
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

export const TTL_MS = 4_000;
export const LIMITS: AttemptLimits = {
  ttlMs: TTL_MS,
  recordTimeAgeMsMax: 600_000,
  recordTimeAheadMsMax: 600_000,
  attemptsMax: 3,
  triesMax: 6,
  tryHoldMs: 1_000,
};
export const WINDOW: RestoreWindow = { ttlMicros: BigInt(TTL_MS) * 1_000n, marginMicros: 500_000n };
export const PATIENCE = { deadlineMs: 60_000 };
export const idKey = new Uint8Array(32).fill(5);
export const seal = createOriginSeal({ idKey });
export const logger = createSystemLogger('silent');

export type Sluice = {
  readonly db: Database;
  readonly ingestion: RunningIngestion;
  startPayouts(wrapSubmitter?: (submitter: Submitter) => Submitter): void;
  create(key: string, amount?: string): Promise<{ readonly id: string; readonly isReplayed: boolean }>;
  cancel(id: string): Promise<boolean>;
  states(): Promise<Record<string, string>>;
  stop(): Promise<void>;
};

export let simnet: TestNetwork;
export let memory: LogMemory;
const databases: TestDatabase[] = [];
const running: Sluice[] = [];

/** To be called by each file: a worker that runs several loads this module once, and hooks of the module would be those of the first file alone. */
export function onNetworkOfItsOwn(): void {
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
}

export async function openDatabase(copyOf?: TestDatabase): Promise<TestDatabase> {
  const database = await createTestDatabase(copyOf && { copyOf });
  databases.push(database);
  return database;
}

/** Ingestion and requests on a database; payouts when they are started. */
export async function sluiceOn(database: TestDatabase, { isRecovering = true } = {}): Promise<Sluice> {
  const { db } = database;
  const recover = createPaymentRecovery({ seal, clock: systemClock, logger, window: WINDOW, recoverRefund });
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
        log: memory,
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

export async function stop(sluice: Sluice): Promise<void> {
  running.splice(running.indexOf(sluice), 1);
  await sluice.stop();
}

export const amounts = new Map<string, string>();

export function request(key: string, amount = amounts.get(key) ?? '1'): WithdrawalRequest {
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

export async function fund(sluice: Sluice, count: number): Promise<void> {
  for (let each = 0; each < count; each += 1)
    simnet.network.tap({ instrument: 'amulet', owner: 'treasury', amount: '1000' });
  await caughtUp(sluice);
}

const printed = (_key: string, value: unknown): unknown => (typeof value === 'bigint' ? String(value) : value);

export async function caughtUp({ db, ingestion }: Sluice): Promise<void> {
  const end = simnet.network.participant('participant1').ledgerEnd();
  await eventually(async () => {
    ingestion.throwIfFailed();
    const stream = await db.selectFrom('ingestion_stream').selectAll().executeTakeFirst();
    expect(
      stream?.ledger_offset ?? 0n,
      `${JSON.stringify(stream, printed)}\n${ingestion.log()}`,
    ).toBeGreaterThanOrEqual(end);
  }, PATIENCE);
}

export async function become(sluice: Sluice, wanted: Record<string, string>): Promise<void> {
  await eventually(async () => expect(await sluice.states()).toMatchObject(wanted), PATIENCE);
}

/** An attempt for what is queued, as the automation opens it, and nobody to try it. */
export async function openOnly({ db, ingestion }: Sluice, limits = LIMITS): Promise<void> {
  expect(await openAttempts(db, ingestion.treasuries[0]?.id ?? 0, limits, systemClock.nowMicros())).toBe(1);
}

export async function signNewest({ db, ingestion }: Sluice, hash: number): Promise<void> {
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

export const paid = () => simnet.network.balance({ instrument: 'amulet', owner: 'bob' });
export const look = (db: Database) => lookAtLog({ db, memory, clock: systemClock, random: systemRandom, logger });
export const reopened = (db: Database) => reopen({ db, clock: systemClock, logger });

export async function becomeReopened(sluice: Sluice): Promise<void> {
  await eventually(async () => {
    sluice.ingestion.throwIfFailed();
    expect(await reopened(sluice.db)).toEqual(['treasury']);
  }, PATIENCE);
}

/** Sends what a process of the life before had signed. */
export async function createLate(request: Parameters<Submitter['execute']>[0]): Promise<void> {
  const client = createSubmitter({ url: simnet.ledgerUrl() });
  try {
    await client.execute(request);
  } finally {
    client.close();
  }
}

export async function attemptsOf(db: Database, key: string): Promise<string[]> {
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

export async function openFreezes(db: Database): Promise<string[]> {
  const rows = await db.selectFrom('money_freeze').select('reason').where('lifted_at', 'is', null).execute();
  return rows.map(({ reason }) => reason).sort();
}

export async function safeTime(db: Database): Promise<bigint> {
  const row = await db.selectFrom('database_restore').select('safe_record_time').executeTakeFirstOrThrow();
  return row.safe_record_time;
}
