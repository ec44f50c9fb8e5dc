/**
 * How the policy changes: one person proposes, as many others approve as the policy in force demands (the most of those that hold or are about to), and after its delay it holds. So nobody lowers a threshold and uses
 * that alone, and there is time to see it coming. Proposals, what was said to them and versions are rows that never change.
 *
 * The first policy is set by whoever runs the installation, from the command line: there is none that could say who approves it, and everything was allowed before.
 */
import { sql } from 'kysely';
import type { Database, Transaction } from '../db/connection.ts';
import { appendEvents } from '../db/event-log.ts';
import type { Clock, Micros } from '../env/clock.ts';
import { PermanentError } from '../env/errors.ts';
import { personOf } from '../env/person.ts';
import { eventId } from '../tokens/ids.ts';
import { isReason } from './approval-refusal.ts';
import { PolicyChangeRefusal } from './policy-change-refusal.ts';
import { type PolicyDocument, parsePolicy, printPolicy } from './policy-document.ts';
import { holdPolicy } from './policy-in-force.ts';

export type PolicyChanges = {
  /** @param wanted.document JSON, as policy-document.ts has it. @returns the proposal's number. @throws PolicyChangeRefusal. */
  propose(wanted: { readonly document: string; readonly why: string; readonly by: string }): Promise<bigint>;
  /** Puts the first policy in force at once. @returns its proposal's number. @throws PolicyChangeRefusal: where there is one, it is changed by proposal. */
  setFirst(wanted: { readonly document: string; readonly why: string; readonly by: string }): Promise<bigint>;
  /** The last approval that was needed enacts it; it holds after its delay. Harmless when repeated. @throws PolicyChangeRefusal. */
  approve(judgement: PolicyJudgement): Promise<void>;
  /** It is over, whatever others said. Also for its proposer. @throws PolicyChangeRefusal. */
  refuse(judgement: PolicyJudgement): Promise<void>;
};

export type PolicyJudgement = {
  readonly proposalId: bigint;
  /** Of the document, hex, as it was shown. */
  readonly hash: string;
  readonly why: string;
  readonly by: string;
};

/** An event of the log: its subject is `policy:<network>`. */
export const POLICY_CHANGED = 'policy.changed';

const PROPOSAL_MICROS = 7n * 86_400n * 1_000_000n; // What nobody approves in a week is proposed again by whoever still wants it.
const BIGINT_MAX = 2n ** 63n - 1n;

