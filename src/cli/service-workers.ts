/**
 * The working side of a process: follows the treasury parties' streams, puts committed events into the log, executes withdrawals. One unit that is started, fails and is started anew
 * as a whole: with fresh connections to the database and to the participants, and nothing kept of the run before.
 */
import { hostname } from 'node:os';
import { runAuditChain } from '../db/audit-chain.ts';
import type { Database, DatabaseOptions } from '../db/connection.ts';
import { createEventSequencer } from '../db/event-sequencer.ts';
import { createLeases } from '../db/lease.ts';
import type { LogMemory } from '../db/log-history.ts';
import type { Notifications } from '../db/notifications.ts';
import { presentHolder, tellPresence } from '../db/presence.ts';
import { createSharedLeases } from '../db/shared-leases.ts';
import type { Micros } from '../env/clock.ts';
import { type RetryPolicy, retry } from '../env/retry.ts';
import { registerCatalog } from '../ingestion/catalog.ts';
import { runStreamWorker } from '../ingestion/stream-worker.ts';
import { runInvariantLoop } from '../invariants/invariant-loop.ts';
import { createFailoverLedger } from '../ledger/failover-ledger.ts';
import { prepareScreening } from './deposit-services.ts';
import { createSinks } from './effect-sinks.ts';
import { openEndpoints } from './ledger-endpoints.ts';
import { openWithdrawals, preparePayouts } from './payouts.ts';
import { preparePolicy } from './policy-services.ts';
import { paymentRecoveryOf } from './recovery.ts';
import type { ServiceConfig, ServiceEnv } from './service-config.ts';
import { createServiceLoops } from './service-loops.ts';
import { createTeardown } from './teardown.ts';
import { prepareTokenSources, startTokenDirectory } from './token-directory.ts';
import { watchTreasuries } from './treasury-watch.ts';
import { startVerification } from './verification.ts';
import { reportPosition } from './worker-position.ts';

export type Workers = {
  /** Resolves with the error that ended a loop. Never, while all is well. */
  readonly failed: Promise<unknown>;
  /** Workers stop between two batches, leases are released, connections closed. */
  stop(): Promise<void>;
  /** Which part is being stopped; null when none is. */
  stopping(): string | null;
};

export type LaneOptions = Pick<
  DatabaseOptions,
  'poolSizeMax' | 'idleInTransactionTimeoutMs' | 'statementTimeoutMs' | 'keepsStatements'
>;

/** Opens connections for one kind of work. */
export type OpenLane = (
  name: string,
  options: LaneOptions,
) => { readonly db: Database; readonly close: () => Promise<void> };

/** A database that starts beside us gets half a minute. */
export const START: RetryPolicy = { attemptsMax: 10, delayMsMin: 200, delayMsMax: 5_000 };

const CONNECTIONS_PER_STREAM = 2; // One batch and one lease renewal at a time.
const SEQUENCER_CONNECTIONS = 1; // One transaction at a time.
const CHECKING_CONNECTIONS = 2; // Rounds that ask others; the database waits for nobody.
const LOOKING_CONNECTIONS = 2; // One look and one lease renewal at a time.
const WHOLE_TABLES_MS = 600_000; // A look at the invariants reads whole tables.
const IDLE_IN_TRANSACTION_MS_MAX = 5_000; // No transaction of ours waits for anything but the database.

