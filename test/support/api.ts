/** The API as a process serves it, on a test database and a free port, and clients that speak to it over real sockets. */

import { createPostTransfers } from '../../src/books/post-transfers.ts';
import type { Database } from '../../src/db/connection.ts';
import { createNotifications } from '../../src/db/notifications.ts';
import { createOfferRequests } from '../../src/deposits/acceptance/offer-requests.ts';
import { createDepositAccountChanges } from '../../src/deposits/deposit-account-changes.ts';
import { createDepositAccounts } from '../../src/deposits/deposit-accounts.ts';
import { createDesk, type DeskLimits } from '../../src/deposits/desk.ts';
import { createScreeningRequests } from '../../src/deposits/screening-requests.ts';
import type { OpenRegistry } from '../../src/directory/registry-access.ts';
import { createTokenDirectory } from '../../src/directory/token-directory.ts';
import type { Clock } from '../../src/env/clock.ts';
import { RetryableError } from '../../src/env/errors.ts';
import type { LogFields, Logger } from '../../src/env/logger.ts';
import { systemClock, systemRandom } from '../../src/env/system.ts';
import { createApprovals } from '../../src/policy/approvals.ts';
import { createPolicyChanges } from '../../src/policy/policy-changes.ts';
import type { Preflight } from '../../src/preflight/preflight.ts';
import { createIngestionProgress, type IngestionProgress } from '../../src/read/ingestion-progress.ts';
import { API_LIMITS_DEFAULT, type ApiLimits } from '../../src/schema/api-limits.ts';
import { createServer, type RunningServer, type ServerOptions } from '../../src/server/create-server.ts';
import { createWithdrawals } from '../../src/withdrawals/withdrawal-requests.ts';
import type { TestDatabase } from './database.ts';
import { type RunningEventLog, startEventLog } from './event-log.ts';

export type TestApi = RunningServer & {
  readonly log: RunningEventLog;
  readonly progress: IngestionProgress;
  /** What the server logged at `warn` and `error`. */
  readonly lines: readonly { readonly level: string; readonly message: string; readonly fields: LogFields }[];
  /** Sends a document as JSON over HTTP. */
  query(query: string, variables?: Record<string, unknown>, headers?: Record<string, string>): Promise<Answer>;
};

export type Answer = {
  readonly status: number;
  readonly headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: answers are looked into by tests, which fail where they are not what they seem.
  readonly data: any;
  // biome-ignore lint/suspicious/noExplicitAny: as above.
  readonly errors: any;
};

/** Of the ids of withdrawals in tests. */
export const ID_KEY: Uint8Array = new Uint8Array(32).fill(7);

const noRegistry: OpenRegistry = () => {
  throw new RetryableError('REGISTRY_UNREACHABLE', 'No registry is there.');
};

export async function startApi(
  database: TestDatabase,
  options: Partial<Omit<ServerOptions, 'services'>> & {
    readonly ringCountMax?: number;
    readonly clock?: Clock;
    /** What resolvers read from, where it is to differ from the loops’ database. */
    readonly db?: Database;
    /** False: an installation that does not pay out. */
    readonly isPayingOut?: boolean;
    /** Its name, where it is not `testnet`. */
    readonly network?: string;
    /** Left out: every decision of the desk needs two people. */
    readonly deskLimits?: DeskLimits;
    /** Left out: registries cannot be reached. */
    readonly openRegistry?: OpenRegistry;
    /** Left out: nobody can look ahead. */
    readonly preflight?: Preflight;
    /** Left out: as without configuration. */
    readonly limits?: ApiLimits;
  } = {},
): Promise<TestApi> {
  const {
    ringCountMax,
    clock = systemClock,
    db = database.db,
    isPayingOut = true,
    network = 'testnet',
    deskLimits = new Map(),
    openRegistry = noRegistry,
    preflight = null,
    limits = API_LIMITS_DEFAULT,
    ...serverOptions
  } = options;
  const lines: { level: string; message: string; fields: LogFields }[] = [];
  const logger = recordingLogger(lines);
  const log = await startEventLog(database, {
    sequencersCount: 2,
    ...(ringCountMax === undefined ? {} : { ringCountMax }),
  });
  const ending = new AbortController();
  const common = { clock, random: systemRandom, logger: database.logger, signal: ending.signal };
  const notifications = createNotifications({
    ...common,
    clock: systemClock,
    connectionString: database.connectionString,
    applicationName: 'sluice-test-listen',
  });
  const progress = createIngestionProgress({ ...common, db: database.db, notifications });
  const running = progress.run();
  const withdrawals = isPayingOut ? createWithdrawals({ db, clock, network, idKey: ID_KEY }) : null;
  const server = await createServer({
    host: '127.0.0.1',
    port: 0,
    apiKeys: [],
    allowedHosts: [],
    allowedOrigins: [],
    isGraphiqlEnabled: false,
    random: systemRandom,
    logger,
    drainMs: 100,
    ...serverOptions,
    services: {
      db,
      clock,
      tail: log.tail,
      progress,
      depositAccounts: createDepositAccounts({ db, clock, random: systemRandom }),
      tokens: createTokenDirectory({ db, clock, openRegistry }),
      depositAccountChanges: createDepositAccountChanges({ db, clock, random: systemRandom }),
      desk: createDesk({ db, clock, limits: deskLimits, withdrawals }),
      screeningRequests: createScreeningRequests({ db, clock }),
      offers: createOfferRequests({ db, clock }),
      approvals: createApprovals({ db, clock }),
      policyChanges: createPolicyChanges({ db, clock, network }),
      network,
      withdrawals,
      postTransfers: createPostTransfers({ db, clock, network }),
      preflight,
      limits,
      recordTimeAheadMsMax: 60_000,
    },
  });
  return {
    url: server.url,
    log,
    progress,
    lines,
    query: async (query, variables = {}, headers = {}) => await post(server.url, { query, variables }, headers),
    stop: async () => {
      await server.stop();
      ending.abort();
      await running;
      await notifications.close();
      await log.stop();
    },
  };
}

export async function post(url: string, body: unknown, headers: Record<string, string> = {}): Promise<Answer> {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  const text = await response.text();
  const parsed: unknown = text === '' ? {} : JSON.parse(text);
  const { data, errors } = parsed as { data: unknown; errors: unknown };
  return { status: response.status, headers: response.headers, data, errors };
}

function recordingLogger(lines: { level: string; message: string; fields: LogFields }[]): Logger {
  const record =
    (level: string) =>
    (message: string, fields: LogFields = {}): void => {
      lines.push({ level, message, fields });
    };
  const logger: Logger = {
    debug: () => undefined,
    info: () => undefined,
    warn: record('warn'),
    error: record('error'),
    child: () => logger,
  };
  return logger;
}
