/**
 * What a failed statement means for its caller, as stable codes. Every error that comes out of `createDatabase` has been through here;
 * the driver's own error is its `cause`.
 *
 * A retryable one says: run the whole transaction again, reading afresh. That is safe although a lost answer to COMMIT leaves the outcome
 * open, because every write of ours is keyed (by ledger ids, by idempotency keys, by position), so that the repetition finds what the
 * first try left.
 */
import pg from 'pg';
import { type ErrorFacts, PermanentError, RetryableError } from '../env/errors.ts';
import { isNotKept, isOutdated } from './kept-statements.ts';

type Meaning = { readonly code: string; readonly isRetryable: boolean; readonly message: string };

const UNAVAILABLE: Meaning = { code: 'DB_UNAVAILABLE', isRetryable: true, message: 'The database cannot be reached.' };
const OUTCOME_UNKNOWN: Meaning = {
  code: 'DB_OUTCOME_UNKNOWN',
  isRetryable: true,
  message: 'The database may or may not have committed: read before acting.',
};
const CONFLICT: Meaning = {
  code: 'DB_CONFLICT',
  isRetryable: true,
  message: 'A concurrent transaction got in the way.',
};
const LOCK_TIMEOUT: Meaning = {
  code: 'DB_LOCK_TIMEOUT',
  isRetryable: true,
  message: 'A lock was not granted in time.',
};
const TIMEOUT: Meaning = { code: 'DB_TIMEOUT', isRetryable: true, message: 'The database did not answer in time.' };
const READ_ONLY: Meaning = {
  code: 'DB_READ_ONLY',
  isRetryable: true,
  message: 'The database is read-only: a standby?',
};
const EXHAUSTED: Meaning = {
  code: 'DB_EXHAUSTED',
  isRetryable: true,
  message: 'The database is out of disk, memory or connections.',
};
const REFUSED: Meaning = { code: 'DB_REFUSED', isRetryable: false, message: 'The database refused the login.' };
const CONSTRAINT: Meaning = {
  code: 'DB_CONSTRAINT',
  isRetryable: false,
  message: 'A constraint of the database was violated.',
};
const DENIED: Meaning = {
  code: 'DB_DENIED',
  isRetryable: false,
  message: 'The role of the database may not do that.',
};
const CORRUPT: Meaning = { code: 'DB_CORRUPT', isRetryable: false, message: 'The database reports damaged data.' };
const STATEMENT: Meaning = { code: 'DB_STATEMENT', isRetryable: false, message: 'The database rejected a statement.' };

/** @see PostgreSQL documentation, Appendix A, "PostgreSQL Error Codes". Whole codes first, then classes (their first two characters). */
const MEANINGS: ReadonlyMap<string, Meaning> = new Map([
  ['08007', OUTCOME_UNKNOWN], // transaction_resolution_unknown
  ['40003', OUTCOME_UNKNOWN], // statement_completion_unknown
  ['25006', READ_ONLY], // read_only_sql_transaction
  ['25P03', TIMEOUT], // idle_in_transaction_session_timeout
  ['25P04', TIMEOUT], // transaction_timeout
  ['42501', DENIED], // insufficient_privilege
  ['55P03', LOCK_TIMEOUT], // lock_not_available
  ['57014', TIMEOUT], // query_canceled, by statement_timeout
  ['57P04', REFUSED], // database_dropped
  ['3D000', REFUSED], // invalid_catalog_name: no such database
  ['XX001', CORRUPT], // data_corrupted
  ['XX002', CORRUPT], // index_corrupted
  ['08', UNAVAILABLE], // connection exceptions
  ['23', CONSTRAINT], // integrity constraint violations
  ['28', REFUSED], // invalid authorization
  ['40', CONFLICT], // serialization failure, deadlock
  ['53', EXHAUSTED], // insufficient resources
  ['57', UNAVAILABLE], // operator intervention: shutdown, crash, starting up
  ['58', UNAVAILABLE], // system errors: input and output
]);

/** After these a connection is not fit for reuse, or leads to the wrong server. */
const CONNECTION_ENDING: ReadonlySet<Meaning> = new Set([UNAVAILABLE, OUTCOME_UNKNOWN, READ_ONLY, REFUSED, CORRUPT]);

/**
 * @returns our error for anything the driver threw; errors of ours come back as they are.
 * `facts` carry `sqlState`, and `constraint`, `table` where the database names them; never values or the statement.
 */
export function databaseErrorOf(error: unknown): RetryableError | PermanentError {
  if (error instanceof RetryableError || error instanceof PermanentError) return error;
  if (!(error instanceof pg.DatabaseError)) return errorWithoutAnswer(error);

  const meaning = isForgotten(error) ? CONFLICT : meaningOf(error.code);
  const facts: ErrorFacts = {
    sqlState: error.code ?? null,
    ...(error.constraint === undefined ? {} : { constraint: error.constraint }),
    ...(error.table === undefined ? {} : { table: error.table }),
  };
  const message = `${meaning.message} ${error.message} (SQLSTATE ${error.code ?? 'unknown'})`;
  return build(meaning, message, facts, error);
}

/** True when the connection that `error` came over must be destroyed instead of going back to the pool. */
export function isConnectionSpent(error: unknown): boolean {
  // No answer from the server: cut off, or too late. A late answer would be taken for that of the next statement.
  if (!(error instanceof pg.DatabaseError) || isForgotten(error)) return true;
  return CONNECTION_ENDING.has(meaningOf(error.code)) || error.code === '25P03' || error.code === '25P04';
}

/** A statement that this connection kept is not what it was: with another connection all is well. */
function isForgotten(error: pg.DatabaseError): boolean {
  return isOutdated(error) || isNotKept(error);
}

function meaningOf(sqlState: string | undefined): Meaning {
  if (sqlState === undefined) return STATEMENT;
  return MEANINGS.get(sqlState) ?? MEANINGS.get(sqlState.slice(0, 2)) ?? STATEMENT;
}

/** The driver's own timeouts and the socket's errors come as plain errors; anything else without SQLSTATE is a mistake in a call. */
function errorWithoutAnswer(error: unknown): RetryableError | PermanentError {
  const message = error instanceof Error ? error.message : String(error);
  if (message === 'Query read timeout' || message.startsWith('timeout exceeded')) {
    return build(TIMEOUT, `${TIMEOUT.message} ${message}`, {}, error);
  }
  const isSocket = error instanceof Error && 'syscall' in error;
  // AggregateError: every address of the host failed.
  if (isSocket || error instanceof AggregateError || /connection|terminat|not queryable|SSL/i.test(message)) {
    return build(UNAVAILABLE, `${UNAVAILABLE.message} ${message}`, {}, error);
  }
  return build(STATEMENT, `${STATEMENT.message} ${message}`, {}, error);
}

function build(meaning: Meaning, message: string, facts: ErrorFacts, cause: unknown): RetryableError | PermanentError {
  return meaning.isRetryable
    ? new RetryableError(meaning.code, message, facts, { cause })
    : new PermanentError(meaning.code, message, facts, { cause });
}