/** @throws as registerCatalog does; RetryableError when the database stays away. Nothing keeps running after a failure. */
export async function startWorkers(parts: {
  readonly config: ServiceConfig;
  readonly env: ServiceEnv;
  readonly connectionString: string;
  readonly openLane: OpenLane;
  readonly notifications: Notifications;
  readonly memory: LogMemory;
  /** Since when deposits wait for the screening, as this process started; null: they did not. */
  readonly screenedSince: Micros | null;
}): Promise<Workers> {
  const { config, env, connectionString, openLane, notifications, memory, screenedSince } = parts;
  const teardown = createTeardown(env.logger);
  const lane = (name: string, options: LaneOptions): Database => {
    const { db, close } = openLane(name, options);
    teardown.add(`database connections of ${name}`, close);
    return db;
  };
  try {
    const leaseTtlMs = config.leaseSeconds * 1_000;
    const db = lane('ingestion', {
      poolSizeMax: CONNECTIONS_PER_STREAM * config.treasuryParties.length,
      // A process that stands still in the middle of a batch holds the position locked. The database ends that before the lease does, and the successor need not wait. One that is only slow is given longer (patient-writer.ts).
      idleInTransactionTimeoutMs: Math.min(leaseTtlMs / 2, IDLE_IN_TRANSACTION_MS_MAX),
      keepsStatements: 'FOR_FEW', // A batch is one update now and five hundred then.
    });
    const catalog = { network: config.network, treasuries: config.treasuryParties, instruments: config.instruments };
    const patience = { ...env, signal: new AbortController().signal };
    const treasuries = await retry(async () => await registerCatalog(db, catalog), START, patience);

    const sources = await retry(async () => await prepareTokenSources(config, db, env), START, patience);

    const { pool, loops } = openEndpoints(config, env);
    teardown.add('participant connections', pool.close);
    const startPayouts = preparePayouts({
      config,
      env,
      lane: (name, poolSizeMax) => lane(name, { poolSizeMax }),
      call: pool.roaming.call,
      openLedger: () => createFailoverLedger(pool),
      notifications,
      tokens: sources,
      log: memory,
      screenedSince,
    });
    const startScreening = prepareScreening({
      config,
      env,
      lane: (name, poolSizeMax) => lane(name, { poolSizeMax }),
      notifications,
      refunds: openWithdrawals(config, db, { clock: env.clock, log: memory }),
    });
    const startPolicy = preparePolicy({
      config,
      env,
      lane: (name, poolSizeMax) => lane(name, { poolSizeMax }),
      notifications,
    });
    const holder = presentHolder(`${hostname()}:${process.pid}:${env.random.uuid()}`);
    const presence = tellPresence({ ...env, connectionString, holder });
    teardown.add('presence', presence.close);
    await presence.told;
    const leases = createSharedLeases({
      ...env,
      db,
      leases: createLeases({ db }),
      group: `ingestion:${config.network}`,
      holder,
      count: treasuries.length,
    });
    teardown.add('place among the workers', leases.leave);
    const verifying = lane('verification', { poolSizeMax: treasuries.length });
    const looking = lane('invariants', { poolSizeMax: LOOKING_CONNECTIONS, statementTimeoutMs: WHOLE_TABLES_MS });
    const checking = lane('checks', { poolSizeMax: CHECKING_CONNECTIONS });
    const events = lane('sequencer', { poolSizeMax: SEQUENCER_CONNECTIONS });
    const working = createServiceLoops(env);
    teardown.add('workers', working.stop);

    const common = {
      ...env,
      db,
      leases,
      holder,
      sinks: createSinks({ ...env, screenedSince, recover: paymentRecoveryOf(config, env) }),
      settings: {
        leaseTtlMs,
        batchCountMax: config.batchUpdates,
        silenceMsMax: config.ledgerSilenceSeconds * 1_000,
        reconnect: { attemptsMax: config.reconnectTries, delayMsMin: 100, delayMsMax: config.reconnectDelayMs },
      },
    };
    for (const { name, run } of loops) working.run(name, run);
    for (const treasury of treasuries) {
      working.run(`stream of ${treasury.name}`, async (signal) => {
        try {
          await runStreamWorker({
            ...common,
            ledger: createFailoverLedger(pool),
            treasury,
            opening: { at: config.openingAt },
            signal,
          });
        } catch (error) {
          await reportPosition({ db, treasury, error, logger: env.logger, endpoints: pool.states() });
          throw error;
        }
      });
    }
    startPayouts(treasuries, working);
    startScreening(working);
    startPolicy(working);
    startVerification({
      ...env,
      db: verifying,
      openLedger: () => createFailoverLedger(pool),
      leases: createLeases({ db: verifying }),
      holder,
      everyMs: config.verifySeconds * 1_000,
      treasuries,
      working,
    });
    working.run('invariants', async (signal) => {
      const leases = createLeases({ db: looking });
      // Twice as often as the ledger is compared with: what is broken is frozen within a minute.
      await runInvariantLoop({ ...env, db: looking, leases, holder, everyMs: config.verifySeconds * 500, signal });
    });
    startTokenDirectory({
      config,
      env,
      db: checking,
      sources,
      call: pool.roaming.call,
      treasuries,
      leases: createLeases({ db: checking }),
      holder,
      working,
    });
    watchTreasuries({
      config,
      env,
      db: checking,
      call: pool.roaming.call,
      openLedger: () => createFailoverLedger(pool),
      endpoints: pool.states,
      treasuries,
      leases: createLeases({ db: checking }),
      holder,
      working,
    });
    const sequencer = createEventSequencer({ ...env, db: events, notifications, memory, signal: working.signal });
    working.run('event sequencer', sequencer.run);
    working.run('audit chain', async (signal) => await runAuditChain({ ...env, db: events, signal }));
    return { failed: working.failed, stop: teardown.run, stopping: teardown.current };
  } catch (error) {
    await teardown.run();
    throw error;
  }
}
