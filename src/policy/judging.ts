/**
 * Has the policy judge a withdrawal and keeps what it said: at the request, and again whenever another version is in force. Facts about others are gathered under locks that last until the verdict is committed. A verdict is a
 * row that never changes; the withdrawal points at the newest.
 */
import { sql } from 'kysely';
import type { Database, Transaction } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';
import { assert } from '../env/errors.ts';
import { parseAmount } from '../tokens/amount.ts';
import { announceApproval } from './approval-events.ts';
import { holdPolicy, type PolicyInForce, readPolicy } from './policy-in-force.ts';
import { countVelocities, lockVelocities, type VelocityPlace, type VelocitySubject } from './velocity.ts';
import { judge, notLessThan, type PolicyVerdict, velocityQuestions, type WithdrawalFacts } from './verdict.ts';
import { openWithdrawalScreening } from './withdrawal-screening-rows.ts';

export type Judged = { readonly policyVersion: number; readonly verdict: PolicyVerdict };

export type Judgeable = {
  readonly networkId: number;
  readonly facts: WithdrawalFacts;
  readonly subject: VelocitySubject;
};

/** Judges what is about to be asked for. Call it before the withdrawal's row is written, or two requests could wait for each other. */
export async function judgeRequest(tx: Transaction, request: Judgeable, nowMicros: Micros): Promise<Judged> {
  const policy = await holdPolicy(tx, request.networkId, nowMicros);
  return await judgeBy(tx, policy, request, { place: null, nowMicros });
}

/**
 * As {@link judgeRequest}, for several of one network, of whom only those get a verdict here that are allowed, and about whom nobody has to be counted.
 * @returns their verdicts, in their order; null for one that is to be judged by itself.
 */
export async function judgePlain(
  tx: Transaction,
  networkId: number,
  requests: readonly Judgeable[],
  nowMicros: Micros,
): Promise<readonly (Judged | null)[]> {
  const policy = await holdPolicy(tx, networkId, nowMicros);
  return requests.map(({ facts }) => {
    if (velocityQuestions(policy.document, facts).length > 0) return null;
    const verdict = judge(policy.document, facts, () => ({ count: 0, sum: 0n }));
    return verdict.kind === 'ALLOW' ? { policyVersion: policy.version, verdict } : null;
  });
}

/** What would be said of a request at this moment. Holds nobody up and promises nothing. */
export async function lookAhead(db: Database, request: Judgeable, nowMicros: Micros): Promise<Judged> {
  const policy = await readPolicy(db, request.networkId, nowMicros);
  const questions = velocityQuestions(policy.document, request.facts);
  const velocityOf = await countVelocities(db, request.subject, questions, { place: null, nowMicros });
  return { policyVersion: policy.version, verdict: judge(policy.document, request.facts, velocityOf) };
}

/**
 * Judges a withdrawal, whose row `tx` has locked, by the policy in force, and never asks less of it than before. One withdrawal per transaction: the locks of two could wait for each other.
 * @returns what counts from now on; it is stored.
 */
export async function judgeAgain(tx: Transaction, withdrawalId: string, nowMicros: Micros): Promise<Judged> {
  const row = await readJudgeable(tx, withdrawalId);
  const policy = await holdPolicy(tx, row.networkId, nowMicros);
  const place = { id: withdrawalId, createdAt: row.createdAt };
  const judged = await judgeBy(tx, policy, row, { place, nowMicros });
  const earlier = await readEarlier(tx, withdrawalId);
  const verdict = notLessThan(judged.verdict, earlier);
  await tx
    .updateTable('withdrawal')
    .set({ verdict: row.number + 1 })
    .where('id', '=', withdrawalId)
    .execute();
  await recordVerdict(tx, { withdrawalId, number: row.number + 1, judged: { ...judged, verdict }, nowMicros });
  return { ...judged, verdict };
}

