/** Opening an attempt: what it may consume is reserved for it alone, and its last record time is fixed. From here on neither changes. */
import { sql } from 'kysely';
import type { Transaction } from '../db/connection.ts';
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

/** @throws as the database does, where another attempt of the submission is open or one of its inputs is reserved. */
export async function insertAttempt(tx: Transaction, fresh: NewAttempt): Promise<void> {
  await tx
    .insertInto('submission')
    .values({
      id: fresh.submissionId,
      treasury_id: fresh.treasuryId,
      instrument_id: fresh.instrumentKey,
      ...fresh.purpose,
      created_at: fresh.nowMicros,
    })
    .onConflict((conflict) => conflict.column('id').doNothing())
    .execute();
  const { number } = await tx
    .insertInto('attempt')
    .values(({ selectFrom }) => ({
      submission_id: fresh.submissionId,
      number: selectFrom('attempt')
        .where('submission_id', '=', fresh.submissionId)
        .select(sql<number>`coalesce(max(number), 0) + 1`.as('number')),
      state: 'OPEN' as const,
      synchronizer_id: fresh.clock.synchronizerId,
      target_record_time: fresh.target,
      transfer_object: JSON.stringify(fresh.transfer),
      next_try_at: fresh.nowMicros,
      opened_at: fresh.nowMicros,
    }))
    .returning('number')
    .executeTakeFirstOrThrow();
  await tx
    .insertInto('reservation')
    .values(
      fresh.inputs.map((contractId) => ({
        submission_id: fresh.submissionId,
        number,
        treasury_id: fresh.treasuryId,
        contract_id: contractId,
        is_open: true,
      })),
    )
    .execute();
}
