/** What screening leaves to be done before a deposit is somebody's: for whoever credits one, and for whoever accepts an offer. */
import { type RawBuilder, sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import type { ScreeningRow } from './screening-rows.ts';

/** Whether deposits were ever shown to a screening service here: then a configuration that names none is more likely incomplete than meant. */
export async function wereScreened(db: Database): Promise<boolean> {
  return (await sql`SELECT FROM screening LIMIT 1`.execute(db)).rows.length > 0;
}

/**
 * Whether a deposit may be credited to an account. A verdict is about one deposit of one customer: what was allowed for somebody else has to be asked anew.
 *
 *   GIVEN   it may.
 *   WANTED  the service has to allow it first; until then it is held.
 *   DENIED  the service said no: two people may overrule it, nobody else.
 *
 * @param screening null: nobody was asked. @param isScreening whether a screening service is configured; what was ever asked about needs its answer without one, too.
 */
export function leaveFor(
  screening: ScreeningRow | null,
  accountId: bigint,
  isScreening: boolean,
): 'GIVEN' | 'WANTED' | 'DENIED' {
  if (screening === null || screening.state === 'ENDED') return isScreening ? 'WANTED' : 'GIVEN';
  if (screening.state === 'DENIED') return 'DENIED';
  return screening.state === 'ALLOWED' && screening.accountId === accountId ? 'GIVEN' : 'WANTED';
}

/**
 * Whether an offer may be accepted. Part of the statement that picks offers to accept, so that it is judged on the same snapshot.
 * @param transferId an expression of the statement.
 * @param isScreening whether a screening service is configured: then an offer without its leave is not accepted; else one that was ever asked about still needs it.
 */
export function isCleared(transferId: RawBuilder<unknown>, isScreening: boolean): RawBuilder<boolean> {
  const hasLeave = sql`EXISTS (SELECT FROM screening s WHERE s.transfer_id = ${transferId} AND s.state = 'ALLOWED')`;
  return isScreening
    ? sql<boolean>`${hasLeave}`
    : sql<boolean>`(${hasLeave} OR NOT EXISTS (SELECT FROM screening s WHERE s.transfer_id = ${transferId}))`;
}
