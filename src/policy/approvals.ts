/**
 * What people say to a withdrawal that needs them. An approval is bound to the hash of the intent, lasts as long as the policy says, counts once per person, and never where that person asked for the withdrawal. Each rule is
 * looked at here, for an answer in words, and stands in the database, for whatever code there will be.
 */
import { sql } from 'kysely';
import type { Database, Transaction } from '../db/connection.ts';
import type { Clock, Micros } from '../env/clock.ts';
import { personOf } from '../env/person.ts';
import { announceApproval } from './approval-events.ts';
import { ApprovalRefusal, isReason } from './approval-refusal.ts';
import { parseIntentHash } from './intent.ts';
import { lookAt } from './second-look.ts';
import { endUnpaid, goOn, lockStanding, readStanding, type Standing } from './standing.ts';

export type Judgement = {
  readonly withdrawalId: string;
  /** Of what was looked at, as it was shown. */
  readonly intentHash: string;
  /** Why; kept for ever. */
  readonly why: string;
  /** The principal. */
  readonly by: string;
};

/** `isReplayed`: this person had said the same, and this call changed nothing. */
export type JudgementResult = { readonly isReplayed: boolean };

export type Approvals = {
  /** The last one that was needed lets the withdrawal go on. Harmless when repeated. @throws ApprovalRefusal. */
  approve(judgement: Judgement): Promise<JudgementResult>;
  /** Ends the withdrawal, whatever others said. Also for whoever asked for it. @throws ApprovalRefusal. */
  refuse(judgement: Judgement): Promise<JudgementResult>;
};

type Decision = 'APPROVE' | 'REFUSE';

const APPROVAL_REFUSED = 'APPROVAL_REFUSED';

export function createApprovals({ db, clock }: { readonly db: Database; readonly clock: Clock }): Approvals {
  return {
    approve: async (judgement) => await decide(judgement, 'APPROVE'),
    refuse: async (judgement) => await decide(judgement, 'REFUSE'),
  };

  async function decide(judgement: Judgement, decision: Decision): Promise<JudgementResult> {
    if (!isReason(judgement.why)) throw new ApprovalRefusal('REASON_INVALID');
    const nowMicros = clock.nowMicros();
    // What a second look finds is kept, even where the decision then has nothing left to decide about.
    const done = await db.transaction().execute(async (tx) => await decideIn(tx, judgement, decision, nowMicros));
    if (done instanceof ApprovalRefusal) throw done;
    return done;
  }
}

async function decideIn(
  tx: Transaction,
  judgement: Judgement,
  decision: Decision,
  ownMicros: Micros,
): Promise<JudgementResult | ApprovalRefusal> {
  const { withdrawalId, by } = judgement;
  if (!withdrawalId.isWellFormed() || withdrawalId.includes('\0')) return new ApprovalRefusal('WITHDRAWAL_UNKNOWN');
  const found = await lockStanding(tx, withdrawalId, { nowMicros: ownMicros, isWaiting: true });
  if (found === null) return new ApprovalRefusal('WITHDRAWAL_UNKNOWN');
  // Nobody answers before he was asked: where it seems so, the clock of whoever asked is ahead of ours.
  const nowMicros = found.judgedAt !== null && found.judgedAt > ownMicros ? found.judgedAt : ownMicros;
  if (parseIntentHash(judgement.intentHash)?.equals(found.intentHash) !== true) {
    return new ApprovalRefusal('INTENT_CHANGED');
  }
  if (decision === 'APPROVE' && found.requesters.includes(personOf(by))) return new ApprovalRefusal('SAME_PERSON');
  const earlier = await readEarlier(tx, withdrawalId, found.number, by);
  if (earlier !== null) return earlier === decision ? { isReplayed: true } : new ApprovalRefusal('ALREADY_DECIDED');

  // The policy may have changed, or time run out, since the loop last looked.
  const looked = await lookAt(tx, withdrawalId, found, nowMicros);
  if (looked === 'ENDED' && found.expiresAt !== null && found.expiresAt <= nowMicros) {
    return new ApprovalRefusal('APPROVAL_EXPIRED');
  }
  const standing = looked === 'AS_IT_WAS' ? found : await readStanding(tx, withdrawalId, nowMicros);
  if (standing === null || !isAwaiting(standing, nowMicros)) return new ApprovalRefusal('NOT_AWAITING');
  await insertDecision(tx, standing, judgement, { decision, nowMicros, ownMicros });
  const change = decision === 'APPROVE' ? 'APPROVED' : 'REFUSED';
  if (decision === 'REFUSE') {
    const ending = { change: 'REFUSED', by, code: APPROVAL_REFUSED, detail: `${by}: ${judgement.why}` } as const;
    if (!(await endUnpaid(tx, withdrawalId, ending, nowMicros))) return new ApprovalRefusal('NOT_AWAITING');
    return { isReplayed: false };
  }
  await announceApproval(tx, {
    withdrawalId,
    change,
    verdict: standing.number,
    by,
    occasion: personOf(by),
    nowMicros,
  });
  await goOn(tx, withdrawalId, nowMicros);
  return { isReplayed: false };
}

/** Waiting for its leave, in front of the queue or, after a second look, in it. Whoever was asked is asked no longer than the question lasts: where enough said yes in time, it may wait for its screening beyond that. */
function isAwaiting({ state, approvalsNeeded, leave, expiresAt, isPaidBefore }: Standing, nowMicros: Micros): boolean {
  if (approvalsNeeded === 0 || isPaidBefore) return false;
  if (expiresAt !== null && expiresAt <= nowMicros) return false;
  return state === 'AWAITING_APPROVAL' || (state === 'QUEUED' && leave === 'APPROVALS');
}

async function readEarlier(
  tx: Transaction,
  withdrawalId: string,
  verdict: number,
  by: string,
): Promise<Decision | null> {
  const row = await tx
    .selectFrom('withdrawal_approval')
    .select('decision')
    .where('withdrawal_id', '=', withdrawalId)
    .where('verdict', '=', verdict)
    .where('person', '=', personOf(by))
    .executeTakeFirst();
  return row?.decision ?? null;
}

async function insertDecision(
  tx: Transaction,
  { number, intentHash, approvalSeconds }: Standing,
  { withdrawalId, by, why }: Judgement,
  {
    decision,
    nowMicros,
    ownMicros,
  }: { readonly decision: Decision; readonly nowMicros: Micros; readonly ownMicros: Micros },
): Promise<void> {
  // A clock that was ahead when it was asked makes no approval last longer: that is counted from when it was given.
  const lasting = ownMicros + BigInt(approvalSeconds) * 1_000_000n;
  const expiresAt = lasting > nowMicros ? lasting : nowMicros + 1n;
  await sql`
    INSERT INTO withdrawal_approval (withdrawal_id, verdict, decision, intent_hash, decided_by, decided_at, expires_at, why)
    VALUES (${withdrawalId}, ${number}, ${decision}, ${intentHash}, ${by}, ${nowMicros},
      ${expiresAt}, ${why})`.execute(tx);
}
