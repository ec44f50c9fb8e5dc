/** What the database knows beside attempts themselves: how late it is on the ledger, what was signed before, and what became of those inputs. */
import { sql } from 'kysely';
import { EARLIER_ATTEMPTS_MAX, type EarlierAttempt } from '../custody/signer.ts';
import type { Database } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';
import { AssertionError } from '../env/errors.ts';
import type { OpenAttempt } from './attempts.ts';

/** What a try needs to know beside its attempt, read from the database at its start. */
export type LedgerView = {
  readonly recordTime: Micros;
  readonly earlier: readonly EarlierAttempt[];
  readonly inputsSpentElsewhere: readonly string[];
};

/** One statement: of attempts with the same inputs the newest stands for all, or a request would grow with each minute that a signer is away until no signer takes it. @returns for each attempt, in their order, its view; an error for one on a synchronizer that was never seen. */
export async function viewsOf(
  db: Database,
  attempts: readonly Pick<OpenAttempt, 'submissionId' | 'number' | 'synchronizerId'>[],
): Promise<readonly (LedgerView | Error)[]> {
  const asked = {
    submissionIds: attempts.map(({ submissionId }) => submissionId),
    numbers: attempts.map(({ number }) => number),
    synchronizerIds: attempts.map(({ synchronizerId }) => synchronizerId),
  };
  const { rows } = await sql<{ recordTime: bigint | null; earlier: EarlierAttempt[] | null; spent: string[] | null }>`
    SELECT t.record_time AS "recordTime", earlier.attempts AS earlier, earlier.spent
    FROM unnest(${asked.submissionIds}::text[], ${asked.numbers}::int[], ${asked.synchronizerIds}::text[])
      WITH ORDINALITY AS asked (submission_id, number, synchronizer_id, place)
    LEFT JOIN submission s ON s.id = asked.submission_id
    LEFT JOIN synchronizer_time t ON t.treasury_id = s.treasury_id AND t.synchronizer_id = asked.synchronizer_id
    CROSS JOIN LATERAL (
      WITH before AS (
        SELECT a.number::int AS attempt, array_agg(r.contract_id ORDER BY r.contract_id) AS inputs,
               array_agg(r.contract_id) FILTER (WHERE coalesce(h.archived_update_id, i.ended_update_id) IS NOT NULL) AS spent
        FROM attempt a
        JOIN reservation r ON r.submission_id = a.submission_id AND r.number = a.number
        LEFT JOIN holding h ON h.treasury_id = r.treasury_id AND h.contract_id = r.contract_id
        LEFT JOIN transfer_instruction i ON i.treasury_id = r.treasury_id AND i.contract_id = r.contract_id
        WHERE a.submission_id = asked.submission_id AND a.number < asked.number AND a.sign_requested_at IS NOT NULL
        GROUP BY a.number
      ), newest AS (
        SELECT * FROM (SELECT DISTINCT ON (inputs) attempt, inputs FROM before ORDER BY inputs, attempt DESC) AS each
        ORDER BY attempt DESC LIMIT ${sql.lit(EARLIER_ATTEMPTS_MAX)}
      )
      SELECT (SELECT json_agg(newest ORDER BY newest.attempt) FROM newest) AS attempts,
             (SELECT json_agg(DISTINCT gone.contract_id) FROM before, unnest(before.spent) AS gone (contract_id)) AS spent
    ) AS earlier
    ORDER BY asked.place`.execute(db);
  return rows.map(({ recordTime, earlier, spent }, index) => {
    if (recordTime === null)
      return new AssertionError('An attempt on a synchronizer that was never seen.', { ...attempts[index] });
    return { recordTime, earlier: earlier ?? [], inputsSpentElsewhere: spent ?? [] };
  });
}
