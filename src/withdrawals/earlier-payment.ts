/**
 * Payments that the ledger shows and the database may have lost: after a restore from a backup withdrawals that were made since are gone, and their transfers are read again. Each carries its
 * withdrawal's id, which a retry of the same request makes again, so that what was paid is recognised before it is paid a second time.
 */
import { type RawBuilder, sql } from 'kysely';

/**
 * Whether a transfer of ours that carries one of these ids has paid, or still may; an offer that came back has not. Only for withdrawals whose own transfer is not known: one that is, is told of by
 * its state. What anybody made up as an instrument of his own, with us as the sender, says nothing: only one that we pay, or once did.
 *
 * @param withdrawalIds an expression of type text[].
 */
export function isPaidBefore(withdrawalIds: RawBuilder<unknown>): RawBuilder<boolean> {
  // As `transfer_of_withdrawal` has it, literally, or that index is of no use.
  return sql<boolean>`EXISTS (
    SELECT FROM transfer t
    WHERE t.direction = 'OUT' AND left(t.transfer_object #>> '{meta,values,sluice.dev/withdrawal-id}', 100) = ANY (${withdrawalIds})
      AND t.status NOT IN ('REJECTED', 'WITHDRAWN', 'EXPIRED')
      AND EXISTS (
        SELECT FROM instrument paid
        WHERE paid.id = t.instrument_id AND (paid.is_accepted OR EXISTS (SELECT FROM withdrawal other WHERE other.instrument_id = paid.id))
      )
  )`;
}
