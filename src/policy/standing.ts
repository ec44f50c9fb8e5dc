/** Where a withdrawal stands with the policy: read under its row's lock, and what follows once nothing is missing or nothing can be had any more. */
import { sql } from 'kysely';
import type { Transaction } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';
import { isPaidBefore } from '../withdrawals/earlier-payment.ts';
import type { WithdrawalState } from '../withdrawals/withdrawal-state.ts';
import { applyWithdrawalEvent } from '../withdrawals/withdrawal-store.ts';
import { type ApprovalChange, announceApproval } from './approval-events.ts';
import type { Reason } from './verdict.ts';

/** As `policy_leave` of the database has it. */
export type Leave = 'GIVEN' | 'UNJUDGED' | 'DENIED' | 'APPROVALS' | 'SCREENING';

export type Standing = {
  readonly networkId: number;
  readonly state: WithdrawalState;
  /** The number of the verdict that counts; 0: it was never judged. */
  readonly number: number;
  readonly policyVersion: number | null;
  /** When that verdict was given, by the clock of whoever gave it; null: never. */
  readonly judgedAt: Micros | null;
  readonly approvalsNeeded: number;
  readonly approvalSeconds: number;
  readonly expiresAt: Micros | null;
  readonly leave: Leave;
  /** As `leave`, at the moment of the verdict: what has run out since counts. */
  readonly leaveWhenJudged: Leave;
  /** Of the verdict; null: it was never judged. */
  readonly reasons: readonly Reason[] | null;
  /** What the screening service said where it said no and the verdict asks for it. */
  readonly screeningDenial: { readonly reason: string | null } | null;
  readonly intentHash: Buffer;
  readonly requesters: readonly string[];
  /** Whether enough people said yes at some time, whatever has become of it since. */
  readonly wasApproved: boolean;
  /** The ledger shows a payment with its id: whatever the policy says, it is not ended as unpaid. */
  readonly isPaidBefore: boolean;
};

/** Locks the withdrawal. @returns null: there is none, or (`isWaiting: false`) somebody else works on it. */
export async function lockStanding(
  tx: Transaction,
  withdrawalId: string,
  { nowMicros, isWaiting }: { readonly nowMicros: Micros; readonly isWaiting: boolean },
): Promise<Standing | null> {
  const skipped = isWaiting ? sql`` : sql`SKIP LOCKED`;
  const locked = await sql`SELECT FROM withdrawal WHERE id = ${withdrawalId} FOR UPDATE ${skipped}`.execute(tx);
  return locked.rows.length === 0 ? null : await readStanding(tx, withdrawalId, nowMicros);
}

/** A statement of its own: it sees what was committed while the lock was waited for, and what `tx` wrote since. */
export async function readStanding(tx: Transaction, withdrawalId: string, nowMicros: Micros): Promise<Standing | null> {
  const { rows } = await sql<Standing>`
    SELECT w.network_id AS "networkId", w.state, w.verdict::int AS number, v.policy_version AS "policyVersion", v.decided_at AS "judgedAt",
      coalesce(v.approvals_needed, 0)::int AS "approvalsNeeded", coalesce(v.approval_seconds, 0) AS "approvalSeconds",
      v.expires_at AS "expiresAt", policy_leave(w.id, w.verdict, w.network_id, ${nowMicros}::bigint) AS leave,
      policy_leave(w.id, w.verdict, w.network_id, NULL) AS "leaveWhenJudged", v.reasons,
      (SELECT json_build_object('reason', s.reason) FROM withdrawal_screening s
       WHERE s.withdrawal_id = w.id AND s.state = 'DENIED' AND v.needs_screening) AS "screeningDenial",
      withdrawal_intent_hash(w.id) AS "intentHash", withdrawal_requesters(w.id) AS requesters,
      ${isPaidBefore(sql`ARRAY[w.id]`)} AS "isPaidBefore",
      (coalesce(v.approvals_needed, 0) <= (
        SELECT count(DISTINCT yes.person) FROM withdrawal_approval yes
        WHERE yes.withdrawal_id = w.id AND yes.decision = 'APPROVE' AND yes.intent_hash = withdrawal_intent_hash(w.id)
          AND yes.person <> ALL (withdrawal_requesters(w.id))
      )) AND NOT EXISTS (SELECT FROM withdrawal_approval no WHERE no.withdrawal_id = w.id AND no.decision = 'REFUSE') AS "wasApproved"
    FROM withdrawal w LEFT JOIN policy_verdict v ON v.withdrawal_id = w.id AND v.number = w.verdict
    WHERE w.id = ${withdrawalId}`.execute(tx);
  return rows[0] ?? null;
}

/** Lets it go on where nothing is missing any more. @returns whether it did. */
export async function goOn(tx: Transaction, withdrawalId: string, nowMicros: Micros): Promise<boolean> {
  const standing = await readStanding(tx, withdrawalId, nowMicros);
  if (standing?.leave !== 'GIVEN') return false;
  const { state, number } = standing;
  if (state === 'AWAITING_APPROVAL') {
    await applyWithdrawalEvent(tx, withdrawalId, { kind: 'APPROVED' }, { nowMicros });
  }
  await announceApproval(tx, { withdrawalId, change: 'GRANTED', verdict: number, by: 'policy', nowMicros });
  return true;
}

export type Ending = {
  readonly change: Extract<ApprovalChange, 'REFUSED' | 'DENIED' | 'EXPIRED'>;
  readonly by: string;
  readonly code: string;
  readonly detail: string;
};

/**
 * Ends it unpaid, and books back what was debited. Only what waits for its leave: something in flight is ended by the ledger alone, and then it will not be given another attempt.
 * @returns whether it did.
 */
export async function endUnpaid(
  tx: Transaction,
  withdrawalId: string,
  { change, by, code, detail }: Ending,
  nowMicros: Micros,
): Promise<boolean> {
  const standing = await readStanding(tx, withdrawalId, nowMicros);
  if (standing === null || standing.isPaidBefore) return false;
  if (standing.state !== 'AWAITING_APPROVAL' && standing.state !== 'QUEUED') return false;
  const kind =
    standing.state === 'QUEUED' ? 'POLICY_DENIED' : change === 'EXPIRED' ? 'APPROVAL_EXPIRED' : 'APPROVAL_REFUSED';
  await applyWithdrawalEvent(tx, withdrawalId, { kind }, { nowMicros, failure: { code, detail } });
  await announceApproval(tx, { withdrawalId, change, verdict: standing.number, by, nowMicros });
  return true;
}
