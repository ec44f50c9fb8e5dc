/**
 * Sluice in one process: wires the parts for a role and takes them down again in the reverse order. What `serve`, `dev` and tests start.
 *
 *   all     follows the ledger and answers requests
 *   worker  follows the ledger, and puts committed events into the log
 *   api     answers requests; needs nothing but the database, and stays up while that is away
 */
import { agreeOnBooks } from '../books/books-mode.ts';
import { createPostTransfers } from '../books/post-transfers.ts';
import { createDatabase, type Database } from '../db/connection.ts';
import { type EventTail, openEventTail } from '../db/event-tail.ts';
import { readLogAnchor, runLogAnchor } from '../db/log-anchor.ts';
import { createLogMemory } from '../db/log-history.ts';
import { lookAtLog, runLogWatch } from '../db/log-watch.ts';
import { requireMigrated } from '../db/migrate.ts';
import { createNotifications } from '../db/notifications.ts';
import { createOfferRequests } from '../deposits/acceptance/offer-requests.ts';
import { createDepositAccountChanges } from '../deposits/deposit-account-changes.ts';
import { createDepositAccounts, type DepositAccounts } from '../deposits/deposit-accounts.ts';
import { agreeOnScreening, type DepositScreening, readDepositScreening } from '../deposits/screening-mode.ts';
import { createScreeningRequests } from '../deposits/screening-requests.ts';
import type { Clock, Micros } from '../env/clock.ts';
import { retry } from '../env/retry.ts';
import { createApprovals } from '../policy/approvals.ts';
import { createPolicyChanges } from '../policy/policy-changes.ts';
import { createIngestionProgress } from '../read/ingestion-progress.ts';
import { createServer } from '../server/create-server.ts';
import type { SampleWithdrawal } from '../server/graphiql.ts';
import { parseApiKey } from '../server/principals.ts';
import { createRequestIds } from '../server/request-ids.ts';
import { readTrustedDocuments } from '../server/trusted-documents.ts';
import { HELD_MONEY } from '../submissions/held-money.ts';
import { loggedWithdrawals } from '../withdrawals/logged-withdrawals.ts';
import type { Withdrawals } from '../withdrawals/withdrawal-requests.ts';
import { isOpen, openAccess } from './access.ts';
import { answerLimitsOf } from './answer-limits.ts';
import { apiLimitsOf } from './api-limits.ts';
import { isScreeningWanted, openDesk } from './deposit-services.ts';
import { openWithdrawals, sampleInstrumentOf } from './payouts.ts';
import { openPreflight } from './preflight.ts';
import { restoreWindowOf } from './recovery.ts';
import type { ServiceConfig, ServiceEnv } from './service-config.ts';
import { createServiceLoops, persistently } from './service-loops.ts';
import { type LaneOptions, START, startWorkers, type Workers } from './service-workers.ts';
import { createTeardown, type Teardown } from './teardown.ts';
import { openTokenDirectory } from './token-directory.ts';
import { startWatching } from './watching.ts';
import { superviseWorkers } from './worker-supervisor.ts';

