/** What the database knows beside attempts themselves: how late it is on the ledger, what was signed before, and what became of those inputs. */
import { sql } from 'kysely';
import type { EarlierAttempt } from '../custody/signer.ts';
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

type Earlier = { readonly attempt: number; readonly inputs: string[]; readonly spent: string[] | null };

/** One statement. @returns for each attempt, in their order, its view; an error for one on a synchronizer that was never seen. */
export async function viewsOf(
  db: Database,
  attempts: readonly Pick<OpenAttempt, 'submissionId' | 'number' | 'synchronizerId'>[],
): Promise<readonly (LedgerView | Error)[]> {
  const asked = {
    submissionIds: attempts.map(({ submissionId }) => submissionId),
    numbers: attempts.map(({ number }) => number),
    synchronizerIds: attempts.map(({ synchronizerId }) => synchronizerId),
  };
  const { rows } = await sql<{ recordTime: bigint | null; earlier: Earlier[] | null }>`
    SELECT t.record_time AS "recordTime", (
      SELECT json_agg(one ORDER BY one.attempt) FROM (
        SELECT a.number::int AS attempt, array_agg(r.contract_id ORDER BY r.contract_id) AS inputs,
               array_agg(r.contract_id) FILTER (WHERE coalesce(h.archived_update_id, i.ended_update_id) IS NOT NULL) AS spent
        FROM attempt a
        JOIN reservation r ON r.submission_id = a.submission_id AND r.number = a.number
        LEFT JOIN holding h ON h.treasury_id = r.treasury_id AND h.contract_id = r.contract_id
        LEFT JOIN transfer_instruction i ON i.treasury_id = r.treasury_id AND i.contract_id = r.contract_id
        WHERE a.submission_id = asked.submission_id AND a.number < asked.number AND a.sign_requested_at IS NOT NULL
        GROUP BY a.number
      ) one
    ) AS earlier
    FROM unnest(${asked.submissionIds}::text[], ${asked.numbers}::int[], ${asked.synchronizerIds}::text[])
      WITH ORDINALITY AS asked (submission_id, number, synchronizer_id, place)
    LEFT JOIN submission s ON s.id = asked.submission_id
    LEFT JOIN synchronizer_time t ON t.treasury_id = s.treasury_id AND t.synchronizer_id = asked.synchronizer_id
    ORDER BY asked.place`.execute(db);
  return rows.map(({ recordTime, earlier }, index) => {
    if (recordTime === null)
      return new AssertionError('An attempt on a synchronizer that was never seen.', { ...attempts[index] });
    const before = earlier ?? [];
    return {
      recordTime,
      earlier: before.map(({ attempt, inputs }) => ({ attempt, inputs })),
      inputsSpentElsewhere: [...new Set(before.flatMap(({ spent }) => spent ?? []))],
    };
  });
}
