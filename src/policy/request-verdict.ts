/** What follows from a verdict for a withdrawal that has just been written, in the transaction that wrote it. */
import type { Transaction } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';
import { unreachable } from '../env/errors.ts';
import { applyWithdrawalEvent } from '../withdrawals/withdrawal-store.ts';
import { type Judged, recordVerdict } from './judging.ts';
import type { Reason } from './verdict.ts';

/** The number of a withdrawal's first verdict: its row is written with it. */
export const FIRST_VERDICT = 1;

export const POLICY_DENIED = 'POLICY_DENIED';

/** Keeps the first verdict and moves the withdrawal on: into the queue, to the people, or back to where its money came from. */
export async function applyFirstVerdict(
  tx: Transaction,
  withdrawalId: string,
  judged: Judged,
  nowMicros: Micros,
): Promise<void> {
  const { verdict } = judged;
  await recordVerdict(tx, { withdrawalId, number: FIRST_VERDICT, judged, nowMicros });
  switch (verdict.kind) {
    case 'ALLOW':
      await applyWithdrawalEvent(tx, withdrawalId, { kind: 'POLICY_ALLOWED' }, { nowMicros });
      return;
    case 'NEEDS':
      await applyWithdrawalEvent(tx, withdrawalId, { kind: 'POLICY_NEEDS_APPROVAL' }, { nowMicros });
      return;
    case 'DENY':
      await applyWithdrawalEvent(
        tx,
        withdrawalId,
        { kind: 'POLICY_DENIED' },
        { nowMicros, failure: { code: POLICY_DENIED, detail: detailOf(verdict.reasons) } },
      );
      return;
    default:
      unreachable(verdict.kind);
  }
}

/** The reasons as one text, for people. */
export function detailOf(reasons: readonly Reason[]): string {
  return reasons.map(({ rule, text }) => `${rule}: ${text}.`).join(' ');
}
