/** One of many is no reason to leave the others undone. */
import { sql } from 'kysely';
import type { Transaction } from '../db/connection.ts';
import type { PermanentError } from '../env/errors.ts';
import { isPoison } from '../ingestion/poison.ts';

/** Told of one that could not be written about. Whoever throws from it ends the pass. */
export type OnRefused = (subjectId: string, error: PermanentError) => Promise<void> | void;

/** For callers that work on one thing only. */
export const throwRefused: OnRefused = (_subjectId, error) => {
  throw error;
};

/**
 * Does `work` for one of many in a savepoint of `tx`.
 * @returns what is wrong with this one, undone; null: it is done. @throws what is wrong with the database.
 */
export async function isolated(tx: Transaction, work: () => Promise<void>): Promise<PermanentError | null> {
  await sql`SAVEPOINT one_of_many`.execute(tx);
  try {
    await work();
    await sql`RELEASE SAVEPOINT one_of_many`.execute(tx);
    return null;
  } catch (error) {
    if (!isPoison(error)) throw error;
    await sql`ROLLBACK TO SAVEPOINT one_of_many`.execute(tx);
    return error;
  }
}

/** Does `work` for all at once; where one of them is refused, for each by itself. @returns the sum of what it returned. @throws what is wrong with the database. */
export async function eachIfNotAll(
  ids: readonly string[],
  work: (some: readonly string[]) => Promise<number>,
  onRefused: OnRefused,
): Promise<number> {
  try {
    return await work(ids);
  } catch (error) {
    if (!isPoison(error)) throw error;
  }
  let sum = 0;
  for (const id of ids) {
    try {
      sum += await work([id]);
    } catch (error) {
      if (!isPoison(error)) throw error;
      await onRefused(id, error);
    }
  }
  return sum;
}
