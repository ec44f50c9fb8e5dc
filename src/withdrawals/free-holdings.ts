/** Holdings that an attempt may take, as parts of statements: unspent, not locked any more, and reserved by nobody. */
import { type RawBuilder, sql } from 'kysely';
import { INPUTS_MAX } from './input-selection.ts';

/**
 * Over the table `holding`: it is locked, and not as an input of ours. A lock that the ledger's clock has passed is none: whoever spends the holding releases it in the same transaction. Except what an offer
 * of ours locked that is still there: its end gives that back, and taking it before would end the offer in a way that nobody could read. An offer is told by what its lock says, the amount or the
 * deadline; registries agree on no more than that. A lock without a fixed end is never over.
 *
 * @see Canton token standard (CIP-56): registries should take holdings with an expired lock as inputs; `LockedAmulet_OwnerExpireLockV2` of Canton Coin.
 */
export const IS_LOCKED: RawBuilder<boolean> = sql<boolean>`(
  holding.lock_holders IS NOT NULL AND (
    holding.lock_expires_at IS NULL
    OR NOT EXISTS (
      SELECT FROM synchronizer_time WHERE synchronizer_time.treasury_id = holding.treasury_id AND synchronizer_time.record_time > holding.lock_expires_at
    )
    OR EXISTS (
      SELECT FROM transfer_instruction AS offer
      WHERE offer.treasury_id = holding.treasury_id AND offer.instrument_id = holding.instrument_id AND offer.direction = 'OUT'
        AND offer.ended_update_id IS NULL
        AND (offer.amount::numeric = holding.amount::numeric OR offer.execute_before = holding.lock_expires_at)
    )
  )
)`;

/** Over the table `holding`. */
export const IS_FREE: RawBuilder<boolean> = sql<boolean>`(
  holding.archived_update_id IS NULL AND NOT ${IS_LOCKED}
  AND NOT EXISTS (
    SELECT FROM reservation
    WHERE reservation.treasury_id = holding.treasury_id AND reservation.contract_id = holding.contract_id AND reservation.is_open
  )
)`;

/** How many inputs one transaction takes. @param treasuryId and @param instrumentKey as SQL of the statement it stands in. */
export function inputsMaxOf(treasuryId: RawBuilder<unknown>, instrumentKey: RawBuilder<unknown>): RawBuilder<number> {
  return sql<number>`coalesce((
    SELECT pool_target.inputs_max FROM pool_target WHERE pool_target.treasury_id = ${treasuryId} AND pool_target.instrument_id = ${instrumentKey}
  ), ${sql.lit(INPUTS_MAX)})`;
}

/**
 * The largest amount that one transaction could pay at this moment: the sum of the largest free holdings, as many as it takes as inputs. Without
 * that bound a treasury full of dust would seem rich.
 * @param treasuryId and @param instrumentKey as SQL of the statement it stands in.
 */
export function reachOf(treasuryId: RawBuilder<unknown>, instrumentKey: RawBuilder<unknown>): RawBuilder<string> {
  return sql<string>`(
    SELECT coalesce(sum(largest.amount::numeric), 0) FROM (
      SELECT holding.amount FROM holding
      WHERE holding.treasury_id = ${treasuryId} AND holding.instrument_id = ${instrumentKey} AND ${IS_FREE}
      ORDER BY holding.amount DESC LIMIT ${inputsMaxOf(treasuryId, instrumentKey)}
    ) AS largest
  )`;
}
