/**
 * Which policy holds. Versions are rows that never change; the one in force is a row that moves on when the next one's time has come, moved by whoever finds that first: a request, an approval, or the loop.
 *
 * Whoever judges holds the version still until he commits, by a shared advisory lock; whoever moves it on holds the lock alone. So what was judged by a version was committed while that one was in force, and what comes
 * after a change is judged by the new one.
 */
import { sql } from 'kysely';
import type { Database, Transaction } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';
import { NO_POLICY, type PolicyDocument, parsePolicy } from './policy-document.ts';

export type PolicyInForce = {
  /** 0: nobody has set one, and everything is allowed. */
  readonly version: number;
  readonly document: PolicyDocument;
};

/** The policy by which `tx` may judge until it commits. Call it before any other lock of the policy is taken. */
export async function holdPolicy(tx: Transaction, networkId: number, nowMicros: Micros): Promise<PolicyInForce> {
  const { inForce, due } = await readVersions(tx, networkId, nowMicros);
  if (due > inForce) {
    await sql`SELECT pg_advisory_xact_lock(${lockOf(networkId)})`.execute(tx);
    await sql`
      INSERT INTO policy_in_force (network_id, version, since) VALUES (${networkId}, ${due}, ${nowMicros})
      ON CONFLICT (network_id) DO UPDATE SET version = excluded.version, since = excluded.since
      WHERE policy_in_force.version < excluded.version`.execute(tx);
  } else {
    await sql`SELECT pg_advisory_xact_lock_shared(${lockOf(networkId)})`.execute(tx);
  }
  return await readInForce(tx, networkId);
}

/** For those who only look: what would hold at this moment, without moving it on. */
export async function readPolicy(db: Database, networkId: number, nowMicros: Micros): Promise<PolicyInForce> {
  const { inForce, due } = await readVersions(db, networkId, nowMicros);
  return await readVersion(db, networkId, Math.max(inForce, due));
}

async function readInForce(db: Database, networkId: number): Promise<PolicyInForce> {
  const { rows } = await sql<{ version: number }>`
    SELECT version FROM policy_in_force WHERE network_id = ${networkId}`.execute(db);
  return await readVersion(db, networkId, rows[0]?.version ?? 0);
}

async function readVersion(db: Database, networkId: number, version: number): Promise<PolicyInForce> {
  if (version === 0) return { version, document: NO_POLICY };
  const { rows } = await sql<{ document: string }>`
    SELECT p.document FROM policy_version v JOIN policy_proposal p ON p.id = v.proposal_id
    WHERE v.network_id = ${networkId} AND v.version = ${version}`.execute(db);
  // One that a newer release wrote and this one cannot read is not passed over: nothing is judged.
  return { version, document: parsePolicy(rows[0]?.document ?? '') };
}

async function readVersions(
  db: Database,
  networkId: number,
  nowMicros: Micros,
): Promise<{ readonly inForce: number; readonly due: number }> {
  const { rows } = await sql<{ inForce: number; due: number }>`
    SELECT coalesce((SELECT version FROM policy_in_force WHERE network_id = ${networkId}), 0) AS "inForce",
      coalesce((SELECT max(version) FROM policy_version WHERE network_id = ${networkId} AND effective_at <= ${nowMicros}), 0) AS due`.execute(
    db,
  );
  return rows[0] ?? { inForce: 0, due: 0 };
}

function lockOf(networkId: number) {
  return sql`hashtextextended(${`sluice policy ${networkId}`}, 0)`;
}
