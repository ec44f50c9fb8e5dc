/** The rows of the screening of withdrawals: one per withdrawal, asked until there is a verdict. */
import { sql } from 'kysely';
import type { Transaction } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';

export const SCREENING_DENIED = 'SCREENING_DENIED';

/** For people. @param reason in the words of the service; null: it gave none. */
export const screeningDetail = (reason: string | null): string => reason ?? 'The screening service denied it.';

/** Has the screening service asked as soon as this is committed. Where it has been asked, the answer it gave, or gives, counts. */
export async function openWithdrawalScreening(tx: Transaction, withdrawalId: string, nowMicros: Micros): Promise<void> {
  await sql`
    INSERT INTO withdrawal_screening (withdrawal_id, intent_hash, state, next_try_at, opened_at)
    VALUES (${withdrawalId}, withdrawal_intent_hash(${withdrawalId}), 'WAITING', ${nowMicros}, ${nowMicros})
    ON CONFLICT (withdrawal_id) DO NOTHING`.execute(tx);
}

/**
 * Has the service asked again at once, with all its tries: also where it was left alone because it had not answered so often.
 * @returns false where there is nothing to ask: it was never asked, or has answered.
 */
export async function screenWithdrawalAgain(
  tx: Transaction,
  withdrawalId: string,
  nowMicros: Micros,
): Promise<boolean> {
  const { numAffectedRows = 0n } = await sql`
    UPDATE withdrawal_screening SET state = 'WAITING', tries = 0, next_try_at = ${nowMicros}
    WHERE withdrawal_id = ${withdrawalId} AND state IN ('WAITING', 'PARKED')`.execute(tx);
  return numAffectedRows === 1n;
}
