/**
 * What funding goes by, read once per pass under the lock of the treasury: of every instrument that somebody waits for, or that is to have a pool, what is free, what the treasury has in all, and who must not be
 * overtaken any more.
 */
import { type RawBuilder, sql } from 'kysely';
import type { Transaction } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';
import { isFrozen } from '../ingestion/freezes.ts';
import { isHalted } from '../submissions/halts.ts';
import type { PositionClock } from '../submissions/position-clock.ts';
import { type Amount, formatAmount, parseAmount, sumAmounts } from '../tokens/amount.ts';
import { IS_LOCKED, inputsMaxOf, readFreeHoldings } from './free-holdings.ts';
import type { SpendableHolding } from './input-selection.ts';
import { IS_PAYABLE } from './payable.ts';
import type { PoolTarget } from './pool/self-transfer-planning.ts';

/** The oldest withdrawal that the treasury has enough for, and cannot pay at the moment: reserved elsewhere, or in too many pieces. */
export type Head = {
  readonly id: string;
  readonly createdAt: Micros;
  readonly amount: Amount;
  /** Inputs that it has to keep of earlier attempts: as many fewer may make its amount. */
  readonly keptCount: number;
};

export type FundingState = {
  readonly instrumentKey: number;
  readonly admin: string;
  readonly instrumentName: string;
  readonly inputsMax: number;
  readonly target: PoolTarget | null;
  /** A freeze or a halt covers it. */
  readonly isStopped: boolean;
  /** Smallest first; whatever is given away in this pass leaves it. */
  free: readonly SpendableHolding[];
  /** Contract ids of what this pass gave to withdrawals. */
  readonly given: Set<string>;
  /** What the treasury will have when all that is under way is done: free and reserved, less what is on its way out. */
  available: bigint;
  head: Head | null;
  /** Of the pool's size: free, or reserved and not spent yet. */
  readonly largeCount: number;
  readonly splitsUnderWay: number;
  readonly mergesUnderWay: number;
  /** How often in a row self-transfers came to nothing, those that were opened together once, and when the last of them did. */
  readonly failures: number;
  readonly failedAt: Micros | null;
};

const AMOUNT_MAX = '9'.repeat(28);

/** @returns by the key of the instrument. */
export async function readFundingStates(
  tx: Transaction,
  treasuryId: number,
  clock: PositionClock,
): Promise<ReadonlyMap<number, FundingState>> {
  const treasury = sql`${treasuryId}::int`;
  const own = (table: string): RawBuilder<boolean> =>
    sql<boolean>`${sql.ref(`${table}.treasury_id`)} = ${treasury} AND ${sql.ref(`${table}.instrument_id`)} = i.id`;
  const live = sql`FROM holding WHERE ${own('holding')} AND holding.archived_update_id IS NULL AND NOT ${IS_LOCKED}`;
  // What a dead attempt still holds, because its end cannot be decided, is nothing to count on; nor is what it was to pay taken from what others have.
  const stuck = sql`EXISTS (
    SELECT FROM reservation r JOIN attempt a ON a.submission_id = r.submission_id AND a.number = r.number
    WHERE r.treasury_id = holding.treasury_id AND r.contract_id = holding.contract_id AND r.is_open AND a.target_record_time < ${clock.recordTime}
  )`;
  const { rows } = await sql<{
    instrumentKey: number;
    admin: string;
    instrumentName: string;
    inputsMax: number;
    poolCount: number | null;
    poolAmount: string | null;
    isStopped: boolean;
    available: string;
    largeCount: number;
    splitsUnderWay: number;
    mergesUnderWay: number;
    failures: number;
    failedAt: bigint | null;
  }>`
    SELECT i.id AS "instrumentKey", i.admin, i.instrument_id AS "instrumentName", ${inputsMaxOf(treasury, sql`i.id`)}::int AS "inputsMax",
      p.holdings_count::int AS "poolCount", p.holding_amount::text AS "poolAmount",
      ${isFrozen(treasury, sql`i.id`)} OR ${isHalted(treasury, sql`i.id`)} AS "isStopped",
      -- No more than one amount can be is of any use.
      least(${AMOUNT_MAX}::numeric, greatest(0, (SELECT coalesce(sum(holding.amount::numeric), 0) ${live} AND NOT ${stuck}) - (
        SELECT coalesce(sum(w.amount::numeric), 0) FROM attempt a JOIN submission s ON s.id = a.submission_id JOIN withdrawal w ON w.id = s.withdrawal_id
        WHERE a.state = 'OPEN' AND a.target_record_time >= ${clock.recordTime} AND ${own('s')}
      )))::text AS available,
      CASE WHEN p.holding_amount IS NULL THEN 0 ELSE (SELECT count(*) ${live} AND holding.amount >= p.holding_amount) END::int AS "largeCount",
      under_way.splits AS "splitsUnderWay", under_way.merges AS "mergesUnderWay", failed.count AS failures, failed.at AS "failedAt"
    FROM instrument i
    LEFT JOIN pool_target p ON ${own('p')}
    CROSS JOIN LATERAL (
      SELECT (count(*) FILTER (WHERE x.kind = 'SPLIT'))::int AS splits, (count(*) FILTER (WHERE x.kind = 'MERGE'))::int AS merges
      FROM self_transfer x WHERE ${own('x')} AND x.state = 'IN_FLIGHT'
    ) AS under_way
    CROSS JOIN LATERAL (
      SELECT count(DISTINCT x.created_at)::int AS count, max(x.changed_at) AS at FROM self_transfer x
      WHERE ${own('x')} AND x.state = 'ENDED'
        AND x.created_at > coalesce((SELECT max(y.created_at) FROM self_transfer y WHERE ${own('y')} AND y.state = 'DONE'), 0)
    ) AS failed
    WHERE i.id IN (
      SELECT instrument_id FROM withdrawal WHERE treasury_id = ${treasury} AND state = 'QUEUED'
      UNION SELECT instrument_id FROM pool_target WHERE treasury_id = ${treasury}
    )`.execute(tx);
  const states = new Map<number, FundingState>();
  for (const { poolCount, poolAmount, available, ...row } of rows) {
    states.set(row.instrumentKey, {
      ...row,
      target: poolCount === null || poolAmount === null ? null : { count: poolCount, amount: parseAmount(poolAmount) },
      available: parseAmount(available),
      free: await readFreeHoldings(tx, treasuryId, row.instrumentKey),
      given: new Set(),
      head: null,
    });
  }
  return states;
}

