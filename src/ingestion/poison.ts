import { PermanentError } from '../env/errors.ts';

/**
 * Whether `error` is the update's fault and will be so at every try: it cannot be read, breaks an invariant or does not fit the tables. A database that
 * is down, or a statement that is wrong, is not.
 */
export function isPoison(error: unknown): error is PermanentError {
  if (!(error instanceof PermanentError)) return false;
  const sqlState = error.facts['sqlState'];
  // 22 data exceptions, 23 constraints, 54 limits of the server, such as the length of an index entry.
  return sqlState === undefined || ['22', '23', '54'].includes(String(sqlState).slice(0, 2));
}
