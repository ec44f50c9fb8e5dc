/** The policy in force, the one that is to follow it, and what is proposed. */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';
import type { PolicyJudgementTable } from '../gen/db.ts';
import { readDemanded } from '../policy/policy-changes.ts';
import { NO_POLICY, type PolicyDocument, printPolicy } from '../policy/policy-document.ts';
import { readPolicy } from '../policy/policy-in-force.ts';

export type Policy = {
  /** 0: nobody has set one, and everything is allowed. */
  readonly version: number;
  /** Canonical JSON. */
  readonly document: string;
  /** What the next change takes. */
  readonly change: PolicyDocument['change'];
  /** Newest first: what waits for approvals or for its time, and what became of the last ones. */
  readonly proposals: readonly PolicyProposal[];
};

export type PolicyProposalState = 'OPEN' | 'ENACTED' | 'IN_FORCE' | 'REPLACED' | 'REFUSED' | 'EXPIRED' | 'OUTDATED';

export type PolicyProposal = {
  readonly id: bigint;
  readonly document: string;
  /** Hex. */
  readonly hash: string;
  readonly state: PolicyProposalState;
  readonly why: string;
  readonly proposedBy: string;
  readonly proposedAt: Micros;
  readonly expiresAt: Micros;
  /** Null: it was not enacted. */
  readonly version: number | null;
  readonly effectiveAt: Micros | null;
  readonly judgements: readonly PolicyJudgement[];
};

export type PolicyJudgement = {
  readonly decision: PolicyJudgementTable['decision'];
  readonly judgedBy: string;
  readonly judgedAt: Micros;
  readonly why: string;
};

const PROPOSALS_SHOWN = 20;

/** @returns null: there is no such network here yet. */
export async function readPolicyOf(db: Database, network: string, nowMicros: Micros): Promise<Policy | null> {
  const found = await db.selectFrom('network').select('id').where('name', '=', network).executeTakeFirst();
  if (found === undefined) return null;
  const { version, document } = await readPolicy(db, found.id, nowMicros);
  return {
    version,
    document: printPolicy(document),
    change: version === 0 ? NO_POLICY.change : await readDemanded(db, found.id),
    proposals: await readProposals(db, found.id, { version, nowMicros, id: null }),
  };
}

/** @returns null: there is no such proposal. */
export async function readPolicyProposal(db: Database, id: bigint, nowMicros: Micros): Promise<PolicyProposal | null> {
  const found = await db.selectFrom('policy_proposal').select('network_id').where('id', '=', id).executeTakeFirst();
  if (found === undefined) return null;
  const { version } = await readPolicy(db, found.network_id, nowMicros);
  return (await readProposals(db, found.network_id, { version, nowMicros, id }))[0] ?? null;
}

async function readProposals(
  db: Database,
  networkId: number,
  { version, nowMicros, id }: { readonly version: number; readonly nowMicros: Micros; readonly id: bigint | null },
): Promise<readonly PolicyProposal[]> {
  const { rows } = await sql<
    Omit<PolicyProposal, 'judgements'> & {
      readonly judgements: readonly (Omit<PolicyJudgement, 'judgedAt'> & { readonly judgedAt: string })[] | null;
    }
  >`
    SELECT p.id, p.document, encode(p.document_hash, 'hex') AS hash, p.why, p.proposed_by AS "proposedBy", p.proposed_at AS "proposedAt",
      p.expires_at AS "expiresAt", v.version, v.effective_at AS "effectiveAt",
      CASE
        WHEN v.version = ${version} THEN 'IN_FORCE' WHEN v.version < ${version} THEN 'REPLACED' WHEN v.version IS NOT NULL THEN 'ENACTED'
        WHEN EXISTS (SELECT FROM policy_judgement no WHERE no.proposal_id = p.id AND no.decision = 'REFUSE') THEN 'REFUSED'
        WHEN p.based_on < (SELECT coalesce(max(n.version), 0) FROM policy_version n WHERE n.network_id = p.network_id) THEN 'OUTDATED'
        WHEN p.expires_at <= ${nowMicros} THEN 'EXPIRED'
        ELSE 'OPEN'
      END AS state,
      (SELECT json_agg(json_build_object('decision', j.decision, 'judgedBy', j.judged_by, 'judgedAt', j.judged_at::text, 'why', j.why)
         ORDER BY j.judged_at, j.person) FROM policy_judgement j WHERE j.proposal_id = p.id) AS judgements
    FROM policy_proposal p LEFT JOIN policy_version v ON v.proposal_id = p.id
    WHERE p.network_id = ${networkId} AND ${id === null ? sql`true` : sql`p.id = ${id}`}
    ORDER BY p.id DESC LIMIT ${PROPOSALS_SHOWN}`.execute(db);
  return rows.map(({ judgements, ...row }) => ({
    ...row,
    judgements: (judgements ?? []).map(({ judgedAt, ...judgement }) => ({ ...judgement, judgedAt: BigInt(judgedAt) })),
  }));
}