/** The most that one transaction could pay of what is free. */
export function reachOfFree({ free, inputsMax }: Pick<FundingState, 'free' | 'inputsMax'>): bigint {
  return sumAmounts(free.slice(-inputsMax).map(({ amount }) => amount));
}

/** Finds the head of each instrument and notes it. */
export async function readHeads(
  tx: Transaction,
  treasuryId: number,
  states: ReadonlyMap<number, FundingState>,
): Promise<void> {
  const waiting = [...states.values()].filter((state) => !state.isStopped && state.available > reachOfFree(state));
  if (waiting.length === 0) return;
  const { rows } = await sql<{ instrumentKey: number; id: string; createdAt: bigint; amount: string }>`
    SELECT DISTINCT ON (w.instrument_id) w.instrument_id AS "instrumentKey", w.id, w.created_at AS "createdAt", w.amount::text AS amount
    FROM withdrawal w
    JOIN (${boundsOf(waiting)}) AS bound ON bound.instrument_id = w.instrument_id
    -- In this order: the second takes a hundred times as long, and thousands may wait that the first leaves out.
    WHERE w.treasury_id = ${treasuryId} AND w.state = 'QUEUED'
      AND CASE WHEN w.amount::numeric > bound.reach AND w.amount::numeric <= bound.available THEN ${IS_PAYABLE} ELSE false END
    ORDER BY w.instrument_id, w.created_at, w.id`.execute(tx);
  for (const { instrumentKey, id, createdAt, amount } of rows) {
    const state = states.get(instrumentKey);
    if (state !== undefined) state.head = { id, createdAt, amount: parseAmount(amount), keptCount: 0 };
  }
}

/** A row per instrument: what is within reach, and what will be there in all. Columns `instrument_id`, `reach`, `available`. */
export function boundsOf(states: readonly FundingState[]): RawBuilder<unknown> {
  return sql`SELECT * FROM unnest(
    ${states.map(({ instrumentKey }) => instrumentKey)}::int[],
    ${states.map((state) => formatAmount(reachOfFree(state)))}::numeric[],
    ${states.map(({ available }) => formatAmount(available))}::numeric[]
  ) AS bounds (instrument_id, reach, available)`;
}
