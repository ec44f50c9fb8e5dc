/** What became of a database that went back in time: what was noticed, what was made anew from the ledger, what waits for a person, and what is gone as far as can be told. */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import { isHeldByRestore, isRestoring, safeRecordTime } from '../db/database-restore.ts';
import type { Micros } from '../env/clock.ts';
import { homeSynchronizerOf } from '../ingestion/home-synchronizer.ts';
import { IS_UNKNOWN_PAYMENT } from '../withdrawals/reopening.ts';

export type Restore = {
  readonly noticedAt: Micros;
  readonly noticedBy: string;
  readonly detail: string;
  /** Null: every one. */
  readonly treasury: string | null;
  /** Of the event log, that somebody had seen; null: unknown. */
  readonly lostEvents: bigint | null;
  /** When the last event was recorded that is still there; null: there is none. */
  readonly keptUntil: Micros | null;
  readonly putBack: { readonly freezes: number; readonly halts: number };
};

export type RestoredTreasury = {
  readonly name: string;
  readonly isFrozen: boolean;
  readonly safeRecordTime: Micros;
  /** Null: nothing was read of its synchronizer yet. */
  readonly recordTime: Micros | null;
};

export type RestoredWithdrawal = {
  readonly id: string;
  readonly client: string;
  readonly idempotencyKey: string;
  readonly state: string;
  readonly amount: string;
  readonly instrument: string;
};

export type RestoreReport = {
  readonly restores: readonly Restore[];
  readonly treasuries: readonly RestoredTreasury[];
  /** Made anew from their payments. */
  readonly madeAnew: readonly RestoredWithdrawal[];
  /** They were open, and the ledger showed that they are paid. */
  readonly foundPaid: readonly RestoredWithdrawal[];
  /** Held: nobody knows whether their clients were told of an end since. */
  readonly waiting: readonly RestoredWithdrawal[];
  /** Transfers of ours that nothing could be made of. */
  readonly unknownPayments: readonly {
    readonly transferId: string;
    readonly withdrawalId: string;
    readonly amount: string;
  }[];
  /** Memos that deposits since then name, and that are not registered: they may have been. */
  readonly unknownMemos: readonly { readonly memo: string; readonly count: number }[];
  /** Deposits that were sent back, and whose decision is gone. */
  readonly refunds: readonly { readonly withdrawalId: string; readonly transferId: string }[];
};

/** @param limit of each list. */
export async function readRestoreReport(db: Database, limit: number): Promise<RestoreReport> {
  const restores = await readRestores(db);
  const [first] = restores;
  const keptUntil = restores.reduce<Micros | null>(
    (oldest, { keptUntil: until }) => (until !== null && (oldest === null || until < oldest) ? until : oldest),
    first?.keptUntil ?? null,
  );
  return {
    restores,
    treasuries: await readTreasuries(db),
    madeAnew: await withdrawalsWhere(db, sql`w.recovered_at IS NOT NULL`, limit),
    foundPaid: await withdrawalsWhere(
      db,
      sql`w.recovered_at IS NULL AND w.state IN ('COMPLETED', 'OFFERED') AND ${HELD_ONCE}`,
      limit,
    ),
    waiting: await withdrawalsWhere(
      db,
      sql`w.state IN ('REQUESTED', 'AWAITING_APPROVAL', 'QUEUED', 'IN_FLIGHT') AND ${isHeldByRestore(sql`w.id`)}`,
      limit,
    ),
    unknownPayments: await readUnknownPayments(db, limit),
    unknownMemos: keptUntil === null ? [] : await readUnknownMemos(db, keptUntil, limit),
    refunds: await readRefunds(db, limit),
  };
}

const HELD_ONCE = sql<boolean>`EXISTS (SELECT FROM restored_withdrawal r WHERE r.withdrawal_id = w.id)`;

