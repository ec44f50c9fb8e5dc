/**
 * Withdrawals that are older than they should be, each with why and what to do. "Should" is told by the ledger where it can be: an attempt that is past its last record time, an offer past its end; for
 * the rest by how long such a thing takes when all is well.
 */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import { type Micros, millisToMicros } from '../env/clock.ts';
import { isFrozen } from '../ingestion/freezes.ts';
import { isHalted } from '../submissions/halts.ts';
import { isPaidBefore } from '../withdrawals/earlier-payment.ts';
import type { WithdrawalState } from '../withdrawals/withdrawal-state.ts';
import { isStopped } from '../withdrawals/withdrawal-stops.ts';
import { readWaits, type WaitsAt, type WithdrawalWait } from './withdrawal-waits.ts';

export type StuckWithdrawal = {
  readonly id: string;
  readonly state: WithdrawalState;
  /** Since when it is where it is, by our clock; of one that is to be paid since its first attempt, where that was before. */
  readonly since: Micros;
  /** Stable, for programs. */
  readonly code: StuckCode;
  /** For people: what is known of it beyond the code. */
  readonly detail: string | null;
  /** For people: what to do. */
  readonly advice: string;
};

const MINUTE: Micros = millisToMicros(60_000);
/** Each of these is done in seconds, or by people within a working hour. */
const PATIENCE = { judged: MINUTE, approved: 60n * MINUTE, paid: 5n * MINUTE, ended: 2n * MINUTE } as const;

const ADVICE = {
  NOT_JUDGED: 'Look at the workers and the screening service: nobody has judged it yet.',
  APPROVAL: 'Have it approved or refused: `sluice approvals`.',
  PAID_BEFORE:
    'Compare it with the payment that carries its id, then have two people call `resolveWithdrawal`; a refund whose deposit went back by another one is cancelled.',
  HALT: 'It is halted: `sluice status` says by whom and why; two people lift it with `sluice lift`.',
  FREEZE: 'Look into the freeze first: `sluice freezes`.',
  RESTORED:
    'The database went back: ask its client whether it is still wanted, then `sluice recover --release <id>` or `cancelWithdrawal`.',
  HELD: 'Ask who holds it, then `resumeWithdrawal` or `cancelWithdrawal`.',
  PARKED: 'Find out why it was parked, then `unparkWithdrawal` or `cancelWithdrawal`.',
  DEADLINE: 'It fails by itself once a worker runs: look whether one does.',
  POLICY: 'Look at the token: its registry differs from what was pinned, or nobody pays it: `sluice token`.',
  LEDGER: 'Look at ingestion: `sluice status` says how far it is.',
  FUNDS: 'Bring funds to the treasury, or wait for what others give back.',
  TURN: 'Nothing is in its way: look whether a worker runs.',
  NOT_TRIED: 'Look at the last error: the registry, the participant or the signer does not do its part.',
  NOT_PROVEN:
    'Its end is not certain though its time is over: look at the last error, the freezes and the participant.',
  OFFER_NOT_TAKEN_BACK: 'Its offer is over and not taken back: look at the workers and the registry.',
  UNRESOLVED: 'Find out what became of it, then have two people call `resolveWithdrawal`.',
} as const satisfies Record<string, string>;

export type StuckCode = keyof typeof ADVICE;

/** Every code with what to do about it. */
export const STUCK_CODES: Readonly<Record<StuckCode, string>> = ADVICE;

type Row = {
  readonly id: string;
  readonly state: WithdrawalState;
  readonly since: Micros;
  readonly doubt: string | null;
  /** What the newest attempt that came to something bad, or the return of the offer, came to. */
  readonly lastError: string | null;
  readonly isPast: boolean | null;
  readonly wasTried: boolean;
  readonly isPaidBefore: boolean;
  /** Nothing is missing but the word of the screening service, and it gives none. */
  readonly isUnscreened: boolean;
  /** By our clock its attempt is past its target, and the ledger has not told us so: what became of it, nobody can say before ingestion goes on. */
  readonly isOverdue: boolean | null;
  /** What people said that keeps Sluice from going on with it: of one in flight a stop, of an offer anything that keeps it from being taken back. Null: nothing. */
  readonly obstacle: 'HALT' | 'FREEZE' | 'HELD' | 'PARKED' | null;
};

