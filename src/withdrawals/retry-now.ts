/** Bringing the next try of an attempt forward. It is still one attempt: the same inputs, the same last record time, the same number of tries; only the waiting between them is cut short. */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';
import { screenWithdrawalAgain } from '../policy/withdrawal-screening-rows.ts';
import { IS_PAST, isJustTaken } from '../submissions/attempts.ts';
import { ControlRefusal } from './control-refusal.ts';
import { retryReturn } from './offers/return-retry.ts';
import { isFinal } from './withdrawal-state.ts';

const GAP_MS = 2_000; // What was executed is usually seen within a second.

/**
 * Makes the open attempt of a withdrawal due at once; of one that is offered, the return of its offer that waits for its turn or was parked; of one that waits for the screening service, the question to it, which may
 * have been parked as well.
 * @param triesMax as the automation has it: what it would not try is not promised.
 * @throws ControlRefusal NOTHING_TO_TRY, TRIES_EXHAUSTED, TRIED_JUST_NOW and others: nothing was changed.
 */
export async function retryNow(
  db: Database,
  id: string,
  { triesMax, nowMicros }: { readonly triesMax: number; readonly nowMicros: Micros },
): Promise<void> {
  await db.transaction().execute(async (tx) => {
    const row = await tx.selectFrom('withdrawal').select('state').where('id', '=', id).forUpdate().executeTakeFirst();
    if (row === undefined) throw new ControlRefusal('WITHDRAWAL_UNKNOWN');
    if (isFinal(row.state)) throw new ControlRefusal('WITHDRAWAL_FINAL');
    // Until the service has answered nothing more of it may be signed, so there is nothing else to be brought forward. What is offered needs no answer any more.
    const bringForward = row.state === 'OFFERED' ? retryReturn : screenWithdrawalAgain;
    if (await bringForward(tx, id, nowMicros)) return;
    const { rows } = await sql<{
      submissionId: string;
      number: number;
      tries: number;
      isJust: boolean;
      isPast: boolean;
    }>`
      SELECT a.submission_id AS "submissionId", a.number::int AS number, a.tries::int AS tries, ${IS_PAST} AS "isPast",
        ${isJustTaken(nowMicros, GAP_MS)} AS "isJust"
      FROM attempt a JOIN submission s ON s.id = a.submission_id
      WHERE s.withdrawal_id = ${id} AND a.state = 'OPEN' FOR UPDATE OF a`.execute(tx);
    const [attempt] = rows;
    if (attempt === undefined) throw new ControlRefusal('NOTHING_TO_TRY');
    if (attempt.isPast || attempt.tries >= triesMax) throw new ControlRefusal('TRIES_EXHAUSTED');
    if (attempt.isJust) throw new ControlRefusal('TRIED_JUST_NOW');
    await sql`
      UPDATE attempt SET next_try_at = least(next_try_at, ${nowMicros}::bigint)
      WHERE submission_id = ${attempt.submissionId} AND number = ${attempt.number}`.execute(tx);
  });
}
