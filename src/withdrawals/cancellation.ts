/** The wish that a withdrawal should not be paid: one that nothing can pay any more ends at once, of any other it is remembered. */
import { sql } from 'kysely';
import type { Transaction } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';
import { announceApproval } from '../policy/approval-events.ts';
import { applyWithdrawalEvent } from './withdrawal-store.ts';

/** @param wish.by a principal, or the part of Sluice that knows better. @returns false where there is no such withdrawal, or nothing can be wished of it any more. */
export async function cancelIn(
  tx: Transaction,
  id: string,
  { by, nowMicros }: { readonly by: string; readonly nowMicros: Micros },
): Promise<boolean> {
  const { rows } = await sql<{ verdict: number; isAwaited: boolean }>`
    SELECT verdict::int AS verdict, policy_leave(id, verdict, network_id, NULL) IN ('APPROVALS', 'SCREENING') AS "isAwaited"
    FROM withdrawal WHERE id = ${id}`.execute(tx);
  const [found] = rows;
  if (found === undefined) return false;
  const done = await applyWithdrawalEvent(tx, id, { kind: 'CANCEL_REQUESTED' }, { nowMicros });
  // Whoever was asked is asked no longer.
  if (found.isAwaited && done.kind === 'MOVED') {
    await announceApproval(tx, { withdrawalId: id, change: 'CANCELLED', verdict: found.verdict, by, nowMicros });
  }
  return done.kind !== 'ALARM';
}
