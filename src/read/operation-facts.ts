/**
 * What the tables say of the state of operation, as numbers with names: one statement of one snapshot, over indexes and small tables, and one for what is stuck. Its cost does not grow with history.
 */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';
import { recordTimePassed } from '../ingestion/home-synchronizer.ts';
import { readStuckWithdrawals } from './stuck-withdrawals.ts';
import type { WaitsAt } from './withdrawal-waits.ts';

export type OperationFact = {
  /** The metric without its prefix `sluice_`. */
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** A count, bytes or seconds; exact up to 2^53, which none of them reaches. */
  readonly value: number;
};

const STUCK_MAX = 500;

/** @param nowMicros wall clock, which ages are counted from. */
export async function readOperationFacts(db: Database, at: WaitsAt): Promise<readonly OperationFact[]> {
  const { nowMicros } = at;
  const age = (column: string) => sql`greatest(${nowMicros}::bigint - ${sql.ref(column)}, 0)::float8 / 1e6`;
  const { rows } = await sql<OperationFact>`
    WITH stream AS (
      SELECT p.name AS treasury, s.*, ${recordTimePassed(sql`p.id`)} AS record_time, p.id AS party_id
      FROM treasury_party p LEFT JOIN ingestion_stream s ON s.treasury_id = p.id
    ), open_state AS (
      SELECT unnest(ARRAY['REQUESTED', 'AWAITING_APPROVAL', 'QUEUED', 'IN_FLIGHT', 'OFFERED', 'UNRESOLVED']) AS state
    ), open_withdrawal AS (
      SELECT state, count(*) AS count, min(created_at) AS oldest FROM withdrawal
      WHERE state IN ('REQUESTED', 'AWAITING_APPROVAL', 'QUEUED', 'IN_FLIGHT', 'OFFERED', 'UNRESOLVED') GROUP BY state
    ), newest_traffic AS (
      SELECT network_id, participant, max(read_at) AS read_at FROM traffic_reading GROUP BY network_id, participant
    )
    SELECT 'ingestion_halted' AS name, jsonb_build_object('treasury', treasury) AS labels, (coalesce(status, 'STARTING') = 'HALTED')::int::float8 AS value FROM stream
    UNION ALL SELECT 'ingestion_lag_seconds', jsonb_build_object('treasury', treasury), ${age('record_time')} FROM stream WHERE record_time IS NOT NULL
    UNION ALL SELECT 'ingestion_silence_seconds', jsonb_build_object('treasury', treasury), ${age('observed_at')} FROM stream WHERE observed_at IS NOT NULL
    UNION ALL SELECT 'ingestion_offset', jsonb_build_object('treasury', treasury), ledger_offset::float8 FROM stream WHERE ledger_offset IS NOT NULL
    UNION ALL SELECT 'ingestion_updates', jsonb_build_object('treasury', treasury), updates_count::float8 FROM stream WHERE updates_count IS NOT NULL
    UNION ALL SELECT 'ingestion_epochs', jsonb_build_object('treasury', treasury), (SELECT count(*) FROM stream_epoch e WHERE e.treasury_id = party_id)::float8 FROM stream
    UNION ALL SELECT 'quarantine_open', jsonb_build_object('treasury', treasury),
      (SELECT count(*) FROM quarantine q WHERE q.treasury_id = party_id AND q.closed_at IS NULL)::float8 FROM stream
    UNION ALL SELECT 'verification_age_seconds', jsonb_build_object('treasury', p.name), ${age('checked_at')}
      FROM verification v JOIN treasury_party p ON p.id = v.treasury_id WHERE v.checked_at IS NOT NULL
    UNION ALL SELECT 'books_differ', jsonb_build_object('treasury', p.name), (NOT v.is_equal)::int::float8
      FROM verification v JOIN treasury_party p ON p.id = v.treasury_id WHERE v.is_equal IS NOT NULL
    UNION ALL SELECT 'invariant_broken', jsonb_build_object('invariant', id), (faults_count > 0)::int::float8 FROM invariant_check
    UNION ALL SELECT 'invariant_age_seconds', '{}', greatest(${nowMicros}::bigint - min(checked_at), 0)::float8 / 1e6 FROM invariant_check HAVING count(*) > 0
    UNION ALL SELECT 'preapproval_expiry_seconds', jsonb_build_object('treasury', p.name),
      min(greatest(coalesce(a.expires_at, 0) - ${nowMicros}::bigint, 0))::float8 / 1e6
      FROM preapproval a JOIN treasury_party p ON p.id = a.treasury_id WHERE a.checked_at IS NOT NULL GROUP BY p.name
    UNION ALL SELECT 'preapproval_look_age_seconds', jsonb_build_object('treasury', p.name), greatest(${nowMicros}::bigint - min(a.checked_at), 0)::float8 / 1e6
      FROM preapproval a JOIN treasury_party p ON p.id = a.treasury_id WHERE a.checked_at IS NOT NULL GROUP BY p.name
    UNION ALL SELECT 'traffic_left_bytes', jsonb_build_object('participant', r.participant), (r.total_limit - r.total_consumed - r.claimed)::float8
      FROM newest_traffic n JOIN traffic_reading r USING (network_id, participant, read_at) WHERE r.total_limit > 0
    UNION ALL SELECT 'withdrawals_open', jsonb_build_object('state', s.state), coalesce(w.count, 0)::float8 FROM open_state s LEFT JOIN open_withdrawal w USING (state)
    UNION ALL SELECT 'withdrawals_oldest_seconds', jsonb_build_object('state', s.state), coalesce(${age('w.oldest')}, 0) FROM open_state s LEFT JOIN open_withdrawal w USING (state)
    UNION ALL SELECT 'halts_open', '{}', count(*)::float8 FROM halt WHERE lifted_at IS NULL
    UNION ALL SELECT 'freezes_open', jsonb_build_object('reason', reason), count(*)::float8 FROM money_freeze WHERE lifted_at IS NULL GROUP BY reason
    UNION ALL SELECT 'database_restores', '{}', count(*)::float8 FROM database_restore
    UNION ALL SELECT 'restored_withdrawals_open', '{}', count(*)::float8 FROM restored_withdrawal WHERE wanted_at IS NULL
    UNION ALL SELECT 'outbox_waiting', '{}', count(*)::float8 FROM (SELECT FROM event_outbox LIMIT 10000) AS waiting
    UNION ALL SELECT 'log_position', '{}', last_position::float8 FROM event_log
    UNION ALL SELECT 'notification_queue_ratio', '{}', pg_notification_queue_usage()
    UNION ALL SELECT 'screenings_waiting', jsonb_build_object('state', state), count(*)::float8 FROM screening WHERE state IN ('WAITING', 'PARKED') GROUP BY state
    UNION ALL SELECT 'desk_cases_open', '{}', count(*)::float8 FROM desk_case WHERE state = 'OPEN'
    UNION ALL SELECT 'registry_instances_failing', '{}', count(DISTINCT url)::float8 FROM registry_instance
      WHERE state <> 'WELL' AND reported_at > ${nowMicros - REPORT_AGE_MAX}`.execute(db);
  const stuck = await readStuckWithdrawals(db, { ...at, limit: STUCK_MAX });
  const byCode = Map.groupBy(stuck, ({ code }) => code);
  return [
    ...rows,
    ...[...byCode].map(([code, all]) => ({ name: 'withdrawals_stuck', labels: { code }, value: all.length })),
  ];
}

const REPORT_AGE_MAX: Micros = 600_000_000n; // Processes report each minute; what is older is of one that is gone.
