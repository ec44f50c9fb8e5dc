/** A person wants an offer of ours taken back now, whatever its return waits for, and as often as any other again. */
import type { Transaction } from '../../db/connection.ts';
import type { Micros } from '../../env/clock.ts';

/**
 * With the withdrawal's row locked.
 * @returns false where nothing waits: no return was ever due, one is under way, or the offer has ended.
 */
export async function retryReturn(tx: Transaction, withdrawalId: string, nowMicros: Micros): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('offer_return')
    .set({ state: 'QUEUED', tries: 0, waits: 0, next_try_at: nowMicros, changed_at: nowMicros })
    .where('withdrawal_id', '=', withdrawalId)
    .where('state', 'in', ['QUEUED', 'PARKED'])
    .executeTakeFirst();
  return numUpdatedRows === 1n;
}
