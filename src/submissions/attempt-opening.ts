/** Opening an attempt: what it may consume is reserved for it alone, and its last record time is fixed. From here on neither changes. */
import { sql } from 'kysely';
import type { Transaction } from '../db/connection.ts';
import { relationOf } from '../db/row-arrays.ts';
import type { Micros } from '../env/clock.ts';
import type { TransferJson } from '../tokens/transfer-record.ts';
import type { PositionClock } from './position-clock.ts';

export type NewAttempt = {
  readonly submissionId: string;
  /** What the submission is for, as the columns of its row say it. */
  readonly purpose:
    | { readonly purpose: 'WITHDRAWAL'; readonly withdrawal_id: string }
    | { readonly purpose: 'OFFER'; readonly offer_action_id: string }
    | { readonly purpose: 'OFFER_WITHDRAW'; readonly offer_return_id: string }
    | { readonly purpose: 'SELF_TRANSFER'; readonly self_transfer_id: string };
  readonly treasuryId: number;
  readonly instrumentKey: number;
  readonly clock: PositionClock;
  /** The last record time at which it may commit, inclusive. */
  readonly target: Micros;
  readonly transfer: TransferJson;
  /** Contract ids of what it consumes: never empty, or two attempts could both commit. */
  readonly inputs: readonly string[];
  readonly nowMicros: Micros;
};

/**
 * One statement, however many.
 * @param all of different submissions.
 * @throws as the database does, where another attempt of a submission is open or one of its inputs is reserved: then none of them is opened.
 */
export async function insertAttempts(tx: Transaction, all: readonly NewAttempt[]): Promise<void> {
  if (all.length === 0) return;
  const attempts = all.map((fresh) => ({
    submission_id: fresh.submissionId,
    treasury_id: fresh.treasuryId,
    instrument_id: fresh.instrumentKey,
    withdrawal_id: null,
    offer_action_id: null,
    offer_return_id: null,
    self_transfer_id: null,
    ...fresh.purpose,
    synchronizer_id: fresh.clock.synchronizerId,
    target_record_time: fresh.target,
    transfer_object: JSON.stringify(fresh.transfer),
    opened_at: fresh.nowMicros,
  }));
  const inputs = all.flatMap(({ submissionId, treasuryId, inputs: contractIds }) =>
    contractIds.map((contractId) => ({
      submission_id: submissionId,
      treasury_id: treasuryId,
      contract_id: contractId,
    })),
  );
  await sql`
    WITH fresh AS MATERIALIZED (
      SELECT * FROM ${relationOf(ATTEMPT_COLUMNS, attempts)} AS given
    ), submitted AS (
      INSERT INTO submission (id, treasury_id, instrument_id, purpose, withdrawal_id, offer_action_id, offer_return_id, self_transfer_id, created_at)
      SELECT submission_id, treasury_id, instrument_id, purpose, withdrawal_id, offer_action_id, offer_return_id, self_transfer_id, opened_at FROM fresh
      ON CONFLICT (id) DO NOTHING
    ), opened AS (
      INSERT INTO attempt (submission_id, number, state, synchronizer_id, target_record_time, transfer_object, next_try_at, opened_at)
      SELECT fresh.submission_id, coalesce((SELECT max(earlier.number) FROM attempt earlier WHERE earlier.submission_id = fresh.submission_id), 0) + 1,
        'OPEN', synchronizer_id, target_record_time, transfer_object, opened_at, opened_at
      FROM fresh
      RETURNING submission_id, number
    )
    INSERT INTO reservation (submission_id, number, treasury_id, contract_id, is_open)
    SELECT opened.submission_id, opened.number, input.treasury_id, input.contract_id, true
    FROM ${relationOf(INPUT_COLUMNS, inputs)} AS input JOIN opened USING (submission_id)`.execute(tx);
}

/** As {@link insertAttempts}, for one. */
export async function insertAttempt(tx: Transaction, fresh: NewAttempt): Promise<void> {
  await insertAttempts(tx, [fresh]);
}

const ATTEMPT_COLUMNS = {
  submission_id: 'text',
  treasury_id: 'integer',
  instrument_id: 'integer',
  purpose: 'text',
  withdrawal_id: 'text',
  offer_action_id: 'text',
  offer_return_id: 'text',
  self_transfer_id: 'text',
  synchronizer_id: 'text',
  target_record_time: 'bigint',
  transfer_object: 'jsonb',
  opened_at: 'bigint',
} as const;

const INPUT_COLUMNS = { submission_id: 'text', treasury_id: 'integer', contract_id: 'text' } as const;
