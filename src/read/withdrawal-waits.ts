/** What queued withdrawals wait for at this moment: the conditions under which the automation opens an attempt, asked for each. */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import { type Micros, millisToMicros } from '../env/clock.ts';
import { isFrozen } from '../ingestion/freezes.ts';
import { homeSynchronizerOf } from '../ingestion/home-synchronizer.ts';
import { DEFAULT_LIMITS } from '../withdrawals/automation.ts';
import { isPaidBefore } from '../withdrawals/earlier-payment.ts';
import { reachOf } from '../withdrawals/free-holdings.ts';
import { isPaidDirectly } from '../withdrawals/payment-policy.ts';

/**
 * The first that holds. `PAID_BEFORE`: the ledger shows a payment that carries its id, which a restored database has lost. `FREEZE`: a freeze covers it. `POLICY`: the token directory has it that its instrument is not paid directly. `LEDGER`: ingestion does not run, or its synchronizer's time is too far from ours to promise
 * an end. `FUNDS`: the treasury's free holdings do not reach, as many as one transaction takes. `TURN`: nothing is in the way.
 */
export const WITHDRAWAL_WAITS = ['PAID_BEFORE', 'FREEZE', 'POLICY', 'LEDGER', 'FUNDS', 'TURN'] as const;
export type WithdrawalWait = (typeof WITHDRAWAL_WAITS)[number];

/** One result per id, in the order of `ids`, in one statement; null where it is not queued. */
export async function readWaits(
  db: Database,
  ids: readonly string[],
  nowMicros: Micros,
): Promise<(WithdrawalWait | null)[]> {
  const { rows } = await sql<{ readonly id: string; readonly wait: WithdrawalWait }>`
    WITH queued AS (
      SELECT id, treasury_id, instrument_id, amount FROM withdrawal
      WHERE id = ANY (${[...ids]}::text[]) AND state = 'QUEUED'
    ), free AS (
      SELECT pair.treasury_id, pair.instrument_id,
        ${reachOf(sql`pair.treasury_id`, sql`pair.instrument_id`)} AS amount
      FROM (SELECT DISTINCT treasury_id, instrument_id FROM queued) AS pair
    )
    SELECT queued.id,
      CASE
        WHEN ${isPaidBefore(sql`ARRAY[queued.id]`)} THEN 'PAID_BEFORE'
        WHEN ${isFrozen(sql`queued.treasury_id`, sql`queued.instrument_id`)} THEN 'FREEZE'
        WHEN NOT ${isPaidDirectly(sql`queued.instrument_id`)} THEN 'POLICY'
        WHEN ingestion_stream.status IS DISTINCT FROM 'RUNNING' OR ledger.record_time IS NULL
          OR abs(${nowMicros}::bigint - ledger.record_time) > ${RECORD_TIME_AGE_MAX}::bigint THEN 'LEDGER'
        WHEN free.amount < queued.amount THEN 'FUNDS'
        ELSE 'TURN'
      END AS wait
    FROM queued
    JOIN free ON free.treasury_id = queued.treasury_id AND free.instrument_id = queued.instrument_id
    LEFT JOIN ingestion_stream ON ingestion_stream.treasury_id = queued.treasury_id
    LEFT JOIN synchronizer_time AS ledger ON ledger.treasury_id = queued.treasury_id
      AND ledger.synchronizer_id = ${homeSynchronizerOf(sql`queued.treasury_id`)}
  `.execute(db);
  const byId = new Map(rows.map(({ id, wait }) => [id, wait]));
  return ids.map((id) => byId.get(id) ?? null);
}

const RECORD_TIME_AGE_MAX = millisToMicros(DEFAULT_LIMITS.recordTimeAgeMsMax);