async function readRestores(db: Database): Promise<readonly Restore[]> {
  const { rows } = await sql<Restore>`
    SELECT r.noticed_at AS "noticedAt", r.noticed_by AS "noticedBy", r.detail, t.name AS treasury, r.lost_events AS "lostEvents",
      (SELECT e.recorded_at FROM event e WHERE e.position <= epoch.shared_position ORDER BY e.position DESC LIMIT 1) AS "keptUntil",
      json_build_object('freezes', coalesce(jsonb_array_length(r.put_back -> 'freezes'), 0), 'halts', coalesce(jsonb_array_length(r.put_back -> 'halts'), 0)) AS "putBack"
    FROM database_restore r LEFT JOIN treasury_party t ON t.id = r.treasury_id
    LEFT JOIN LATERAL (
      SELECT shared_position FROM event_log_epoch WHERE r.cause LIKE 'event-log:%' AND ended_at = r.noticed_at LIMIT 1
    ) AS epoch ON true
    ORDER BY r.noticed_at DESC, r.cause LIMIT 20`.execute(db);
  return rows;
}

async function readTreasuries(db: Database): Promise<readonly RestoredTreasury[]> {
  const { rows } = await sql<RestoredTreasury>`
    SELECT t.name, ${isRestoring(sql`t.id`)} AS "isFrozen", ${safeRecordTime(sql`t.id`)}::bigint AS "safeRecordTime",
      (SELECT c.record_time FROM synchronizer_time c WHERE c.treasury_id = t.id AND c.synchronizer_id = ${homeSynchronizerOf(sql`t.id`)}) AS "recordTime"
    FROM treasury_party t ORDER BY t.name, t.id`.execute(db);
  return rows;
}

async function withdrawalsWhere(
  db: Database,
  condition: ReturnType<typeof sql>,
  limit: number,
): Promise<readonly RestoredWithdrawal[]> {
  const { rows } = await sql<RestoredWithdrawal>`
    SELECT w.id, w.client, w.idempotency_key AS "idempotencyKey", w.state, w.amount::text AS amount, i.instrument_id AS instrument
    FROM withdrawal w JOIN instrument i ON i.id = w.instrument_id
    WHERE ${condition} ORDER BY w.created_at, w.id LIMIT ${limit}`.execute(db);
  return rows;
}

async function readUnknownPayments(db: Database, limit: number) {
  const { rows } = await sql<{ transferId: string; withdrawalId: string; amount: string }>`
    SELECT t.id AS "transferId", left(t.transfer_object #>> '{meta,values,sluice.dev/withdrawal-id}', 100) AS "withdrawalId", t.amount::text AS amount
    FROM transfer t WHERE ${IS_UNKNOWN_PAYMENT} ORDER BY t.record_time, t.id LIMIT ${limit}`.execute(db);
  return rows;
}

async function readUnknownMemos(db: Database, since: Micros, limit: number) {
  const { rows } = await sql<{ memo: string; count: number }>`
    SELECT memo, count(*)::int AS count FROM desk_case
    WHERE why = 'UNKNOWN_MEMO' AND state = 'OPEN' AND memo IS NOT NULL AND record_time >= ${since} GROUP BY memo ORDER BY memo LIMIT ${limit}`.execute(
    db,
  );
  return rows;
}

async function readRefunds(db: Database, limit: number) {
  const { rows } = await sql<{ withdrawalId: string; transferId: string }>`
    SELECT w.id AS "withdrawalId", a.owner AS "transferId" FROM withdrawal w JOIN account a ON a.id = w.account_id
    WHERE w.recovered_at IS NOT NULL AND a.kind = 'REFUNDS' AND w.state NOT IN ('REJECTED', 'CANCELLED', 'FAILED', 'RETURNED')
      AND NOT EXISTS (SELECT FROM desk_case d WHERE d.withdrawal_id = w.id) ORDER BY w.created_at, w.id LIMIT ${limit}`.execute(
    db,
  );
  return rows;
}
