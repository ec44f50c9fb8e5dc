/** The pools that treasuries keep, as people set them, and how they stand. */
import { sql } from 'kysely';
import { actByCommand } from '../../db/acting.ts';
import type { Database, Transaction } from '../../db/connection.ts';
import type { Micros } from '../../env/clock.ts';
import { type Amount, formatAmount } from '../../tokens/amount.ts';
import { IS_FREE, IS_LOCKED } from '../free-holdings.ts';

export type PoolSetting = {
  readonly treasuryId: number;
  readonly instrumentKey: number;
  /** 0–500; 0 keeps none. */
  readonly count: number;
  readonly amount: Amount;
  /** Of one transaction, 2–100. */
  readonly inputsMax: number;
  readonly by: string;
  readonly nowMicros: Micros;
};

/** Holds from the next pass of the automation on. @throws as the database does for numbers out of range. */
export async function setPoolTarget(db: Database, setting: PoolSetting): Promise<void> {
  const values = {
    holdings_count: setting.count,
    holding_amount: formatAmount(setting.amount),
    inputs_max: setting.inputsMax,
    changed_at: setting.nowMicros,
    changed_by: setting.by,
  };
  const set = async (tx: Transaction) =>
    await tx
      .insertInto('pool_target')
      .values({ treasury_id: setting.treasuryId, instrument_id: setting.instrumentKey, ...values })
      .onConflict((conflict) => conflict.columns(['treasury_id', 'instrument_id']).doUpdateSet(values))
      .execute();
  await actByCommand(setting.by, async () => await db.transaction().execute(set));
}

/** Amounts are decimal strings; a holding is free, reserved or locked. */
export type TreasuryFunds = {
  /** Names of ours, and the ledger's. */
  readonly treasury: string;
  readonly party: string;
  readonly instrument: string;
  readonly admin: string;
  readonly instrumentId: string;
  readonly isAccepted: boolean;
  readonly free: string;
  readonly freeCount: number;
  readonly reserved: string;
  readonly locked: string;
  /** Null: no pool is set. */
  readonly poolCount: number | null;
  readonly poolAmount: string | null;
  /** Holdings of the pool's size, free or reserved. */
  readonly largeCount: number;
  readonly selfTransfersUnderWay: number;
};

/** @returns one per treasury and instrument that holds something or has a pool, by name. */
export async function readTreasuryFunds(db: Database, network: string): Promise<readonly TreasuryFunds[]> {
  const { rows } = await sql<TreasuryFunds>`
    SELECT t.name AS treasury, t.party, i.name AS instrument, i.admin, i.instrument_id AS "instrumentId", i.is_accepted AS "isAccepted", funds.free::text AS free, funds."freeCount", funds.reserved::text AS reserved, funds.locked::text AS locked,
      p.holdings_count::int AS "poolCount", p.holding_amount::text AS "poolAmount", funds."largeCount",
      (SELECT count(*)::int FROM self_transfer x WHERE x.treasury_id = t.id AND x.instrument_id = i.id AND x.state = 'IN_FLIGHT') AS "selfTransfersUnderWay"
    FROM treasury_party t
    JOIN network n ON n.id = t.network_id AND n.name = ${network}
    JOIN instrument i ON i.network_id = n.id
    LEFT JOIN pool_target p ON p.treasury_id = t.id AND p.instrument_id = i.id
    CROSS JOIN LATERAL (
      SELECT coalesce(sum(amount) FILTER (WHERE is_free), 0) AS free, (count(*) FILTER (WHERE is_free))::int AS "freeCount",
        coalesce(sum(amount) FILTER (WHERE NOT is_free AND NOT is_locked), 0) AS reserved, coalesce(sum(amount) FILTER (WHERE is_locked), 0) AS locked,
        (count(*) FILTER (WHERE NOT is_locked AND amount >= p.holding_amount::numeric))::int AS "largeCount", count(*) AS held
      FROM (
        SELECT holding.amount::numeric AS amount, ${IS_FREE} AS is_free, ${IS_LOCKED} AS is_locked
        FROM holding WHERE holding.treasury_id = t.id AND holding.instrument_id = i.id AND holding.archived_update_id IS NULL
      ) AS live
    ) AS funds
    WHERE funds.held > 0 OR p.treasury_id IS NOT NULL
    ORDER BY t.name, i.name`.execute(db);
  return rows;
}