/** Oldest first. @param limit rows at most. */
export async function readStuckWithdrawals(
  db: Database,
  { nowMicros, recordTimeAheadMsMax, limit }: WaitsAt & { readonly limit: number },
): Promise<readonly StuckWithdrawal[]> {
  // A service that says that it is still looking has answered.
  const isUnscreened = sql`(policy_leave(w.id, w.verdict, w.network_id, NULL) = 'SCREENING' AND EXISTS (
    SELECT FROM withdrawal_screening q
    WHERE q.withdrawal_id = w.id AND (q.state = 'PARKED' OR q.last_error IS NOT NULL OR q.next_try_at < ${nowMicros - PATIENCE.paid})
  ))`;
  const spent = [sql`w.treasury_id`, sql`w.instrument_id`] as const;
  const { rows } = await sql<Row>`
    SELECT w.id, w.state, least(w.changed_at, tried.since) AS since, coalesce(w.doubt_detail, w.doubt_code) AS doubt,
      coalesce(back.trouble, open.last_error, tried.last_error) AS "lastError", open.is_past AS "isPast", tried.since IS NOT NULL AS "wasTried",
      w.state = 'AWAITING_APPROVAL' AND ${isPaidBefore(sql`ARRAY[w.id]`)} AS "isPaidBefore",
      w.state IN ('AWAITING_APPROVAL', 'QUEUED') AND ${isUnscreened} AS "isUnscreened", open.is_overdue AS "isOverdue",
      CASE
        WHEN w.state = 'OFFERED' AND ${isHalted(...spent)} THEN 'HALT'
        WHEN w.state = 'OFFERED' AND ${isFrozen(...spent)} THEN 'FREEZE'
        WHEN ${isStopped(sql`w.id`, 'HOLD')} THEN 'HELD'
        WHEN ${isStopped(sql`w.id`, 'PARK')} THEN 'PARKED'
      END AS obstacle
    FROM withdrawal w
    LEFT JOIN LATERAL (
      SELECT a.last_error, passed.record_time > a.target_record_time AS is_past,
        a.target_record_time < ${nowMicros - PATIENCE.ended} AND passed.record_time <= a.target_record_time AS is_overdue
      FROM submission s JOIN attempt a ON a.submission_id = s.id AND a.state = 'OPEN'
      LEFT JOIN synchronizer_time passed ON passed.treasury_id = s.treasury_id AND passed.synchronizer_id = a.synchronizer_id
      WHERE s.withdrawal_id = w.id LIMIT 1
    ) AS open ON true
    -- Each attempt takes it from one state to another and back: however often, that is no progress.
    LEFT JOIN LATERAL (
      SELECT a.opened_at AS since, (
        SELECT e.last_error FROM attempt e WHERE e.submission_id = s.id AND e.last_error IS NOT NULL ORDER BY e.number DESC LIMIT 1
      ) AS last_error
      FROM submission s JOIN attempt a ON a.submission_id = s.id AND a.number = 1
      WHERE s.withdrawal_id = w.id
    ) AS tried ON w.state IN ('QUEUED', 'IN_FLIGHT')
    LEFT JOIN offer_return back ON back.withdrawal_id = w.id AND back.state IN ('QUEUED', 'IN_FLIGHT', 'PARKED') AND w.state = 'OFFERED'
    WHERE w.state IN ('REQUESTED', 'AWAITING_APPROVAL', 'QUEUED', 'IN_FLIGHT', 'OFFERED', 'UNRESOLVED') AND (
      (w.state = 'REQUESTED' AND w.changed_at < ${nowMicros - PATIENCE.judged})
      OR (w.state = 'AWAITING_APPROVAL' AND w.changed_at < ${nowMicros - PATIENCE.approved})
      OR (w.state = 'AWAITING_APPROVAL' AND w.changed_at < ${nowMicros - PATIENCE.paid} AND ${isUnscreened})
      OR (w.state IN ('QUEUED', 'IN_FLIGHT') AND least(w.changed_at, tried.since) < ${nowMicros - PATIENCE.paid})
      OR (w.state = 'IN_FLIGHT' AND open.is_past AND w.changed_at < ${nowMicros - PATIENCE.ended})
      OR (w.state = 'OFFERED' AND EXISTS (
        SELECT FROM transfer_instruction i WHERE i.treasury_id = w.treasury_id AND i.transfer_id = w.transfer_id
          AND i.ended_update_id IS NULL AND i.execute_before < ${nowMicros - PATIENCE.paid}
      ))
      OR back.created_at < ${nowMicros - PATIENCE.paid}
      OR w.state = 'UNRESOLVED'
      OR (w.state IN ('QUEUED', 'IN_FLIGHT') AND EXISTS (SELECT FROM withdrawal_stop p WHERE p.withdrawal_id = w.id AND p.released_at IS NULL))
    )
    ORDER BY w.created_at, w.id LIMIT ${limit}`.execute(db);
  const waits = await readWaits(
    db,
    rows.map(({ id }) => id),
    { nowMicros, recordTimeAheadMsMax },
  );
  return rows.map((row, index) => {
    const code = codeOf(row, waits[index] ?? null);
    const { id, state, since, doubt, lastError } = row;
    return { id, state, since, code, detail: state === 'UNRESOLVED' ? doubt : lastError, advice: ADVICE[code] };
  });
}

function codeOf(row: Row, wait: WithdrawalWait | null): StuckCode {
  switch (row.state) {
    case 'REQUESTED':
      return 'NOT_JUDGED';
    case 'AWAITING_APPROVAL':
      if (row.isPaidBefore) return 'PAID_BEFORE';
      return row.isUnscreened ? 'NOT_JUDGED' : 'APPROVAL';
    case 'OFFERED':
      return row.obstacle ?? 'OFFER_NOT_TAKEN_BACK';
    case 'UNRESOLVED':
      return 'UNRESOLVED';
    case 'IN_FLIGHT':
      if (row.isPast === true) return 'NOT_PROVEN';
      if (row.isOverdue === true) return 'LEDGER';
      return row.obstacle ?? 'NOT_TRIED';
    default:
      return queuedCodeOf(row, wait ?? 'TURN');
  }
}

function queuedCodeOf({ wasTried, isUnscreened }: Row, wait: WithdrawalWait): StuckCode {
  if (wait === 'APPROVAL' && isUnscreened) return 'NOT_JUDGED';
  // Between two attempts nothing is in its way but what kept the last one from being paid.
  return wait === 'TURN' && wasTried ? 'NOT_TRIED' : wait;
}
