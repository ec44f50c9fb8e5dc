/** Health and metrics of a process: what they are made from, and the listener that shows them. Up before anything else is tried, so that a start that takes its time can be seen to. */
import packageJson from '../../package.json' with { type: 'json' };
import { createDatabase, type Database, type DatabaseConnection } from '../db/connection.ts';
import type { EventTail } from '../db/event-tail.ts';
import type { Measures } from '../env/measures.ts';
import { createMetrics, type PoolReading } from '../metrics/metrics.ts';
import { readOperationFacts } from '../read/operation-facts.ts';
import { createAdminServer, USUAL_PORT } from '../server/admin-server.ts';
import type { ServerCounts } from '../server/create-server.ts';
import { createProcessGauges } from '../server/process-gauges.ts';
import { createReadiness } from '../server/readiness.ts';
import type { ServiceConfig, ServiceEnv } from './service-config.ts';

export type Watching = {
  /** `http://host:port` of health and metrics. */
  readonly url: string;
  readonly measures: Measures;
  /** Counts the connections of a lane, until it is closed. */
  lane(name: string, connection: DatabaseConnection): DatabaseConnection;
  /** From here on the process may be ready. */
  watch(parts: { readonly db: Database; readonly tail: Pick<EventTail, 'head' | 'stats'> }): void;
  /** What the server of the API tells of those who are there. */
  counts(read: () => ServerCounts): void;
  /** @param ageSeconds since the keys of identity providers were fetched, of the oldest; null: there are none. */
  keys(ageSeconds: () => number | null): void;
  /** From here on it is not any more. */
  leave(): void;
  stop(): Promise<void>;
};

const STATEMENT_MS_MAX = 5_000; // Whoever asks has given up before.

/** @throws PermanentError LISTEN_FAILED. Nothing keeps running after a failure. */
export async function startWatching({
  config,
  env,
  connectionString,
}: {
  readonly config: ServiceConfig;
  readonly env: ServiceEnv;
  readonly connectionString: string;
}): Promise<Watching> {
  const { clock, logger } = env;
  const lanes = new Map<DatabaseConnection, string>();
  let parts: Parameters<Watching['watch']>[0] | null = null;
  let isStopping = false;

  // Of its own, so that it is neither in the way of the work nor kept from looking by it.
  const own = createDatabase({
    connectionString,
    applicationName: 'sluice-watching',
    poolSizeMax: 1,
    statementTimeoutMs: STATEMENT_MS_MAX,
    logger,
  });
  const metrics = createMetrics({
    clock,
    logger,
    build: { version: packageJson.version, node: process.versions.node, role: config.role },
    readFacts: async (nowMicros) =>
      await readOperationFacts(own.db, { nowMicros, recordTimeAheadMsMax: config.restoreMarginSeconds * 1_000 }),
    pools: () => [...lanes].map(([connection, lane]) => poolReading(lane, connection)),
    process: createProcessGauges(),
  });
  const readiness = createReadiness({
    clock,
    logger,
    parts: () => {
      if (parts === null) return null;
      const { db, tail } = parts;
      return { db, seen: () => tail.head().position };
    },
    isStopping: () => isStopping,
    isApi: config.role !== 'worker',
    lagSecondsMax: config.readyLagSeconds,
  });
  metrics.watch('sluice_traffic_reserve_bytes', () => config.trafficReserveBytes);
  const close = async (): Promise<void> => {
    metrics.close();
    await own.close();
  };
  const server = await createAdminServer({
    host: config.adminHost,
    port: adminPortOf(config),
    readiness,
    metrics: {
      contentType: metrics.contentType,
      scrape: async () => {
        const { isReady } = await readiness();
        metrics.watch('sluice_ready', () => (isReady ? 1 : 0));
        return await metrics.scrape();
      },
    },
    logger,
  }).catch(async (error: unknown) => {
    await close();
    throw error;
  });

  return {
    url: server.url,
    measures: metrics.measures,
    lane: (name, connection) => {
      lanes.set(connection, name);
      return {
        ...connection,
        close: async () => {
          lanes.delete(connection);
          await connection.close();
        },
      };
    },
    watch: (given) => {
      parts = given;
      const { tail } = given;
      metrics.watch('sluice_log_readers_waiting', () => tail.stats().waiting);
      metrics.watch('sluice_log_pages_total', () => tail.stats().pagesRead);
      metrics.watch('sluice_log_ring_events', () => tail.stats().ringCount);
      metrics.watch('sluice_log_ring_bytes', () => tail.stats().ringBytes);
    },
    counts: (read) => {
      metrics.watch('sluice_websockets_open', () => read().webSockets);
      metrics.watch('sluice_subscribers', () => read().subscribers);
      metrics.watch('sluice_subscriptions_executed', () => read().groups);
      metrics.watch('sluice_slow_readers_total', () => read().slowReaders);
    },
    keys: (ageSeconds) => metrics.watch('sluice_jwks_age_seconds', ageSeconds),
    leave: () => {
      isStopping = true;
    },
    stop: async () => {
      await server.stop();
      await close();
    },
  };
}

/** This listener is up first, and is not to take the port that the API was given. @returns as `port` of createAdminServer. */
export function adminPortOf({
  adminPort,
  role,
  port,
}: Pick<ServiceConfig, 'adminPort' | 'role' | 'port'>): number | null {
  return adminPort ?? (role !== 'worker' && port === USUAL_PORT ? 0 : null);
}

function poolReading(lane: string, { pool }: DatabaseConnection): PoolReading {
  return { lane, total: pool.totalCount, idle: pool.idleCount, waiting: pool.waitingCount };
}
