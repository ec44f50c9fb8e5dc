/** Finds offers for accounts that we know, and notes that they are to be accepted. What is for nobody is left alone: the desk has it. */
import { sql } from 'kysely';
import type { Database, Transaction } from '../../db/connection.ts';
import type { Micros } from '../../env/clock.ts';
import { homeSynchronizerOf } from '../../ingestion/home-synchronizer.ts';
import { offerActionId } from './offer-action-id.ts';
import { IS_FOR_US, IS_LARGE_ENOUGH, OFFER_FACTS } from './offer-gate.ts';

const FOUND_MAX = 500; // Some 50 ms; the next pass goes on.

/**
 * Looks at every open offer that has not been decided about, so that one whose memo was registered after it came is found as well. One that is too small is parked at once: its row
 * keeps it from being looked at again.
 * @returns how many were found.
 */
export async function findOffers(db: Database, treasuryId: number, nowMicros: Micros): Promise<number> {
  return await db.transaction().execute(async (tx) => await findIn(tx, treasuryId, nowMicros));
}

/** The offers are locked, so that none ends between the look at it and its row: nobody would end that row again. One that ends or is decided about right now is left for the next look. */
async function findIn(tx: Transaction, treasuryId: number, nowMicros: Micros): Promise<number> {
  const { rows } = await sql<Found>`
    SELECT i.transfer_id AS "transferId", i.instrument_id AS "instrumentKey", i.sender, d.id AS "depositAccountId", ${IS_LARGE_ENOUGH} AS "isLargeEnough",
           coalesce(c.decided_by, 'memo') AS "requestedBy"
    FROM transfer_instruction i ${OFFER_FACTS}
    WHERE i.treasury_id = ${treasuryId} AND i.ended_update_id IS NULL AND i.direction = 'IN' AND ${IS_FOR_US}
      AND i.execute_before > coalesce((
        SELECT t.record_time FROM synchronizer_time t
        WHERE t.treasury_id = ${treasuryId} AND t.synchronizer_id = ${homeSynchronizerOf(sql`${treasuryId}::int`)}), 0)
      AND NOT EXISTS (SELECT FROM offer_action a WHERE a.transfer_id = i.transfer_id)
    LIMIT ${FOUND_MAX} FOR SHARE OF i SKIP LOCKED`.execute(tx);
  if (rows.length === 0) return 0;
  const inserted = await tx
    .insertInto('offer_action')
    .values(
      rows.map(({ transferId, instrumentKey, sender, depositAccountId, isLargeEnough, requestedBy }) => ({
        id: offerActionId(transferId, 'ACCEPT'),
        treasury_id: treasuryId,
        instrument_id: instrumentKey,
        transfer_id: transferId,
        choice: 'ACCEPT' as const,
        sender,
        deposit_account_id: depositAccountId,
        state: isLargeEnough ? ('QUEUED' as const) : ('PARKED' as const),
        reason: isLargeEnough ? null : BELOW_MINIMUM,
        next_try_at: nowMicros,
        requested_by: requestedBy,
        created_at: nowMicros,
        changed_at: nowMicros,
      })),
    )
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst();
  return Number(inserted.numInsertedOrUpdatedRows ?? 0n);
}

/** Why an offer is parked that is too small for its instrument. */
export const BELOW_MINIMUM = 'BELOW_MINIMUM';

type Found = {
  readonly transferId: string;
  readonly instrumentKey: number;
  readonly sender: string;
  readonly depositAccountId: string | null;
  readonly isLargeEnough: boolean;
  readonly requestedBy: string;
};
