/** Networks by name: whoever is first to speak of one makes its row. */
import type { Database, Transaction } from './connection.ts';

/** Harmless when repeated, and beside others who do the same. */
export async function knowNetwork(db: Database | Transaction, name: string): Promise<void> {
  await db
    .insertInto('network')
    .values({ name })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}
