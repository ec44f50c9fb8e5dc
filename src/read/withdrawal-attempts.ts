/** The attempts at withdrawals: what each may spend, until when, and how it ended. */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';
import type { AttemptTable } from '../gen/db.ts';
import type { FailureProof } from './withdrawals.ts';

export type WithdrawalAttempt = {
  readonly withdrawalId: string;
  /** From 1. */
  readonly number: number;
  readonly state: AttemptTable['state'];
  readonly synchronizerId: string;
  /** The last record time it may commit at, inclusive. */
  readonly targetRecordTime: Micros;
  readonly isSignatureRequested: boolean;
  readonly tries: number;
  readonly lastError: string | null;
  readonly openedAt: Micros;
  /** Null: open. */
  readonly closedAt: Micros | null;
  /** Contract ids of the holdings it spends, sorted. */
  readonly inputs: readonly string[];
  /** Of a lapsed one; null otherwise. */
  readonly proof: FailureProof | null;
};

/** All attempts at the given withdrawals in one statement, by number. */
export async function readAttemptsOf(db: Database, withdrawalIds: readonly string[]): Promise<WithdrawalAttempt[]> {
  const { rows } = await sql<Omit<WithdrawalAttempt, 'proof'> & { readonly lapsedBy: Micros | null }>`
    SELECT submission.withdrawal_id AS "withdrawalId", attempt.number::int AS number, attempt.state,
      attempt.synchronizer_id AS "synchronizerId", attempt.target_record_time AS "targetRecordTime",
      attempt.sign_requested_at IS NOT NULL AS "isSignatureRequested", attempt.tries::int AS tries,
      attempt.last_error AS "lastError", attempt.opened_at AS "openedAt", attempt.closed_at AS "closedAt",
      attempt.lapsed_by AS "lapsedBy",
      ARRAY(
        SELECT reservation.contract_id FROM reservation
        WHERE reservation.submission_id = attempt.submission_id AND reservation.number = attempt.number
        ORDER BY reservation.contract_id
      ) AS inputs
    FROM submission
    JOIN attempt ON attempt.submission_id = submission.id
    WHERE submission.withdrawal_id = ANY (${[...withdrawalIds]}::text[])
    ORDER BY submission.withdrawal_id, attempt.number
  `.execute(db);
  return rows.map(({ lapsedBy, ...attempt }) => {
    const { number, synchronizerId, targetRecordTime } = attempt;
    return {
      ...attempt,
      proof:
        lapsedBy === null ? null : { attempt: number, synchronizerId, targetRecordTime, passedRecordTime: lapsedBy },
    };
  });
}
