/** The transfer that paid a withdrawal which people decide, where the database has it: then it has to fit, and be nobody else's. */
import { sql } from 'kysely';
import type { Transaction } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';
import { ControlRefusal } from './control-refusal.ts';

/** A withdrawal that is for people to decide, with the ledger past whatever could pay it. */
export type Resolvable = {
  readonly id: string;
  readonly state: 'AWAITING_APPROVAL' | 'QUEUED' | 'UNRESOLVED';
  readonly networkId: number;
  readonly treasuryId: number;
  readonly instrumentKey: number;
  readonly receiver: string;
  readonly amount: string;
  /** Of the offer it was in; null: it was in none. */
  readonly transferId: string | null;
  readonly attempt: { readonly submissionId: string; readonly number: number } | null;
};

export type Payment = { readonly transferId: string; readonly updateId: string; readonly recordTime: Micros };

/**
 * @param updateId where it was paid, as somebody says; null: nobody knows.
 * @returns null where the database has no such transfer: the update lies behind a gap, or could not be read.
 * @throws ControlRefusal UPDATE_UNKNOWN where the update was read and does not pay it; OUTCOME_IMPOSSIBLE where the ledger shows a payment that carries its id and did not pay it.
 */
export async function findPayment(
  tx: Transaction,
  found: Resolvable,
  updateId: string | null,
): Promise<Payment | null> {
  // What waits is for people because of the payment that names it, and of no other.
  if (found.state !== 'UNRESOLVED') return await carried(tx, found, updateId);
  if (updateId === null) return null;
  const { rows: taken } = await sql`
    SELECT FROM withdrawal WHERE update_id = ${updateId} AND id <> ${found.id} AND treasury_id = ${found.treasuryId}`.execute(
    tx,
  );
  if (taken.length > 0) throw new ControlRefusal('UPDATE_UNKNOWN');
  const { rows } = await sql<Payment>`
    ${paying(found)} AND t.update_id = ${updateId} ORDER BY t.rank LIMIT 1`.execute(tx);
  const [payment] = rows;
  if (payment !== undefined) return payment;
  const { rows: readable } = await sql`
    SELECT FROM ledger_update u WHERE u.treasury_id = ${found.treasuryId} AND u.update_id = ${updateId}
      AND NOT EXISTS (SELECT FROM quarantine q WHERE q.treasury_id = u.treasury_id AND q.update_id = u.update_id AND q.closed_at IS NULL)
      AND NOT EXISTS (SELECT FROM transfer x WHERE x.treasury_id = u.treasury_id AND x.update_id = u.update_id AND x.kind = 'UNEXPLAINED' AND x.direction = 'OUT')
      -- The end of its own offer is no payment that could be found; it is what people are asked about.
      AND ${found.transferId === null}::boolean`.execute(tx);
  if (readable.length > 0) throw new ControlRefusal('UPDATE_UNKNOWN');
  return null;
}

/** Of a payment from before a restore: it carries the withdrawal's id. */
async function carried(tx: Transaction, found: Resolvable, updateId: string | null): Promise<Payment> {
  const { rows } = await sql<Payment>`
    ${paying(found)} AND left(t.transfer_object #>> '{meta,values,sluice.dev/withdrawal-id}', 100) = ${found.id}
    ORDER BY t.record_time LIMIT 1`.execute(tx);
  const [payment] = rows;
  if (payment === undefined) throw new ControlRefusal('OUTCOME_IMPOSSIBLE');
  if (updateId !== null && updateId !== payment.updateId) throw new ControlRefusal('UPDATE_UNKNOWN');
  return payment;
}

const paying = ({ treasuryId, instrumentKey, receiver, amount }: Resolvable) => sql`
  SELECT t.id AS "transferId", t.update_id AS "updateId", t.record_time AS "recordTime" FROM transfer t
  WHERE t.treasury_id = ${treasuryId} AND t.direction = 'OUT' AND t.status = 'COMPLETED' AND t.instrument_id = ${instrumentKey}
    AND t.counterparty = ${receiver} AND t.amount::numeric = ${amount}::numeric
    AND NOT EXISTS (SELECT FROM withdrawal other WHERE other.transfer_id = t.id)`;
