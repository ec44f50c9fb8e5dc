/**
 * What follows when it is noticed that the database went back in time. Something that was signed before may be gone here and still commit, until the ledger has passed the last record time that any attempt
 * may have had: the safe record time. Until then
 *
 *   nothing is asked for, signed or ended unpaid   (the freeze, and whoever asks `safeRecordTimeOf`),
 *   every attempt that stands open counts as signed: whether it was, is among what is lost,
 *   every withdrawal that is not final is held: its client may have been told of its end since. It goes on when the client asks for it again under its key, or a person releases it,
 *   and what must not move stands still again, as it was kept outside the database.
 */
import { type RawBuilder, sql } from 'kysely';
import type { Micros } from '../env/clock.ts';
import { RetryableError } from '../env/errors.ts';
import { formatRecordTime } from '../env/record-time.ts';
import type { Database, Transaction } from './connection.ts';
import type { JsonValue } from './event-log.ts';

/** The freeze that tells of it. */
export const WENT_BACK = 'DATABASE_WENT_BACK';

/** How long after the last thing that was done before the restore something of it may still commit. */
export type RestoreWindow = {
  /** Of an attempt, by the configuration; what the database has of longer ones counts as well. */
  readonly ttlMicros: Micros;
  /** For clocks that differ. */
  readonly marginMicros: Micros;
};

export const DEFAULT_RESTORE_WINDOW: RestoreWindow = { ttlMicros: 60_000_000n, marginMicros: 60_000_000n };

export type RestoreNotice = {
  /** What gave it away; unique for ever. */
  readonly cause: string;
  /** The database's number of the treasury; null: every one. */
  readonly treasuryId: number | null;
  readonly detail: string;
  readonly by: string;
  readonly nowMicros: Micros;
  readonly window: RestoreWindow;
  /** Of the event log, that had been seen and are not there; null: unknown. */
  readonly lostEvents: bigint | null;
  /** Puts back what stood still before. @returns what of it was missing, as JSON; null: nobody knows what stood still. */
  readonly putBack: (tx: Transaction) => Promise<JsonValue>;
};

/** Nothing is accepted until the ledger has passed the safe record time: ask again after it, with the same key. */
export class DatabaseRestoredError extends RetryableError {
  readonly safeRecordTime: Micros;
  constructor(safeRecordTime: Micros) {
    super(
      'DB_RESTORED',
      `The database went back in time. Until the ledger has been read past ${formatRecordTime(safeRecordTime)} something that was signed before may still be paid: ask again after that, with the same key.`,
      { safeRecordTime },
    );
    this.safeRecordTime = safeRecordTime;
  }
}

/** @returns false where it was noted before. Locks withdrawals, then attempts, as everybody does. */
export async function noteRestore(tx: Transaction, notice: RestoreNotice): Promise<boolean> {
  const { cause, treasuryId, detail, by, nowMicros, window, lostEvents, putBack } = notice;
  const ofTreasury = (column: RawBuilder<unknown>) =>
    treasuryId === null ? sql`true` : sql`${column} = ${treasuryId}::int`;
  const put = await putBack(tx);
  const noted = await sql`
    INSERT INTO database_restore (cause, treasury_id, noticed_at, noticed_by, detail, safe_record_time, lost_events, put_back)
    VALUES (${cause}, ${treasuryId}::int, ${nowMicros}::bigint, ${by}, ${detail},
      greatest(${nowMicros}::bigint, (SELECT max(record_time) FROM synchronizer_time))
        + greatest(${window.ttlMicros}::bigint, (SELECT max(target_record_time - opened_at) FROM attempt)) + ${window.marginMicros}::bigint,
      ${lostEvents}::bigint, ${JSON.stringify(put)}::jsonb)
    ON CONFLICT DO NOTHING RETURNING cause`.execute(tx);
  if (noted.rows.length === 0) return false;
  await sql`
    INSERT INTO money_freeze (treasury_id, instrument_id, reason, detail, cause, opened_at, opened_by)
    VALUES (${treasuryId}::int, NULL, ${WENT_BACK}, ${detail}, ${cause}, ${nowMicros}::bigint, ${by})
    ON CONFLICT DO NOTHING`.execute(tx);
  await sql`
    WITH unfinished AS (
      SELECT id FROM withdrawal WHERE state IN ('REQUESTED', 'AWAITING_APPROVAL', 'QUEUED', 'IN_FLIGHT') AND ${ofTreasury(sql`treasury_id`)}
      ORDER BY id FOR UPDATE
    )
    INSERT INTO restored_withdrawal (withdrawal_id, cause) SELECT id, ${cause} FROM unfinished`.execute(tx);
  await sql`
    WITH unsigned AS (
      SELECT a.submission_id, a.number FROM attempt a JOIN submission s ON s.id = a.submission_id
      WHERE a.state = 'OPEN' AND a.sign_requested_at IS NULL AND ${ofTreasury(sql`s.treasury_id`)}
      ORDER BY a.submission_id, a.number FOR UPDATE OF a
    )
    UPDATE attempt a SET sign_requested_at = ${nowMicros}::bigint FROM unsigned
    WHERE a.submission_id = unsigned.submission_id AND a.number = unsigned.number`.execute(tx);
  return true;
}

