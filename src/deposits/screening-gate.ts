/** Whether an offer may be accepted, as far as screening goes. Part of the statement that picks offers to accept, so that it is judged on the same snapshot. */
import { type RawBuilder, sql } from 'kysely';

/**
 * @param transferId an expression of the statement.
 * @param isScreening whether a screening service is configured: then an offer without its leave is not accepted; else one that was ever asked about still needs it.
 */
export function isCleared(transferId: RawBuilder<unknown>, isScreening: boolean): RawBuilder<boolean> {
  const hasLeave = sql`EXISTS (SELECT FROM screening s WHERE s.transfer_id = ${transferId} AND s.state = 'ALLOWED')`;
  return isScreening
    ? sql<boolean>`${hasLeave}`
    : sql<boolean>`(${hasLeave} OR NOT EXISTS (SELECT FROM screening s WHERE s.transfer_id = ${transferId}))`;
}
