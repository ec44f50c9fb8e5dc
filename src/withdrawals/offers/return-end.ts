/** How the return of an offer learns that the contract is gone that it was to consume, whoever consumed it: in the transaction that moves the position past that, with the withdrawal locked. */
import { sql } from 'kysely';
import type { Transaction } from '../../db/connection.ts';
import type { Micros } from '../../env/clock.ts';
import { settleAttempt } from '../../submissions/attempts.ts';
import type { FinalStatus } from '../../tokens/movement.ts';

/**
 * No attempt on that contract can commit any more: it settles. An offer that goes on under another contract is taken back there, if it still is to be.
 * @param status PENDING: another contract stands for the offer now.
 */
export async function endReturn(
  tx: Transaction,
  withdrawalId: string,
  status: 'PENDING' | FinalStatus,
  nowMicros: Micros,
): Promise<void> {
  const { rows } = await sql<{ submissionId: string; number: number }>`
    SELECT t.submission_id AS "submissionId", t.number::int AS number FROM attempt t JOIN submission s ON s.id = t.submission_id
    WHERE s.offer_return_id = ${withdrawalId} AND t.state = 'OPEN'`.execute(tx);
  for (const attempt of rows) await settleAttempt(tx, attempt, nowMicros);
  const isPending = status === 'PENDING';
  await tx
    .updateTable('offer_return')
    .set({
      state: isPending ? 'QUEUED' : status === 'WITHDRAWN' ? 'DONE' : 'ENDED',
      changed_at: nowMicros,
      ...(isPending && { next_try_at: nowMicros }),
    })
    .where('withdrawal_id', '=', withdrawalId)
    .where('state', 'in', isPending ? ['IN_FLIGHT', 'QUEUED'] : ['IN_FLIGHT', 'QUEUED', 'PARKED'])
    .execute();
}
