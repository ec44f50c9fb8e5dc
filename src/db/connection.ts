/**
 * Connections to PostgreSQL. One pool per lane of work (ingestion, API, event log), so that a flood in one does not starve another; each
 * has its timeouts, and no wait is without a bound.
 *
 * `statement_timeout` and its like travel as start-up parameters: behind a PgBouncer they need `ignore_startup_parameters`, or to be set
 * on the role.
 */
import {
  Kysely,
  type Transaction as KyselyTransaction,
  type PostgresCursor,
  type PostgresPool,
  type PostgresPoolClient,
  type PostgresQueryResult,
} from 'kysely';
import pg from 'pg';
import { assert } from '../env/errors.ts';
import type { Logger } from '../env/logger.ts';
import type { DB } from '../gen/db.ts';
import { type Acting, actingNow } from './acting.ts';
import { currentSignal, requestCancel, untilAborted } from './cancellation.ts';
import { databaseErrorOf, isConnectionSpent } from './errors.ts';
import { createKeptStatements, isNotKept, isOutdated, type KeptStatements } from './kept-statements.ts';
import { LeanDialect } from './lean-dialect.ts';
import { getTypeParser } from './value-types.ts';

export type Database = Kysely<DB>;
export type Transaction = KyselyTransaction<DB>;

export type DatabaseOptions = {
  readonly connectionString: string;
  /** Shown in `pg_stat_activity`; `sluice-` and the lane. */
  readonly applicationName: string;
  /** Connections, 1–100. The sum over all lanes and replicas must stay below the server's `max_connections`. */
  readonly poolSizeMax: number;
  readonly logger: Logger;
  /** Default 15 s. */
  readonly statementTimeoutMs?: number;
  /** How long the client itself waits. Default 5 s more than the server: only a dead network makes this limit strike first. */
  readonly answerTimeoutMs?: number;
  /** Default 5 s: a lock held longer than that is a stuck neighbour, and a retry with fresh reads serves better than waiting on. */
  readonly lockTimeoutMs?: number;
  /** Default 30 s: no transaction of ours waits for anything but the database. */
  readonly idleInTransactionTimeoutMs?: number;
  /** For a connection, free in the pool or new. Default 5 s. */
  readonly connectTimeoutMs?: number;
  /** After which a connection is given up when it comes back, for a fresh one. Default 600. What it keeps is planned by what the tables were when they were last analysed, and is no older than that even where nobody analyses. */
  readonly lifetimeSeconds?: number;
  /**
   * Whether connections keep the statements that come again and again. Default true. `FOR_FEW` where one statement serves a row now and hundreds then: it is planned anew for many, since what suits a few rows does not
   * suit them, and planning is little then beside carrying it out.
   */
  readonly keepsStatements?: boolean | 'FOR_FEW';
};

export type DatabaseConnection = {
  /** Every error it throws is a RetryableError or a PermanentError of `errors.ts`. */
  readonly db: Database;
  /** For gauges (`totalCount`, `idleCount`, `waitingCount`); statements go through `db`. */
  readonly pool: pg.Pool;
  /** Waits for running statements, then disconnects. Harmless when repeated. */
  close(): Promise<void>;
};

const ANSWER_GRACE_MS = 5_000;
const IDLE_CONNECTION_MS = 60_000;
const LIFETIME_SECONDS = 600;
/** Values of a statement that is for few rows, in characters: some ten updates of the ledger. */
const FEW_LENGTH_MAX = 32_768;

/** Connects lazily, with the first statement. int8 comes as bigint, numeric and times as string, bytea as Buffer, jsonb parsed. */
export function createDatabase(options: DatabaseOptions): DatabaseConnection {
  const statementTimeoutMs = options.statementTimeoutMs ?? 15_000;
  const pool = new pg.Pool({
    connectionString: options.connectionString,
    application_name: options.applicationName,
    max: options.poolSizeMax,
    types: { getTypeParser },
    statement_timeout: statementTimeoutMs,
    query_timeout: options.answerTimeoutMs ?? statementTimeoutMs + ANSWER_GRACE_MS,
    lock_timeout: options.lockTimeoutMs ?? 5_000,
    idle_in_transaction_session_timeout: options.idleInTransactionTimeoutMs ?? 30_000,
    connectionTimeoutMillis: options.connectTimeoutMs ?? 5_000,
    idleTimeoutMillis: IDLE_CONNECTION_MS,
    maxLifetimeSeconds: options.lifetimeSeconds ?? LIFETIME_SECONDS,
    keepAlive: true,
  });
  pool.on('error', (error) => {
    // Leaving is not waited for by the driver, so a server that stops right after us may still cut a connection that said goodbye.
    if (pool.ending) return;
    options.logger.warn('An idle database connection was lost.', {
      applicationName: options.applicationName,
      error: error.message,
    });
  });
  pool.on('connect', (client) => {
    // A connection that breaks between two statements of a transaction reports it here, where an unheard error would end the process;
    // the next statement fails with it.
    client.on('error', () => undefined);
  });

  const db = new Kysely<DB>({
    dialect: new LeanDialect({ pool: guardedPool(pool, options.keepsStatements ?? true) }),
  });
  let closing: Promise<void> | null = null;
  return {
    db,
    pool,
    close: async () => {
      closing ??= endPool(db, pool);
      await closing;
    },
  };
}