/** Whether what follows from a restore still stands for a treasury, as SQL of the statement it stands in. A person may end it by lifting the freeze. */
export function isRestoring(treasuryId: RawBuilder<unknown>): RawBuilder<boolean> {
  return sql<boolean>`EXISTS (
    SELECT FROM money_freeze WHERE money_freeze.reason = ${sql.lit(WENT_BACK)} AND money_freeze.lifted_at IS NULL
      AND (money_freeze.treasury_id IS NULL OR money_freeze.treasury_id = ${treasuryId})
  )`;
}

/** The last safe record time of a treasury, as SQL; 0: the database never went back, as far as is known. */
export function safeRecordTime(treasuryId: RawBuilder<unknown>): RawBuilder<bigint> {
  return sql<bigint>`coalesce((
    SELECT max(database_restore.safe_record_time) FROM database_restore
    WHERE database_restore.treasury_id IS NULL OR database_restore.treasury_id = ${treasuryId}
  ), 0)`;
}

/** @throws DatabaseRestoredError while something that is lost may still be paid out of the treasury. */
export async function demandNotRestoring(db: Database | Transaction, treasuryId: number): Promise<void> {
  const treasury = sql`${treasuryId}::int`;
  const { rows } = await sql<{ isRestoring: boolean; safe: bigint }>`
    SELECT ${isRestoring(treasury)} AS "isRestoring", ${safeRecordTime(treasury)} AS safe`.execute(db);
  const [row] = rows;
  if (row?.isRestoring === true) throw new DatabaseRestoredError(row.safe);
}

/**
 * Before anything is promised, or refused for good: what was asked for may be among what is lost, and paid already. The safe record time while something that is lost may still be paid, as SQL; null: nothing is.
 * @param treasuryParty who is to pay; null: whoever has enough, so that it may have been any of the network, whichever has enough now.
 */
export function safeTimeOfLost(network: string, treasuryParty: string | null): RawBuilder<bigint | null> {
  return sql<bigint | null>`(
    SELECT max(${safeRecordTime(sql`t.id`)}) FROM treasury_party t JOIN network n ON n.id = t.network_id
    WHERE n.name = ${network} AND (${treasuryParty}::text IS NULL OR t.party = ${treasuryParty}) AND ${isRestoring(sql`t.id`)}
  )`;
}

/** Whether nobody has said since a restore that a withdrawal is still wanted, as SQL of the statement it stands in. */
export function isHeldByRestore(withdrawalId: RawBuilder<unknown>): RawBuilder<boolean> {
  return sql<boolean>`EXISTS (
    SELECT FROM restored_withdrawal WHERE restored_withdrawal.withdrawal_id = ${withdrawalId} AND restored_withdrawal.wanted_at IS NULL
  )`;
}

/** Whoever asks for a withdrawal again under its key still wants it. @returns how many waited for that. */
export async function releaseRestored(
  tx: Transaction,
  withdrawalIds: readonly string[],
  { by, why, nowMicros }: { readonly by: string; readonly why: string; readonly nowMicros: Micros },
): Promise<number> {
  const { rows } = await sql`
    WITH wanted AS (
      UPDATE restored_withdrawal SET wanted_at = ${nowMicros}::bigint, wanted_by = ${by}, wanted_why = ${why}
      WHERE withdrawal_id = ANY (${[...withdrawalIds]}::text[]) AND wanted_at IS NULL RETURNING withdrawal_id
    )
    SELECT DISTINCT withdrawal_id FROM wanted`.execute(tx);
  return rows.length;
}
