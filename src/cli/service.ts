/**
 * Sluice in one process: wires the parts for a role and takes them down again in the reverse order. What `serve`, `dev` and tests start.
 *
 *   all     follows the ledger and answers requests
 *   worker  follows the ledger, and puts committed events into the log
 *   api     answers requests; needs nothing but the database, and stays up while that is away
 */
import { hostname } from 'node:os';
import { createTreasurySink } from '../books/treasury-sink.ts';
import type { Config } from '../config/config.ts';
import { createDatabase, type Database } from '../db/connection.ts';
import { createEventSequencer } from '../db/event-sequencer.ts';
import { type EventTail, openEventTail } from '../db/event-tail.ts';
import { createLeases } from '../db/lease.ts';
import { requireMigrated } from '../db/migrate.ts';
import { createNotifications, type Notifications } from '../db/notifications.ts';
import { createDepositAccounts, type DepositAccounts } from '../deposits/deposit-accounts.ts';
import { createDepositSink } from '../deposits/deposit-sink.ts';
import type { Clock } from '../env/clock.ts';
import type { Failpoint } from '../env/failpoint.ts';
import type { Logger } from '../env/logger.ts';
import type { Random } from '../env/random.ts';
import { type RetryPolicy, retry } from '../env/retry.ts';
import { registerCatalog } from '../ingestion/catalog.ts';
import { runStreamWorker } from '../ingestion/stream-worker.ts';
import { createLedgerClient, type Ledger } from '../ledger/ledger-client.ts';
import { createFixedToken } from '../ledger/token-source.ts';
import { createIngestionProgress } from '../read/ingestion-progress.ts';
import { createServer } from '../server/create-server.ts';
import type { SampleWithdrawal } from '../server/graphiql.ts';
import { parseApiKey } from '../server/principals.ts';
import type { Withdrawals } from '../withdrawals/withdrawal-requests.ts';
import { createWithdrawalSink } from '../withdrawals/withdrawal-sink.ts';
import { openWithdrawals, preparePayouts } from './payouts.ts';
import { createServiceLoops, persistently, type ServiceLoops } from './service-loops.ts';
import { createTeardown, type Teardown } from './teardown.ts';
import { reportPosition } from './worker-position.ts';

export type ServiceConfig = Omit<Config, 'databaseUrl' | 'dataDir' | 'logLevel'>;

export type ServiceEnv = {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly failpoint: Failpoint;
};

export type Service = {
  /** `http://host:port` of the API; null for a worker. */
  readonly url: string | null;
  readonly db: Database;
  readonly tail: EventTail;
  readonly depositAccounts: DepositAccounts;
  /** Null where withdrawals are off. */
  readonly withdrawals: Withdrawals | null;
  /** Resolves with the error that the process should end with: a worker has used up its retries. Never, while all is well. */
  readonly failed: Promise<unknown>;
  /**
   * Readiness off, workers stopped between two batches, subscribers cut (so that they come back to another replica), connections closed.
   * Harmless when repeated.
   */
  stop(): Promise<void>;
  /** Which part is being stopped; null when none is. */
  stopping(): string | null;
};

/** A database that starts beside us gets half a minute. */
const START: RetryPolicy = { attemptsMax: 10, delayMsMin: 200, delayMsMax: 5_000 };

/**
 * @param options.connectionString of a migrated database.
 * @throws PermanentError MIGRATION_PENDING and others of requireMigrated, PORT_IN_USE and others of the server; RetryableError when the database
 * stays away. Nothing keeps running after a failure.
 */
export async function startService(options: {
  readonly config: ServiceConfig;
  readonly connectionString: string;
  readonly env: ServiceEnv;
  /** Fills in the samples of GraphiQL. */
  readonly sampleWithdrawal?: SampleWithdrawal;
}): Promise<Service> {
  const teardown = createTeardown(options.env.logger);
  try {
    return await start(options, teardown);
  } catch (error) {
    await teardown.run();
    throw error;
  }
}

