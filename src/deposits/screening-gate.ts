/** What screening leaves to be done before a deposit is somebody's: for whoever credits one, and for whoever accepts an offer. */
import { type RawBuilder, sql } from 'kysely';
import type { Micros } from '../env/clock.ts';
import { depositsWait } from './screening-mode.ts';
import type { ScreeningRow } from './screening-rows.ts';

/**
 * Whether a deposit may be credited to an account. A verdict is about one deposit of one customer: what was allowed for somebody else has to be asked anew.
 *
 *   GIVEN   it may.
 *   WANTED  the service has to allow it first; until then it is held.
 *   DENIED  the service said no: two people may overrule it, nobody else.
 *
 * @param screening null: nobody was asked. @param isScreening whether deposits wait (screening-mode.ts); what was ever asked about needs its answer where they do not, too.
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
 * Whether an offer may be accepted: where deposits wait, not without leave; elsewhere one that was ever asked about still needs it. Part of the statement that picks offers to accept, so that it is judged on the same snapshot.
 * @param offer.transferId, offer.networkId expressions of the statement. @param screenedSince as {@link depositsWait} has it.
 */
export function isCleared(
  { transferId, networkId }: { readonly transferId: RawBuilder<unknown>; readonly networkId: RawBuilder<unknown> },
  screenedSince: Micros | null,
): RawBuilder<boolean> {
  return sql<boolean>`(
    EXISTS (SELECT FROM screening s WHERE s.transfer_id = ${transferId} AND s.state = 'ALLOWED')
    OR (NOT EXISTS (SELECT FROM screening s WHERE s.transfer_id = ${transferId}) AND NOT ${depositsWait(networkId, screenedSince)})
  )`;
}
