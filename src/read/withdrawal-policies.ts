/** What the policy says of withdrawals, and what people and the screening service said to that. */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';
import type { PolicyVerdictTable, WithdrawalApprovalTable, WithdrawalScreeningTable } from '../gen/db.ts';
import { formatIntentHash } from '../policy/intent.ts';
import type { Leave } from '../policy/standing.ts';
import type { Reason } from '../policy/verdict.ts';
import { keysetOf, type Page, type PageKey, type PageRequest, pageOf } from './page.ts';

export type WithdrawalPolicy = {
  readonly withdrawalId: string;
  readonly createdAt: Micros;
  /** What approvals are bound to, as it is shown and given back. */
  readonly intentHash: string;
  readonly leave: Leave;
  /** By which version it was judged last; null: it never was. 0: none was set then. */
  readonly policyVersion: number | null;
  readonly verdict: PolicyVerdictTable['kind'] | null;
  readonly reasons: readonly Reason[];
  readonly decidedAt: Micros | null;
  readonly approvalsNeeded: number;
  /** Of different people, that count at this moment. */
  readonly approvalsGiven: number;
  readonly expiresAt: Micros | null;
  readonly approvals: readonly WithdrawalApproval[];
  readonly screening: WithdrawalScreening | null;
};

export type WithdrawalApproval = {
  readonly decision: WithdrawalApprovalTable['decision'];
  /** The principal. */
  readonly decidedBy: string;
  readonly person: string;
  readonly decidedAt: Micros;
  readonly expiresAt: Micros;
  readonly why: string;
  readonly intentHash: string;
};

export type WithdrawalScreening = {
  readonly state: WithdrawalScreeningTable['state'];
  readonly caseId: string | null;
  readonly reason: string | null;
  readonly lastError: string | null;
};

export const keyOfPending = ({ createdAt, withdrawalId }: WithdrawalPolicy): PageKey => [createdAt, withdrawalId];

/**
 * Withdrawals that wait for people or the screening service, oldest first: in front of the queue, or in it after a second look.
 * @param nowMicros what has run out by then does not count.
 */
export async function listPending(db: Database, page: PageRequest, nowMicros: Micros): Promise<Page<WithdrawalPolicy>> {
  const keyset = keysetOf([sql`w.created_at`, sql`w.id`], 'ascending', page);
  const { rows } = await sql<Row>`
    ${selectAt(nowMicros)}
    WHERE ${keyset.where} AND (w.state = 'AWAITING_APPROVAL'
      OR (w.state = 'QUEUED' AND policy_leave(w.id, w.verdict, w.network_id, ${nowMicros}::bigint) IN ('APPROVALS', 'SCREENING')))
    ORDER BY ${keyset.orderBy} LIMIT ${keyset.limit}`.execute(db);
  return pageOf(rows.map(policyOf), page);
}

/** One result per id, in their order; null where there is no such withdrawal. */
export async function readWithdrawalPolicies(
  db: Database,
  withdrawalIds: readonly string[],
  nowMicros: Micros,
): Promise<(WithdrawalPolicy | null)[]> {
  const { rows } = await sql<Row>`
    ${selectAt(nowMicros)} WHERE w.id = ANY (${[...withdrawalIds]}::text[])`.execute(db);
  const byId = new Map(rows.map((row) => [row.withdrawalId, policyOf(row)]));
  return withdrawalIds.map((id) => byId.get(id) ?? null);
}

type Row = Omit<WithdrawalPolicy, 'intentHash' | 'approvals' | 'reasons'> & {
  readonly intentHash: Buffer;
  readonly reasons: readonly Reason[] | null;
  readonly approvals:
    | readonly (Omit<WithdrawalApproval, 'decidedAt' | 'expiresAt'> & {
        readonly decidedAt: string;
        readonly expiresAt: string;
      })[]
    | null;
};

function selectAt(nowMicros: Micros) {
  return sql`
    SELECT w.id AS "withdrawalId", w.created_at AS "createdAt", withdrawal_intent_hash(w.id) AS "intentHash",
      policy_leave(w.id, w.verdict, w.network_id, ${nowMicros}::bigint) AS leave, v.policy_version AS "policyVersion", v.kind AS verdict,
      v.reasons, v.decided_at AS "decidedAt", coalesce(v.approvals_needed, 0)::int AS "approvalsNeeded", v.expires_at AS "expiresAt",
      (SELECT count(DISTINCT yes.person)::int FROM withdrawal_approval yes
       WHERE yes.withdrawal_id = w.id AND yes.decision = 'APPROVE' AND yes.expires_at > ${nowMicros}::bigint
         AND yes.intent_hash = withdrawal_intent_hash(w.id)) AS "approvalsGiven",
      (SELECT json_agg(json_build_object('decision', a.decision, 'decidedBy', a.decided_by, 'person', a.person,
         'decidedAt', a.decided_at::text, 'expiresAt', a.expires_at::text, 'why', a.why, 'intentHash', '1:' || encode(a.intent_hash, 'hex'))
         ORDER BY a.id) FROM withdrawal_approval a WHERE a.withdrawal_id = w.id) AS approvals,
      (SELECT json_build_object('state', s.state, 'caseId', s.case_id, 'reason', s.reason, 'lastError', s.last_error)
       FROM withdrawal_screening s WHERE s.withdrawal_id = w.id) AS screening
    FROM withdrawal w LEFT JOIN policy_verdict v ON v.withdrawal_id = w.id AND v.number = w.verdict`;
}

function policyOf({ intentHash, approvals, reasons, ...row }: Row): WithdrawalPolicy {
  return {
    ...row,
    intentHash: formatIntentHash(intentHash),
    reasons: reasons ?? [],
    approvals: (approvals ?? []).map(({ decidedAt, expiresAt, ...approval }) => ({
      ...approval,
      decidedAt: BigInt(decidedAt),
      expiresAt: BigInt(expiresAt),
    })),
  };
}