/** Kysely's driver is unaware of the pool until its first statement, so it cannot be left to end it. */
async function endPool(db: Database, pool: pg.Pool): Promise<void> {
  await db.destroy();
  if (!pool.ending) await pool.end();
}

/** The pool as Kysely sees it: errors are typed, and a connection that broke or timed out is destroyed instead of reused. */
function guardedPool(pool: pg.Pool, keepsStatements: boolean | 'FOR_FEW'): PostgresPool {
  const statements = createKeptStatements();
  if (keepsStatements === false) statements.giveUp();
  const kept: Kept = { ...statements, lengthMax: keepsStatements === 'FOR_FEW' ? FEW_LENGTH_MAX : null };
  return {
    options: pool.options,
    connect: async () => {
      const signal = currentSignal();
      if (signal === undefined) return guardedClient(await typed(pool.connect()), kept);
      const giveBack = (left: Promise<pg.PoolClient>): void => {
        left.then((late) => late.release()).catch(() => undefined);
      };
      return guardedClient(await untilAborted(signal, async () => await typed(pool.connect()), giveBack), kept);
    },
    end: async () => await pool.end(),
  };
}

/** `lengthMax`: what has longer values is not kept; null: however long they are. */
type Kept = KeptStatements & { readonly lengthMax: number | null };

function guardedClient(client: pg.PoolClient, kept: Kept): PostgresPoolClient {
  let isSpent = false;
  const execute = async (statement: string, parameters: readonly unknown[]): Promise<unknown> => {
    const acting = isBeginning(statement) ? actingNow() : null;
    const send = async (): Promise<unknown> => {
      const isKept = parameters.length > 0 && (kept.lengthMax === null || lengthOf(parameters) <= kept.lengthMax);
      const name = isKept ? kept.nameOf(client, statement) : null;
      try {
        if (acting !== null) return await client.query(beginningAs(statement, acting));
        if (name !== null) return await client.query({ name, text: statement, values: [...parameters] });
        return await client.query(statement, [...parameters]);
      } catch (error) {
        // After a beginning that failed nobody rolls back: the connection must not be lent again.
        isSpent ||= acting !== null || isConnectionSpent(error);
        if (error instanceof pg.DatabaseError && isNotKept(error)) kept.giveUp();
        if (name !== null && error instanceof pg.DatabaseError && isOutdated(error)) kept.forget(name);
        throw databaseErrorOf(error);
      }
    };
    const signal = currentSignal();
    if (signal === undefined || ENDS_TRANSACTION.test(statement)) return await send();
    return await untilAborted(signal, send, (left) => {
      isSpent = true;
      left.catch(() => undefined); // It fails, being cancelled; who asked is told already.
      requestCancel(client);
    });
  };
  function query<R>(statement: string, parameters: readonly unknown[]): Promise<PostgresQueryResult<R>>;
  function query<R>(cursor: PostgresCursor<R>): PostgresCursor<R>;
  function query(statement: unknown, parameters: readonly unknown[] = []): unknown {
    assert(typeof statement === 'string', 'No cursor package is configured.');
    return execute(statement, parameters);
  }
  return { query, release: (destroy) => client.release(isSpent || destroy === true) };
}

function lengthOf(parameters: readonly unknown[]): number {
  let length = 0;
  for (const value of parameters) {
    if (typeof value === 'string' || value instanceof Uint8Array) length += value.length;
    else if (Array.isArray(value)) length += lengthOf(value);
  }
  return length;
}

/** These go through: they tell what became of the transaction, or undo it. */
const ENDS_TRANSACTION = /^(?:commit|rollback)\b/i;

function isBeginning(statement: string): boolean {
  return statement === 'begin' || statement.startsWith('start transaction');
}

/** One message: who acts is told with the beginning, for the triggers that write audit entries (acting.ts), and gone with the transaction. */
function beginningAs(statement: string, acting: Acting): string {
  return `${statement}; SELECT set_config('sluice.acting', ${pg.escapeLiteral(JSON.stringify(acting))}, true)`;
}

async function typed<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw databaseErrorOf(error);
  }
}