export type Service = {
  /** `http://host:port` of health and metrics. */
  readonly adminUrl: string;
  /** `http://host:port` of the API; null for a worker. */
  readonly url: string | null;
  readonly db: Database;
  readonly tail: EventTail;
  readonly depositAccounts: DepositAccounts;
  /** Null where withdrawals are off. */
  readonly withdrawals: Withdrawals | null;
  /**
   * Resolves with the error that the process should end with. Never, while all is well. In a worker also when the tries of a stream are used up; a process with an API starts
   * its workers anew by itself.
   */
  readonly failed: Promise<unknown>;
  /**
   * Readiness off, workers stopped between two batches, subscribers cut (so that they come back to another replica), connections closed.
   * Harmless when repeated.
   */
  stop(): Promise<void>;
  /** Which part is being stopped; null when none is. */
  stopping(): string | null;
};

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
  { config, connectionString, env: given, sampleWithdrawal }: Parameters<typeof startService>[0],
  teardown: Teardown,
): Promise<Service> {
  const { clock, random, logger } = given;
  const isWorker = config.role === 'worker';

  // First up and last down: whoever watches sees the start and the end as well.
  const watching = await startWatching({ config, env: given, connectionString });
  teardown.add('health and metrics', watching.stop);
  const env = { ...given, measures: watching.measures };

  // A lane of connections per kind of work, so that a flood of requests cannot starve ingestion, nor the other way round.
  const openLane = (name: string, options: LaneOptions) =>
    watching.lane(name, createDatabase({ connectionString, applicationName: `sluice-${name}`, ...options, logger }));
  const lane = (name: string, poolSizeMax: number): Database => {
    const connection = openLane(name, { poolSizeMax });
    teardown.add(`database connections of ${name}`, connection.close);
    return connection.db;
  };
  const events = lane('events', EVENTS_CONNECTIONS);
  const retryEnv = { clock, random, signal: new AbortController().signal };
  const { anchorFile } = config;
  const anchor = anchorFile === null ? null : await readLogAnchor(anchorFile);
  const memory = createLogMemory(anchor?.mark ?? null, {
    kept: anchor?.kept ?? null,
    audit: anchor?.audit ?? null,
    keeper: HELD_MONEY,
    window: restoreWindowOf(config),
  });
  const ready = async (): Promise<Micros | null> => {
    await requireMigrated(events);
    const { network, customerBooks } = config;
    await agreeOnBooks(events, { network, configured: customerBooks, nowMicros: clock.nowMicros() });
    const screening = await agreedScreening(config, events, clock);
    await lookAtLog({ db: events, memory, clock, random, logger });
    return screening.isOn ? (screening.decided?.at ?? null) : null;
  };
  const screenedSince = await retry(ready, START, retryEnv);

  const notifications = createNotifications({ ...env, connectionString, applicationName: 'sluice-listen' });
  teardown.add('database notifications', notifications.close);

  const reading = createServiceLoops(env);
  teardown.add('event log', reading.stop);
  if (anchorFile !== null) {
    reading.run(
      'log anchor',
      async (signal) => await runLogAnchor(anchorFile, { memory, clock, random, logger, signal }),
    );
  }
  reading.run('log watch', async (signal) => await runLogWatch({ ...env, db: events, memory, signal }));
  const tail = await openEventTail({ ...env, db: events, notifications, signal: reading.signal });
  reading.run('event tail', isWorker ? tail.run : persistently(tail.run, env));

  const api = lane('api', API_CONNECTIONS);
  const probes = openLane('probes', { poolSizeMax: PROBE_CONNECTIONS, statementTimeoutMs: PROBE_MS_MAX });
  teardown.add('database connections of probes', probes.close);
  const depositAccounts = createDepositAccounts({ db: api, clock, random });
  const requests = createRequestIds(random);
  const opened = openWithdrawals(config, api, { clock, log: memory });
  const withdrawals =
    opened && loggedWithdrawals(opened, { logger: requests.logger(logger), requestId: requests.current });
  const tokens = openTokenDirectory(config, api, env);
  const url = isWorker ? null : await serveApi();
  const workers = config.role === 'api' ? null : await work();
  watching.watch({ db: probes.db, tail });
  return {
    url,
    adminUrl: watching.url,
    db: api,
    tail,
    depositAccounts,
    withdrawals,
    failed: workers === null ? reading.failed : Promise.race([reading.failed, workers.failed]),
    stop: async () => {
      watching.leave();
      await teardown.run();
    },
    stopping: teardown.current,
  };

  async function work(): Promise<Workers> {
    const begin = async (): Promise<Workers> =>
      await startWorkers({ config, env, connectionString, openLane, notifications, memory, screenedSince });
    const first = await begin();
    const running = isWorker ? first : superviseWorkers(first, begin, env);
    teardown.add('workers', running.stop, running.stopping);
    return running;
  }

  async function serveApi(): Promise<string> {
    const progress = createIngestionProgress({ ...env, db: events, notifications, signal: reading.signal });
    reading.run('ingestion progress', persistently(progress.run, env));
    const looking = withdrawals === null ? null : openPreflight(config, api, env);
    if (looking !== null) {
      teardown.add('participant connections for looking ahead', looking.close);
      for (const { name, run } of looking.loops) {
        reading.run(
          name,
          persistently(async () => await run(reading.signal), env),
        );
      }
    }
    const access = openAccess(config, { ...env, db: events, notifications, signal: reading.signal });
    await access.begin();
    watching.keys(access.keysAgeSeconds);
    for (const { name, run } of access.loops) reading.run(name, persistently(run, env));
    const server = await createServer({
      host: config.host,
      port: config.port,
      apiKeys: config.apiKeys.map(({ name, scopes, sha256 }) =>
        parseApiKey(`${name}:${scopes.join('+')}:${sha256.reveal()}`),
      ),
      allowedHosts: config.allowedHosts,
      allowedOrigins: config.allowedOrigins,
      isIntrospectionOn: config.isIntrospectionOn,
      ...(config.isSuggesting ? { isSuggesting: true } : {}),
      trusted:
        config.trustedDocuments === null
          ? null
          : await readTrustedDocuments(config.trustedDocuments, config.trustedDocumentsFor),
      answers: answerLimitsOf(config),
      // With keys configured it is a server for machines; whoever wants a page has the schema.
      isGraphiqlEnabled: isOpen(config),
      access,
      probed: probes.db,
      services: {
        db: api,
        depositAccounts,
        depositAccountChanges: createDepositAccountChanges({ db: api, clock, random }),
        desk: openDesk(config, { db: api, clock, withdrawals, screenedSince }),
        screeningRequests: createScreeningRequests({ db: api, clock }),
        offers: createOfferRequests({ db: api, clock }),
        approvals: createApprovals({ db: api, clock }),
        policyChanges: createPolicyChanges({ db: api, clock, network: config.network }),
        network: config.network,
        withdrawals,
        postTransfers: createPostTransfers({ db: api, clock, network: config.network, log: memory }),
        preflight: looking === null ? null : looking.preflight,
        recordTimeAheadMsMax: config.restoreMarginSeconds * 1_000,
        trafficReserve: config.trafficReserveBytes,
        tokens,
        tail,
        progress,
        clock,
        limits: apiLimitsOf(config),
      },
      sampleWithdrawal: { ...sampleInstrumentOf(config), ...sampleWithdrawal },
      random,
      logger,
      requests,
      onCounts: watching.counts,
    });
    teardown.add('API server', server.stop);
    return server.url;
  }
}

/** Who only answers requests asks no screening service, and needs none to be configured: what its desk credits goes by the database. */
async function agreedScreening(config: ServiceConfig, db: Database, clock: Clock): Promise<DepositScreening> {
  const { network, role } = config;
  if (role === 'api') return await readDepositScreening(db, network);
  return await agreeOnScreening(db, { network, isWanted: isScreeningWanted(config), nowMicros: clock.nowMicros() });
}

const EVENTS_CONNECTIONS = 6; // Four pages of subscribers that are behind, the tail and the ingestion progress.
const PROBE_CONNECTIONS = 2; // One per listener: what the operator's looks into may be locked, and the balancer asks at the other.
const PROBE_MS_MAX = 2_000; // Whoever probes has given up before.
const API_CONNECTIONS = 10; // Answers take milliseconds; more connections would queue inside PostgreSQL instead of here.