export function createPolicyChanges({
  db,
  clock,
  network,
}: {
  readonly db: Database;
  readonly clock: Clock;
  readonly network: string;
}): PolicyChanges {
  return {
    propose: async (wanted) =>
      await locked(async (tx, networkId, nowMicros) => {
        const newest = await newestVersion(tx, networkId);
        if (newest === 0) throw new PolicyChangeRefusal('POLICY_NOT_SET');
        return await insertProposal(tx, { ...wanted, networkId, basedOn: newest, nowMicros });
      }),
    setFirst: async (wanted) => {
      const proposalId = await locked(async (tx, networkId, nowMicros) => {
        if ((await newestVersion(tx, networkId)) > 0) {
          throw new PolicyChangeRefusal('PROPOSAL_CLOSED', 'There is a policy: it is changed by a proposal.');
        }
        const id = await insertProposal(tx, { ...wanted, networkId, basedOn: 0, nowMicros });
        await enact(tx, { networkId, version: 1, proposalId: id, by: wanted.by, nowMicros, effectiveAt: nowMicros });
        return id;
      });
      // Its time has come: from here on it holds, also for who was judged by none.
      await locked(async () => undefined);
      return proposalId;
    },
    approve: async (judgement) => await judge(judgement, 'APPROVE'),
    refuse: async (judgement) => await judge(judgement, 'REFUSE'),
  };

  /** One change of the policy at a time: they are rare, and each looks at what the others did. */
  async function locked<T>(work: (tx: Transaction, networkId: number, nowMicros: Micros) => Promise<T>): Promise<T> {
    const nowMicros = clock.nowMicros();
    return await db.transaction().execute(async (tx) => {
      const found = await tx.selectFrom('network').select('id').where('name', '=', network).executeTakeFirst();
      if (found === undefined) throw new PolicyChangeRefusal('NETWORK_UNKNOWN');
      await sql`SELECT pg_advisory_xact_lock(hashtextextended(${`sluice policy change ${found.id}`}, 0))`.execute(tx);
      await holdPolicy(tx, found.id, nowMicros);
      return await work(tx, found.id, nowMicros);
    });
  }

  async function judge(judgement: PolicyJudgement, decision: 'APPROVE' | 'REFUSE'): Promise<void> {
    const { proposalId, by, why, hash } = judgement;
    if (!isReason(why)) throw new PolicyChangeRefusal('REASON_INVALID');
    if (proposalId < 1n || proposalId > BIGINT_MAX) throw new PolicyChangeRefusal('PROPOSAL_UNKNOWN');
    await locked(async (tx, networkId, nowMicros) => {
      const proposal = await readProposal(tx, networkId, proposalId, by);
      if (proposal === null) throw new PolicyChangeRefusal('PROPOSAL_UNKNOWN');
      if (proposal.earlier === decision) return;
      if (proposal.earlier !== null) throw new PolicyChangeRefusal('ALREADY_DECIDED');
      if (proposal.hash.toString('hex') !== hash) throw new PolicyChangeRefusal('PROPOSAL_CHANGED');
      if (decision === 'APPROVE' && proposal.proposer === personOf(by)) throw new PolicyChangeRefusal('SAME_PERSON');
      const newest = await newestVersion(tx, networkId);
      if (proposal.isClosed || proposal.basedOn !== newest || proposal.expiresAt <= nowMicros) {
        throw new PolicyChangeRefusal('PROPOSAL_CLOSED');
      }
      await tx
        .insertInto('policy_judgement')
        .values({
          proposal_id: proposalId,
          decision,
          document_hash: proposal.hash,
          judged_by: by,
          judged_at: nowMicros,
          why,
        })
        .execute();
      await announce(tx, {
        networkId,
        proposalId,
        change: decision === 'APPROVE' ? 'APPROVED' : 'REFUSED',
        by,
        nowMicros,
      });
      if (decision === 'REFUSE') return;
      const demanded = await readDemanded(tx, networkId);
      if (proposal.given + 1 < demanded.approvals) return;
      const effectiveAt = nowMicros + BigInt(demanded.delaySeconds) * 1_000_000n;
      await enact(tx, { networkId, version: newest + 1, proposalId, by, nowMicros, effectiveAt });
    });
  }
}

/** What the next change takes: the most that a version demands which holds, or is about to. */
export async function readDemanded(db: Database, networkId: number): Promise<PolicyDocument['change']> {
  const { rows } = await sql<{ document: string }>`
    SELECT p.document FROM policy_version v JOIN policy_proposal p ON p.id = v.proposal_id
    WHERE v.network_id = ${networkId}
      AND v.version >= coalesce((SELECT version FROM policy_in_force f WHERE f.network_id = ${networkId}), 0)`.execute(
    db,
  );
  const changes = rows.map(({ document }) => parsePolicy(document).change);
  return {
    approvals: Math.max(1, ...changes.map(({ approvals }) => approvals)),
    delaySeconds: Math.max(0, ...changes.map(({ delaySeconds }) => delaySeconds)),
  };
}

async function newestVersion(tx: Transaction, networkId: number): Promise<number> {
  const { rows } = await sql<{ version: number }>`
    SELECT coalesce(max(version), 0) AS version FROM policy_version WHERE network_id = ${networkId}`.execute(tx);
  return rows[0]?.version ?? 0;
}

