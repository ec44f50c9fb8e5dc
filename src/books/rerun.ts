/** Transactions that move balances of customers may get in each other's way, or in that of a switch of the books: they are run again, reading afresh. */
import { PermanentError, RetryableError } from '../env/errors.ts';

const RUNS_MAX = 4; // Two that met once rarely meet again; more says that something else is wrong.

/**
 * @param run a whole transaction, safe to repeat.
 * @throws what the last run threw; what is no conflict at once.
 */
export async function rerunOnConflict<T>(run: () => Promise<T>): Promise<T> {
  for (let runs = 1; ; runs += 1) {
    try {
      return await run();
    } catch (error) {
      if (runs === RUNS_MAX || !(isConflict(error) || isUnforeseen(error))) throw error;
    }
  }
}

function isConflict(error: unknown): boolean {
  return error instanceof RetryableError && error.code === 'DB_CONFLICT';
}

/** The database refused what nobody had looked at: the books became internal after the look. */
function isUnforeseen(error: unknown): boolean {
  return (
    error instanceof PermanentError &&
    error.code === 'DB_CONSTRAINT' &&
    error.facts['constraint'] === 'customer_balance_covers'
  );
}
