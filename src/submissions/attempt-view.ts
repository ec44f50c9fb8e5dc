/** What the database knows beside an attempt itself: how late it is on the ledger, what was signed before, and what became of those inputs. */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import { assert } from '../env/errors.ts';
import type { LedgerView } from './attempt-try.ts';
import type { OpenAttempt } from './attempts.ts';

export async function viewOf(db: Database, { submissionId, number, synchronizerId }: OpenAttempt): Promise<LedgerView> {
  const { rows: times } = await sql<{ recordTime: bigint }>`
    SELECT t.record_time AS "recordTime" FROM submission s JOIN synchronizer_time t ON t.treasury_id = s.treasury_id
    WHERE s.id = ${submissionId} AND t.synchronizer_id = ${synchronizerId}`.execute(db);
  const [time] = times;
  assert(time !== undefined, 'An attempt on a synchronizer that was never seen.', { submissionId, synchronizerId });
  const { rows } = await sql<{ attempt: number; inputs: string[]; spent: string[] | null }>`
    SELECT a.number::int AS attempt, array_agg(r.contract_id ORDER BY r.contract_id) AS inputs,
           array_agg(r.contract_id) FILTER (WHERE coalesce(h.archived_update_id, i.ended_update_id) IS NOT NULL) AS spent
    FROM attempt a
    JOIN reservation r ON r.submission_id = a.submission_id AND r.number = a.number
    LEFT JOIN holding h ON h.treasury_id = r.treasury_id AND h.contract_id = r.contract_id
    LEFT JOIN transfer_instruction i ON i.treasury_id = r.treasury_id AND i.contract_id = r.contract_id
    WHERE a.submission_id = ${submissionId} AND a.number < ${number} AND a.sign_requested_at IS NOT NULL
    GROUP BY a.number ORDER BY a.number`.execute(db);
  return {
    recordTime: time.recordTime,
    earlier: rows.map(({ attempt, inputs }) => ({ attempt, inputs })),
    inputsSpentElsewhere: [...new Set(rows.flatMap(({ spent }) => spent ?? []))],
  };
}