async function insertProposal(
  tx: Transaction,
  wanted: {
    readonly document: string;
    readonly why: string;
    readonly by: string;
    readonly networkId: number;
    readonly basedOn: number;
    readonly nowMicros: Micros;
  },
): Promise<bigint> {
  const { why, by, networkId, basedOn, nowMicros } = wanted;
  if (!isReason(why)) throw new PolicyChangeRefusal('REASON_INVALID');
  const document = canonical(wanted.document);
  const { rows: same } = await sql`
    SELECT FROM policy_version v JOIN policy_proposal p ON p.id = v.proposal_id
    WHERE v.network_id = ${networkId} AND v.version = ${basedOn} AND p.document = ${document}`.execute(tx);
  if (same.length > 0) throw new PolicyChangeRefusal('POLICY_UNCHANGED');
  const { rows } = await sql<{ id: bigint }>`
    INSERT INTO policy_proposal (network_id, based_on, document, document_hash, why, proposed_by, proposed_at, expires_at)
    VALUES (${networkId}, ${basedOn}, ${document}, sha256(convert_to(${document}, 'UTF8')), ${why}, ${by}, ${nowMicros},
      ${nowMicros + PROPOSAL_MICROS})
    RETURNING id`.execute(tx);
  const proposalId = rows[0]?.id ?? 0n;
  await announce(tx, { networkId, proposalId, change: 'PROPOSED', by, nowMicros });
  return proposalId;
}

function canonical(document: string): string {
  try {
    return printPolicy(parsePolicy(document));
  } catch (error) {
    if (!(error instanceof PermanentError)) throw error;
    throw new PolicyChangeRefusal('POLICY_INVALID', error.message);
  }
}

type OpenProposal = {
  readonly basedOn: number;
  readonly hash: Buffer;
  readonly proposer: string;
  readonly expiresAt: Micros;
  readonly isClosed: boolean;
  readonly given: number;
  /** What this person said before. */
  readonly earlier: 'APPROVE' | 'REFUSE' | null;
};

async function readProposal(
  tx: Transaction,
  networkId: number,
  proposalId: bigint,
  by: string,
): Promise<OpenProposal | null> {
  const { rows } = await sql<OpenProposal>`
    SELECT p.based_on AS "basedOn", p.document_hash AS hash, p.proposer, p.expires_at AS "expiresAt",
      EXISTS (SELECT FROM policy_version v WHERE v.proposal_id = p.id)
        OR EXISTS (SELECT FROM policy_judgement no WHERE no.proposal_id = p.id AND no.decision = 'REFUSE') AS "isClosed",
      (SELECT count(*)::int FROM policy_judgement yes WHERE yes.proposal_id = p.id AND yes.decision = 'APPROVE') AS given,
      (SELECT own.decision FROM policy_judgement own WHERE own.proposal_id = p.id AND own.person = ${personOf(by)}) AS earlier
    FROM policy_proposal p WHERE p.id = ${proposalId} AND p.network_id = ${networkId} FOR UPDATE`.execute(tx);
  return rows[0] ?? null;
}

type Enactment = {
  readonly networkId: number;
  readonly version: number;
  readonly proposalId: bigint;
  readonly by: string;
  readonly nowMicros: Micros;
  readonly effectiveAt: Micros;
};

async function enact(tx: Transaction, { by, ...version }: Enactment): Promise<void> {
  const { networkId, proposalId, nowMicros } = version;
  await tx
    .insertInto('policy_version')
    .values({
      network_id: networkId,
      version: version.version,
      proposal_id: proposalId,
      enacted_at: nowMicros,
      effective_at: version.effectiveAt,
    })
    .execute();
  await announce(tx, { networkId, proposalId, change: 'ENACTED', by, nowMicros });
}

async function announce(
  tx: Transaction,
  told: {
    readonly networkId: number;
    readonly proposalId: bigint;
    readonly change: 'PROPOSED' | 'APPROVED' | 'REFUSED' | 'ENACTED';
    readonly by: string;
    readonly nowMicros: Micros;
  },
): Promise<void> {
  const { networkId, proposalId, change, by, nowMicros } = told;
  await appendEvents(tx, [
    {
      eventId: eventId(POLICY_CHANGED, `${networkId}/${proposalId}`, `${change}/${personOf(by)}`),
      type: POLICY_CHANGED,
      subject: `policy:${networkId}`,
      recordedAt: nowMicros,
      payload: { proposalId: proposalId.toString(), change, by, changedAt: nowMicros.toString() },
    },
  ]);
}