/** Keeps a verdict, and asks whom it has to be asked. */
export async function recordVerdict(
  tx: Transaction,
  {
    withdrawalId,
    number,
    judged: { policyVersion, verdict },
    nowMicros,
  }: {
    readonly withdrawalId: string;
    readonly number: number;
    readonly judged: Judged;
    readonly nowMicros: Micros;
  },
): Promise<void> {
  const { kind, approvalsNeeded, needsScreening, approvalSeconds, reasons } = verdict;
  const expiresAt = approvalsNeeded > 0 ? nowMicros + BigInt(approvalSeconds) * 1_000_000n : null;
  await sql`
    INSERT INTO policy_verdict (withdrawal_id, number, policy_version, kind, approvals_needed, needs_screening, approval_seconds, reasons,
      intent_hash, decided_at, expires_at)
    VALUES (${withdrawalId}, ${number}, ${policyVersion}, ${kind}, ${approvalsNeeded}, ${needsScreening}, ${approvalSeconds},
      ${JSON.stringify(reasons)}::jsonb, withdrawal_intent_hash(${withdrawalId}), ${nowMicros}, ${expiresAt})`.execute(
    tx,
  );
  if (needsScreening) await openWithdrawalScreening(tx, withdrawalId, nowMicros);
  if (kind !== 'NEEDS') return;
  await announceApproval(tx, { withdrawalId, change: 'ASKED', verdict: number, by: 'policy', nowMicros });
}

async function judgeBy(
  tx: Transaction,
  policy: PolicyInForce,
  { facts, subject }: Judgeable,
  when: { readonly place: VelocityPlace; readonly nowMicros: Micros },
): Promise<Judged> {
  const questions = velocityQuestions(policy.document, facts);
  await lockVelocities(tx, subject, questions);
  const velocityOf = await countVelocities(tx, subject, questions, when);
  return { policyVersion: policy.version, verdict: judge(policy.document, facts, velocityOf) };
}

async function readEarlier(tx: Transaction, withdrawalId: string) {
  const row = await tx
    .selectFrom('policy_verdict as v')
    .innerJoin('withdrawal as w', (join) =>
      join.onRef('w.id', '=', 'v.withdrawal_id').onRef('w.verdict', '=', 'v.number'),
    )
    .select(['v.kind', 'v.approvals_needed', 'v.needs_screening'])
    .where('w.id', '=', withdrawalId)
    .executeTakeFirst();
  if (row === undefined) return null;
  return { kind: row.kind, approvalsNeeded: row.approvals_needed, needsScreening: row.needs_screening };
}

type JudgeableRow = Judgeable & { readonly number: number; readonly createdAt: Micros };

async function readJudgeable(tx: Transaction, withdrawalId: string): Promise<JudgeableRow> {
  const { rows } = await sql<{
    networkId: number;
    accountId: bigint;
    accountKind: string;
    account: string;
    receiver: string;
    client: string;
    treasuryId: number;
    treasuryParty: string;
    instrumentKey: number;
    admin: string;
    instrumentId: string;
    amount: string;
    number: number;
    createdAt: bigint;
  }>`
    SELECT w.network_id AS "networkId", w.account_id AS "accountId", a.kind AS "accountKind", a.owner AS account, w.receiver, w.client,
      w.treasury_id AS "treasuryId", p.party AS "treasuryParty", w.instrument_id AS "instrumentKey", i.admin,
      i.instrument_id AS "instrumentId", w.amount::text AS amount, w.verdict AS number, w.created_at AS "createdAt"
    FROM withdrawal w JOIN account a ON a.id = w.account_id JOIN treasury_party p ON p.id = w.treasury_id
    JOIN instrument i ON i.id = w.instrument_id
    WHERE w.id = ${withdrawalId}`.execute(tx);
  const [row] = rows;
  assert(row !== undefined, 'A withdrawal that is to be judged is not there.', { withdrawalId });
  const { networkId, accountId, receiver, client, treasuryId, instrumentKey, number, createdAt } = row;
  return {
    networkId,
    number,
    createdAt,
    subject: { accountId, receiver, client, treasuryId, instrumentKey },
    facts: {
      account: row.accountKind === 'CUSTOMER' ? row.account : null,
      client,
      receiver,
      treasuryParty: row.treasuryParty,
      instrument: { admin: row.admin, id: row.instrumentId },
      amount: parseAmount(row.amount),
    },
  };
}
