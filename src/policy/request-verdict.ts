/** What follows from a verdict for a withdrawal that has just been written, in the transaction that wrote it. */
import { sql } from 'kysely';
import type { Transaction } from '../db/connection.ts';
import type { EventDraft } from '../db/event-log.ts';
import { relationOf } from '../db/row-arrays.ts';
import type { Micros } from '../env/clock.ts';
import { assert, unreachable } from '../env/errors.ts';
import { applyWithdrawalEvent, applyWithdrawalEvents } from '../withdrawals/withdrawal-store.ts';
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

/**
 * Keeps first verdicts that allow, and moves their withdrawals into the queue: a few statements, however many.
 * @param events told before what becomes of them here.
 */
export async function applyFirstLeaves(
  tx: Transaction,
  given: readonly { readonly withdrawalId: string; readonly judged: Judged }[],
  nowMicros: Micros,
  events: readonly EventDraft[],
): Promise<void> {
  const rows = given.map(({ withdrawalId, judged: { policyVersion, verdict } }) => {
    assert(verdict.kind === 'ALLOW', 'Only what is allowed needs nobody.', { withdrawalId });
    const { approvalSeconds, reasons } = verdict;
    return {
      withdrawal_id: withdrawalId,
      policy_version: policyVersion,
      approval_seconds: approvalSeconds,
      reasons: JSON.stringify(reasons),
    };
  });
  await sql`
    INSERT INTO policy_verdict (withdrawal_id, number, policy_version, kind, approvals_needed, needs_screening, approval_seconds, reasons, intent_hash, decided_at)
    SELECT withdrawal_id, ${FIRST_VERDICT}::smallint, policy_version, 'ALLOW', 0, false, approval_seconds, reasons, withdrawal_intent_hash(withdrawal_id), ${nowMicros}::bigint
    FROM ${relationOf(LEAVE_COLUMNS, rows)} AS given`.execute(tx);
  await applyWithdrawalEvents(
    tx,
    given.map(({ withdrawalId }) => ({ withdrawalId, event: { kind: 'POLICY_ALLOWED' }, facts: { nowMicros } })),
    events,
  );
}

const LEAVE_COLUMNS = {
  withdrawal_id: 'text',
  policy_version: 'integer',
  approval_seconds: 'integer',
  reasons: 'jsonb',
} as const;

/** The reasons as one text, for people. */
export function detailOf(reasons: readonly Reason[]): string {
  return reasons.map(({ rule, text }) => `${rule}: ${text}.`).join(' ');
}