async function start(
  { config, connectionString, env, sampleWithdrawal }: Parameters<typeof startService>[0],
  teardown: Teardown,
): Promise<Service> {
  const { clock, random, logger } = env;
  const isWorker = config.role !== 'api';

  // A lane of connections per kind of work, so that a flood of requests cannot starve ingestion, nor the other way round.
  const lane = (name: string, poolSizeMax: number): Database => {
    const connection = createDatabase({ connectionString, applicationName: `sluice-${name}`, poolSizeMax, logger });
    teardown.add(`database connections of ${name}`, connection.close);
    return connection.db;
  };
  const events = lane('events', EVENTS_CONNECTIONS);
  const retryEnv = { clock, random, signal: new AbortController().signal };
  await retry(async () => await requireMigrated(events), START, retryEnv);

  const notifications = createNotifications({ ...env, connectionString, applicationName: 'sluice-listen' });
  teardown.add('database notifications', notifications.close);

  const reading = createServiceLoops(env);
  teardown.add('event log', reading.stop);
  const tail = await openEventTail({ ...env, db: events, notifications, signal: reading.signal });
  reading.run('event tail', isWorker ? tail.run : persistently(tail.run, env));

  const api = lane('api', API_CONNECTIONS);
  const depositAccounts = createDepositAccounts({ db: api, clock, random });
  const withdrawals = openWithdrawals(config, api, clock);
  const working = createServiceLoops(env);
  const url = config.role === 'worker' ? null : await serveApi();
  if (isWorker) {
    await prepareStreams({ config, env, lane, notifications, working, teardown });
    const sequencer = createEventSequencer({ ...env, db: events, notifications, signal: working.signal });
    working.run('event sequencer', sequencer.run);
  }
  return {
    url,
    db: api,
    tail,
    depositAccounts,
    withdrawals,
    failed: Promise.race([reading.failed, working.failed]),
    stop: teardown.run,
    stopping: teardown.current,
  };

  async function serveApi(): Promise<string> {
    const progress = createIngestionProgress({ ...env, db: events, notifications, signal: reading.signal });
    reading.run('ingestion progress', isWorker ? progress.run : persistently(progress.run, env));
    const server = await createServer({
      host: config.host,
      port: config.port,
      apiKeys: config.apiKeys.map(({ name, scopes, sha256 }) =>
        parseApiKey(`${name}:${scopes.join('+')}:${sha256.reveal()}`),
      ),
      allowedHosts: [],
      allowedOrigins: [],
      // With keys configured it is a server for machines; whoever wants a page has the schema.
      isGraphiqlEnabled: config.apiKeys.length === 0,
      services: { db: api, depositAccounts, withdrawals, tail, progress, clock },
      ...(sampleWithdrawal && { sampleWithdrawal }),
      random,
      logger,
    });
    teardown.add('API server', server.stop);
    return server.url;
  }
}

const EVENTS_CONNECTIONS = 6; // Four pages of subscribers that are behind, the tail and the sequencer.
const API_CONNECTIONS = 10; // Answers take milliseconds; more connections would queue inside PostgreSQL instead of here.
const CONNECTIONS_PER_STREAM = 2; // One batch and one lease renewal at a time.

async function prepareStreams(parts: {
  readonly config: ServiceConfig;
  readonly env: ServiceEnv;
  readonly lane: (name: string, poolSizeMax: number) => Database;
  readonly notifications: Notifications;
  readonly working: ServiceLoops;
  readonly teardown: Teardown;
}): Promise<void> {
  const { config, env, lane, notifications, working, teardown } = parts;
  const db = lane('ingestion', CONNECTIONS_PER_STREAM * config.treasuryParties.length);
  const catalog = { network: config.network, treasuries: config.treasuryParties, instruments: config.instruments };
  const patience = { clock: env.clock, random: env.random, signal: new AbortController().signal };
  const treasuries = await retry(async () => await registerCatalog(db, catalog), START, patience);
  const ledger = openLedger(config);
  teardown.add('participant connection', ledger.close);
  const startPayouts = preparePayouts({ config, env, lane, notifications, teardown });
  teardown.add('workers', working.stop);

  const common = {
    ...env,
    db,
    ledger,
    leases: createLeases({ db, clock: env.clock }),
    sinks: [createDepositSink({ clock: env.clock }), createTreasurySink(), createWithdrawalSink(env)],
    holder: `${hostname()}:${process.pid}:${env.random.uuid()}`,
  };
  for (const treasury of treasuries) {
    working.run(`stream of ${treasury.name}`, async (signal) => await followStream({ ...common, treasury, signal }));
  }
  startPayouts(treasuries, working);
}

async function followStream(options: Parameters<typeof runStreamWorker>[0]): Promise<void> {
  try {
    await runStreamWorker(options);
  } catch (error) {
    await reportPosition(options.db, options.treasury, error, options.logger);
    throw error;
  }
}

function openLedger({ ledgerUrl: url, ledgerToken }: ServiceConfig): Ledger {
  return createLedgerClient({ url, ...(ledgerToken === null ? {} : { tokens: createFixedToken(ledgerToken) }) });
}
