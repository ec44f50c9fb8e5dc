/** Ingestion wired as the command line wires it, for tests that need no API. */
import { inspect } from 'node:util';
import { createTreasurySink } from '../../src/books/treasury-sink.ts';
import { createDatabase, type Database } from '../../src/db/connection.ts';
import { createLeases } from '../../src/db/lease.ts';
import { createDepositSink } from '../../src/deposits/deposit-sink.ts';
import type { Clock } from '../../src/env/clock.ts';
import { type Failpoint, noFailpoints } from '../../src/env/failpoint.ts';
import type { LogFields, Logger } from '../../src/env/logger.ts';
import { formatRecordTime } from '../../src/env/record-time.ts';
import { systemClock, systemRandom } from '../../src/env/system.ts';
import { type CatalogConfig, registerCatalog } from '../../src/ingestion/catalog.ts';
import type { EffectSink, Treasury } from '../../src/ingestion/effect-sink.ts';
import type { Opening } from '../../src/ingestion/opening.ts';
import { runStreamWorker, type StreamSettings } from '../../src/ingestion/stream-worker.ts';
import { createEndpointPool, type EndpointPool, type EndpointPoolOptions } from '../../src/ledger/endpoint-pool.ts';
import { createFailoverLedger } from '../../src/ledger/failover-ledger.ts';
import type { Ledger } from '../../src/ledger/ledger-client.ts';
import { depositAccountId } from '../../src/tokens/ids.ts';

export type IngestionOptions = {
  /** After which the server ends a transaction in which nothing happens, as that of a frozen process; long when left out, since tests stop in the middle. */
  readonly idleInTransactionTimeoutMs?: number;
  readonly connectionString: string;
  readonly ledgerUrl: string;
  /** Beside `ledgerUrl`, after it. */
  readonly otherLedgerUrls?: readonly string[];
  readonly endpoints?: Partial<EndpointPoolOptions>;
  readonly catalog: CatalogConfig;
  readonly clock?: Clock;
  readonly failpoint?: Failpoint;
  readonly settings?: Partial<StreamSettings>;
  readonly opening?: Opening;
  /** Further sinks, after the real ones. */
  readonly sinks?: readonly EffectSink[];
  readonly wrapLedger?: (ledger: Ledger) => Ledger;
};

export type RunningIngestion = {
  readonly db: Database;
  readonly treasuries: readonly Treasury[];
  readonly endpoints: EndpointPool;
  /** Settles when every worker has ended; rejects with what ended one. */
  readonly ended: Promise<unknown>;
  /** What was logged last, oldest first: for whoever waits in vain. */
  log(): string;
  /** @throws what ended a worker, if one has ended: a test that waits for progress asks now and then. */
  throwIfFailed(): void;
  stop(): Promise<void>;
};

export async function startIngestion(options: IngestionOptions): Promise<RunningIngestion> {
  const { clock = systemClock, failpoint = noFailpoints } = options;
  const { logger, lines } = rememberingLogger();
  const connection = createDatabase({
    connectionString: options.connectionString,
    applicationName: 'test-ingestion',
    poolSizeMax: 4,
    keepsStatements: 'FOR_FEW', // As the lane of ingestion has it.
    logger,
    ...(options.idleInTransactionTimeoutMs !== undefined && {
      idleInTransactionTimeoutMs: options.idleInTransactionTimeoutMs,
    }),
  });
  const { db } = connection;
  const treasuries = await registerCatalog(db, options.catalog);
  const endpoints = createEndpointPool({
    urls: [options.ledgerUrl, ...(options.otherLedgerUrls ?? [])],
    clock,
    random: systemRandom,
    logger,
    ...options.endpoints,
  });
  const openLedger = (): Ledger => {
    const ledger = createFailoverLedger(endpoints);
    return options.wrapLedger?.(ledger) ?? ledger;
  };
  const controller = new AbortController();
  const workers = treasuries.map((treasury) =>
    runStreamWorker({
      db,
      leases: createLeases({ db }),
      ledger: openLedger(),
      treasury,
      sinks: [createDepositSink({ clock }), createTreasurySink(), ...(options.sinks ?? [])],
      holder: systemRandom.uuid(),
      clock,
      random: systemRandom,
      logger,
      failpoint,
      signal: controller.signal,
      ...(options.settings && { settings: options.settings }),
      ...(options.opening && { opening: options.opening }),
    }),
  );
  const checking = endpoints.run(controller.signal);
  const ended = Promise.all(workers);
  const failures: unknown[] = [];
  ended.catch((error: unknown) => failures.push(error));
  return {
    db,
    treasuries,
    endpoints,
    ended,
    log: () => lines.join('\n'),
    throwIfFailed: () => {
      if (failures.length > 0) throw failures[0];
    },
    stop: async () => {
      controller.abort();
      await Promise.allSettled([...workers, checking]);
      endpoints.close();
      await connection.close();
    },
  };
}

const LINES_MAX = 60;

/** Keeps the last lines and prints none: most tests make trouble on purpose. */
function rememberingLogger(): { readonly logger: Logger; readonly lines: readonly string[] } {
  const lines: string[] = [];
  const note =
    (level: string) =>
    (message: string, fields: LogFields = {}): void => {
      lines.push(
        `${formatRecordTime(systemClock.nowMicros())} ${level} ${message} ${inspect(fields, { breakLength: Infinity })}`,
      );
      if (lines.length > LINES_MAX) lines.shift();
    };
  const logger: Logger = {
    debug: () => undefined,
    info: note('info'),
    warn: note('warn'),
    error: note('error'),
    child: () => logger,
  };
  return { logger, lines };
}

/** Registers memos for customers, all of them in the network of `catalog`. */
export async function registerMemos(
  db: Database,
  network: string,
  memos: Readonly<Record<string, string>>,
): Promise<void> {
  await db
    .insertInto('network')
    .values({ name: network })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  const { id: networkId } = await db
    .selectFrom('network')
    .select('id')
    .where('name', '=', network)
    .executeTakeFirstOrThrow();
  for (const [memo, owner] of Object.entries(memos)) {
    const { id: accountId } = await db
      .insertInto('account')
      .values({ network_id: networkId, kind: 'CUSTOMER', owner })
      .onConflict((conflict) => conflict.columns(['network_id', 'kind', 'owner']).doUpdateSet({ owner }))
      .returning('id')
      .executeTakeFirstOrThrow();
    await db
      .insertInto('deposit_account')
      .values({
        id: depositAccountId(network, memo),
        network_id: networkId,
        memo,
        account_id: accountId,
        created_at: 0n,
        created_by: 'test',
      })
      .execute();
  }
}
