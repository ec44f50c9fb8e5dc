/**
 * Refunds that count no longer. After a restore the case of a deposit takes the refund that the ledger shows as paid; one before it may still be open in the database, as it was in the backup. In the life before it had ended
 * unpaid, or there would have been no other: it is paid no more, and cancelled once nothing that was lost can commit.
 */
import { type RawBuilder, sql } from 'kysely';
import type { Transaction } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';
import { cancelIn } from './cancellation.ts';

/** Whether a withdrawal `w` is to send back what its deposit has another refund for. */
export const IS_SUPERSEDED: RawBuilder<boolean> = sql<boolean>`EXISTS (
  SELECT FROM account payer JOIN desk_case c ON c.transfer_id = payer.owner
  WHERE payer.id = w.account_id AND payer.kind = 'REFUNDS' AND c.withdrawal_id IS DISTINCT FROM w.id
)`;

/** To be called where nothing of the treasury is restored any more: until then nothing ends unpaid. Those that nobody can read are left to people. */
export async function cancelSuperseded(tx: Transaction, treasuryId: number, by: string, nowMicros: Micros) {
  // Whatever was open in the backup is among those.
  const { rows } = await sql<{ id: string }>`
    SELECT w.id FROM withdrawal w
    WHERE w.id IN (SELECT withdrawal_id FROM restored_withdrawal) AND w.treasury_id = ${treasuryId}::int
      AND w.state IN ('REQUESTED', 'AWAITING_APPROVAL', 'QUEUED', 'IN_FLIGHT') AND NOT w.is_cancel_requested AND ${IS_SUPERSEDED}
    ORDER BY w.id`.execute(tx);
  for (const { id } of rows) await cancelIn(tx, id, { by, nowMicros });
}
