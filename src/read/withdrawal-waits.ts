/** What queued withdrawals wait for at this moment: the conditions under which the automation opens an attempt, asked for each. */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import { type Micros, millisToMicros } from '../env/clock.ts';
import { homeSynchronizerOf } from '../ingestion/home-synchronizer.ts';
import { DEFAULT_LIMITS } from '../withdrawals/automation.ts';
import { reachOf } from '../withdrawals/free-holdings.ts';
import { REASONS_AGAINST_PAYING, type ReasonAgainstPaying } from '../withdrawals/payable.ts';

/**
 * The first that holds: a reason against paying it (`withdrawals/payable.ts`), then `LEDGER`: ingestion does not run, or its synchronizer's time is too far from ours to promise an end; `FUNDS`: the treasury's free
 * holdings do not reach, as many as one transaction takes; `TURN`: nothing is in the way.
 */
export type WithdrawalWait = ReasonAgainstPaying | 'LEDGER' | 'FUNDS' | 'TURN';

const WHEN_AGAINST = sql.join(
  Object.entries(REASONS_AGAINST_PAYING).map(([name, holds]) => sql`WHEN ${holds} THEN ${sql.lit(name)}`),
  sql` `,
);

/** When it is asked, and how far ahead of our clock a ledger may be for something to be opened on it: as the automation has it. */
export type WaitsAt = { readonly nowMicros: Micros; readonly recordTimeAheadMsMax: number };

/** One result per id, in the order of `ids`, in one statement; null where it is not queued. */
export async function readWaits(
  db: Database,
  ids: readonly string[],
  { nowMicros, recordTimeAheadMsMax }: WaitsAt,
): Promise<(WithdrawalWait | null)[]> {
  const { rows } = await sql<{ readonly id: string; readonly wait: WithdrawalWait }>`
    WITH queued AS (
      SELECT * FROM withdrawal
      WHERE id = ANY (${[...ids]}::text[]) AND state = 'QUEUED'
    ), free AS (
      SELECT pair.treasury_id, pair.instrument_id,
        ${reachOf(sql`pair.treasury_id`, sql`pair.instrument_id`)} AS amount
      FROM (SELECT DISTINCT treasury_id, instrument_id FROM queued) AS pair
    )
    SELECT w.id,
      CASE
        ${WHEN_AGAINST}
        WHEN ingestion_stream.status IS DISTINCT FROM 'RUNNING' OR ledger.record_time IS NULL
          OR ledger.record_time < ${nowMicros - RECORD_TIME_AGE_MAX}::bigint OR ledger.record_time > ${nowMicros + millisToMicros(recordTimeAheadMsMax)}::bigint THEN 'LEDGER'
        WHEN free.amount < w.amount THEN 'FUNDS'
        ELSE 'TURN'
      END AS wait
    FROM queued AS w
    JOIN free ON free.treasury_id = w.treasury_id AND free.instrument_id = w.instrument_id
    LEFT JOIN ingestion_stream ON ingestion_stream.treasury_id = w.treasury_id
    LEFT JOIN synchronizer_time AS ledger ON ledger.treasury_id = w.treasury_id
      AND ledger.synchronizer_id = ${homeSynchronizerOf(sql`w.treasury_id`)}
  `.execute(db);
  const byId = new Map(rows.map(({ id, wait }) => [id, wait]));
  return ids.map((id) => byId.get(id) ?? null);
}

const RECORD_TIME_AGE_MAX = millisToMicros(DEFAULT_LIMITS.recordTimeAgeMsMax);
