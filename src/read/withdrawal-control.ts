/** What people have done about withdrawals: holds, parking, and what two of them decided; and why nobody can read how one ended. */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';
import type { Resolution } from '../withdrawals/withdrawal-state.ts';
import type { StopKind } from '../withdrawals/withdrawal-stops.ts';

export type WithdrawalStop = {
  readonly kind: StopKind;
  readonly why: string;
  /** Wall clock, as all times here. */
  readonly setAt: Micros;
  readonly setBy: string;
  /** Null: it stands. */
  readonly releasedAt: Micros | null;
  readonly releasedBy: string | null;
  readonly releaseWhy: string | null;
};

/** Per withdrawal, in the order of the ids, oldest first. */
export async function readStopsOf(db: Database, ids: readonly string[]): Promise<WithdrawalStop[][]> {
  const { rows } = await sql<WithdrawalStop & { withdrawalId: string }>`
    SELECT withdrawal_id AS "withdrawalId", kind, why, set_at AS "setAt", set_by AS "setBy", released_at AS "releasedAt",
      released_by AS "releasedBy", release_why AS "releaseWhy"
    FROM withdrawal_stop WHERE withdrawal_id = ANY (${[...ids]}::text[]) ORDER BY withdrawal_id, id`.execute(db);
  const byWithdrawal = Map.groupBy(rows, ({ withdrawalId }) => withdrawalId);
  return ids.map((id) => byWithdrawal.get(id) ?? []);
}

export type WithdrawalResolution = {
  readonly id: bigint;
  readonly outcome: Resolution;
  readonly evidence: string;
  readonly updateId: string | null;
  readonly state: 'AWAITING_APPROVAL' | 'DONE' | 'REFUSED';
  readonly requestedBy: string;
  readonly requestedAt: Micros;
  /** Null: it waits. */
  readonly decidedBy: string | null;
  readonly decidedAt: Micros | null;
  readonly decidedReason: string | null;
};

/** Per withdrawal, in the order of the ids, oldest first. */
export async function readResolutionsOf(db: Database, ids: readonly string[]): Promise<WithdrawalResolution[][]> {
  const { rows } = await sql<WithdrawalResolution & { withdrawalId: string }>`
    SELECT withdrawal_id AS "withdrawalId", id, outcome, evidence, update_id AS "updateId", state, requested_by AS "requestedBy",
      requested_at AS "requestedAt", decided_by AS "decidedBy", decided_at AS "decidedAt", decided_reason AS "decidedReason"
    FROM withdrawal_resolution WHERE withdrawal_id = ANY (${[...ids]}::text[]) ORDER BY withdrawal_id, id`.execute(db);
  const byWithdrawal = Map.groupBy(rows, ({ withdrawalId }) => withdrawalId);
  return ids.map((id) => byWithdrawal.get(id) ?? []);
}

/** The withdrawal that a resolution is about; null: there is no such resolution. */
export async function readWithdrawalOfResolution(db: Database, resolutionId: bigint): Promise<string | null> {
  const { rows } = await sql<{ id: string }>`
    SELECT withdrawal_id AS id FROM withdrawal_resolution WHERE id::numeric = ${resolutionId.toString()}::numeric`.execute(
    db,
  );
  return rows[0]?.id ?? null;
}

export type WithdrawalDoubt = { readonly code: string; readonly detail: string };

/** Per withdrawal, in the order of the ids: why nobody can, or could, read how it ended; null: somebody can. */
export async function readDoubtsOf(db: Database, ids: readonly string[]): Promise<(WithdrawalDoubt | null)[]> {
  const { rows } = await sql<WithdrawalDoubt & { withdrawalId: string }>`
    SELECT id AS "withdrawalId", doubt_code AS code, coalesce(doubt_detail, '') AS detail
    FROM withdrawal WHERE id = ANY (${[...ids]}::text[]) AND doubt_code IS NOT NULL`.execute(db);
  const byWithdrawal = new Map(rows.map(({ withdrawalId, code, detail }) => [withdrawalId, { code, detail }]));
  return ids.map((id) => byWithdrawal.get(id) ?? null);
}
