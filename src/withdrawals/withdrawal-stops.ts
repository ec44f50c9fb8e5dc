/** Stops: withdrawals that the automation leaves alone. They are beside the state: nothing new is opened or signed, and what is signed goes on as the ledger has it. */
import { type RawBuilder, sql } from 'kysely';

export type StopKind = 'HOLD' | 'PARK';

/** Whether a withdrawal is held or parked. @param withdrawalId as SQL of the statement it stands in. */
export function isStopped(withdrawalId: RawBuilder<unknown>, kind: StopKind): RawBuilder<boolean> {
  return sql<boolean>`EXISTS (
    SELECT FROM withdrawal_stop AS stop WHERE stop.withdrawal_id = ${withdrawalId} AND stop.kind = ${sql.lit(kind)} AND stop.released_at IS NULL
  )`;
}
