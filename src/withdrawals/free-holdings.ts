/** Holdings that an attempt may take, as parts of statements: unspent, not locked any more, and reserved by nobody. */
import { type RawBuilder, sql } from 'kysely';
import type { Transaction } from '../db/connection.ts';
import { recordTimePassed } from '../ingestion/home-synchronizer.ts';
import { parseAmount } from '../tokens/amount.ts';
import { INPUTS_MAX, type SpendableHolding } from './input-selection.ts';

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
    OR (${recordTimePassed(sql`holding.treasury_id`)} > holding.lock_expires_at) IS NOT TRUE
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

/** Beyond so many of each the smallest alone, or the largest alone, are no longer all there is. */
const SMALLEST_MAX = 2_000;
const LARGEST_MAX = 2_000;

/**
 * What selections choose from: the smallest free holdings and the largest, of one instrument. The smallest alone would let dust hide the rest.
 * @returns smallest first.
 */
export async function readFreeHoldings(
  tx: Transaction,
  treasuryId: number,
  instrumentKey: number,
): Promise<SpendableHolding[]> {
  const free = sql`
    SELECT contract_id, amount::numeric AS amount FROM holding
    WHERE holding.treasury_id = ${treasuryId} AND holding.instrument_id = ${instrumentKey} AND ${IS_FREE}`;
  const { rows } = await sql<{ contractId: string; amount: string }>`
    WITH free AS MATERIALIZED (${free})
    SELECT contract_id AS "contractId", amount::text AS amount FROM (
      (SELECT * FROM free ORDER BY amount, contract_id LIMIT ${SMALLEST_MAX})
      UNION (SELECT * FROM free ORDER BY amount DESC, contract_id LIMIT ${LARGEST_MAX})
    ) AS candidate
    ORDER BY candidate.amount, candidate.contract_id`.execute(tx);
  return rows.map(holdingOf);
}

/** Whether {@link readFreeHoldings} may have left some out. */
export function areMoreThanRead(free: readonly SpendableHolding[]): boolean {
  return free.length >= SMALLEST_MAX;
}

/** Which of these are free. */
export async function readFreeAmong(
  tx: Transaction,
  treasuryId: number,
  contractIds: readonly string[],
): Promise<SpendableHolding[]> {
  if (contractIds.length === 0) return [];
  const { rows } = await sql<{ contractId: string; amount: string }>`
    SELECT contract_id AS "contractId", amount::text AS amount FROM holding
    WHERE holding.treasury_id = ${treasuryId} AND contract_id = ANY (${[...contractIds]}::text[]) AND ${IS_FREE}`.execute(
    tx,
  );
  return rows.map(holdingOf);
}

function holdingOf({ contractId, amount }: { contractId: string; amount: string }): SpendableHolding {
  return { contractId, amount: parseAmount(amount) };
}
