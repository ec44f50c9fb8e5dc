/** Holdings that an attempt may take, as parts of statements: unspent, unlocked, and reserved by nobody. */
import { type RawBuilder, sql } from 'kysely';
import { INPUTS_MAX } from './input-selection.ts';

/** Over the table `holding`. */
export const IS_FREE: RawBuilder<boolean> = sql<boolean>`(
  holding.archived_update_id IS NULL AND holding.lock_holders IS NULL
  AND NOT EXISTS (
    SELECT FROM reservation
    WHERE reservation.treasury_id = holding.treasury_id AND reservation.contract_id = holding.contract_id AND reservation.is_open
  )
)`;

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
      ORDER BY holding.amount DESC LIMIT ${sql.lit(INPUTS_MAX)}
    ) AS largest
  )`;
}
