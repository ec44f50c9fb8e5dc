/**
 * Looks at a withdrawal again before it is paid: because another version of the policy is in force than the one that judged it, or because time has passed over those who were asked.
 *
 *   judged by another version   judged again. Denied now: it ends. Asked more of: it waits, where it is, and is not paid meanwhile. In flight: nothing is signed any more until it has leave.
 *   denied while in flight      ends, once the ledger has ended its attempt.
 *   approvals ran out           asked again, where enough people had said yes; else it ends, APPROVAL_EXPIRED.
 *   nothing is missing          it goes on.
 */
import type { Database, Transaction } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';
import { judgeAgain } from './judging.ts';
import { holdPolicy } from './policy-in-force.ts';
import { detailOf, POLICY_DENIED } from './request-verdict.ts';
import { endUnpaid, goOn, lockStanding, type Standing } from './standing.ts';
import { SCREENING_DENIED, screeningDetail } from './withdrawal-screening-rows.ts';

export type SecondLook = 'JUDGED' | 'ENDED' | 'WENT_ON' | 'AS_IT_WAS';

export const APPROVAL_EXPIRED = 'APPROVAL_EXPIRED';

/** One transaction for one withdrawal. One that somebody else works on is left to the next pass. */
export async function lookAgain(db: Database, withdrawalId: string, nowMicros: Micros): Promise<SecondLook> {
  return await db.transaction().execute(async (tx) => {
    const standing = await lockStanding(tx, withdrawalId, { nowMicros, isWaiting: false });
    return standing === null ? 'AS_IT_WAS' : await lookAt(tx, withdrawalId, standing, nowMicros);
  });
}

/** As {@link lookAgain}, of one that `tx` has locked. */
export async function lookAt(
  tx: Transaction,
  withdrawalId: string,
  standing: Standing,
  nowMicros: Micros,
): Promise<SecondLook> {
  const { state, approvalsNeeded, expiresAt, leave } = standing;
  if (state !== 'AWAITING_APPROVAL' && state !== 'QUEUED' && state !== 'IN_FLIGHT') return 'AS_IT_WAS';
  const { version } = await holdPolicy(tx, standing.networkId, nowMicros);
  // Nothing to compare with, and nothing to be asked: what was stored before there were policies.
  const isCurrent = (standing.policyVersion ?? 0) === version && leave !== 'UNJUDGED';
  if (!isCurrent) return await judgeAnew(tx, withdrawalId, nowMicros);
  const denial = denialOf(standing);
  if (denial !== null) {
    const by = denial.code === SCREENING_DENIED ? 'screening' : 'policy';
    return (await endUnpaid(tx, withdrawalId, { change: 'DENIED', by, ...denial }, nowMicros)) ? 'ENDED' : 'AS_IT_WAS';
  }
  // Before the question itself does, where they were given to an earlier one.
  const hasRunOut = approvalsNeeded > 0 && leave === 'APPROVALS' && standing.leaveWhenJudged !== 'APPROVALS';
  if (hasRunOut) return await judgeAnew(tx, withdrawalId, nowMicros);
  const isLate = approvalsNeeded > 0 && leave === 'APPROVALS' && expiresAt !== null && expiresAt <= nowMicros;
  if (isLate && standing.wasApproved) return await judgeAnew(tx, withdrawalId, nowMicros);
  if (isLate) {
    const detail = `It needed ${approvalsNeeded} approvals and did not get them in time.`;
    const ending = { change: 'EXPIRED', by: 'policy', code: APPROVAL_EXPIRED, detail } as const;
    return (await endUnpaid(tx, withdrawalId, ending, nowMicros)) ? 'ENDED' : 'AS_IT_WAS';
  }
  if (state !== 'AWAITING_APPROVAL') return 'AS_IT_WAS';
  return (await goOn(tx, withdrawalId, nowMicros)) ? 'WENT_ON' : 'AS_IT_WAS';
}

/** What the policy, or the screening service, has said no to while it could not be ended; null: neither has. */
function denialOf({
  leave,
  reasons,
  screeningDenial,
}: Standing): { readonly code: string; readonly detail: string } | null {
  if (leave === 'DENIED') return { code: POLICY_DENIED, detail: detailOf(reasons ?? []) };
  if (screeningDenial === null) return null;
  return { code: SCREENING_DENIED, detail: screeningDetail(screeningDenial.reason) };
}

async function judgeAnew(tx: Transaction, withdrawalId: string, nowMicros: Micros): Promise<SecondLook> {
  const { verdict } = await judgeAgain(tx, withdrawalId, nowMicros);
  if (verdict.kind === 'DENY') {
    const ending = {
      change: 'DENIED',
      by: 'policy',
      code: POLICY_DENIED,
      detail: detailOf(verdict.reasons),
    } as const;
    return (await endUnpaid(tx, withdrawalId, ending, nowMicros)) ? 'ENDED' : 'JUDGED';
  }
  return (await goOn(tx, withdrawalId, nowMicros)) ? 'WENT_ON' : 'JUDGED';
}
