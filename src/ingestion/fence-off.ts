/** Takes a stream out of the hands of whoever follows it, for something that changes what the worker may have in its head. */
import type { Transaction } from '../db/connection.ts';
import type { Treasury } from './effect-sink.ts';

/**
 * Locks the position for the rest of `tx` and raises its fencing token. A worker that is in the middle of a batch is waited for, or waits; afterwards its token is outdated, it stops, and whoever
 * takes the lease next begins from the database. The position itself stays.
 */
export async function fenceOff(tx: Transaction, treasury: Treasury): Promise<void> {
  const stream = await tx
    .selectFrom('ingestion_stream')
    .select('fencing_token')
    .where('treasury_id', '=', treasury.id)
    .forUpdate()
    .executeTakeFirstOrThrow();
  const lease = await tx
    .updateTable('lease')
    .set((row) => ({ token: row('token', '+', 1n), expires_at: 0n }))
    .where('name', '=', `ingestion:${treasury.id}`)
    .returning('token')
    .executeTakeFirst();
  // Without a lease nobody has ever followed it.
  if (lease === undefined || lease.token <= stream.fencing_token) return;
  await tx
    .updateTable('ingestion_stream')
    .set({ fencing_token: lease.token })
    .where('treasury_id', '=', treasury.id)
    .execute();
}
