/**
 * The beginnings of offset spaces. An epoch is one participant's numbering of the ledger; a restored or another participant has another one. A new epoch and the
 * position in it are one write, under the fencing token, so that whatever stops us leaves either the old position or the new one.
 */
import type { Database, Transaction } from '../db/connection.ts';
import type { Clock, Micros } from '../env/clock.ts';
import type { StreamEpochTable } from '../gen/db.ts';
import type { Treasury } from './effect-sink.ts';
import { lockPosition, type Position } from './position.ts';

export type EpochReason = StreamEpochTable['reason'];

export type EpochStart = {
  readonly reason: EpochReason;
  readonly participantId: string;
  /** The newest update of ours and its place in the epoch; null where nothing of ours has one. */
  readonly anchor: { readonly updateId: string; readonly offset: bigint } | null;
  /** Where reading begins, exclusive. */
  readonly resumedOffset: bigint;
  /** The update that stands there, if one of ours does. */
  readonly verified: { readonly updateId: string; readonly offset: bigint } | null;
  /** For people. */
  readonly detail: string;
  readonly startedAt: Micros;
};

/**
 * Begins a further epoch and puts the position into it.
 * @throws RetryableError STREAM_TAKEN_OVER; the transaction must be rolled back.
 */
export async function startEpoch(
  tx: Transaction,
  treasury: Treasury,
  position: Position,
  start: EpochStart,
): Promise<Position> {
  await lockPosition(tx, treasury, position);
  const { verified, resumedOffset, participantId } = start;
  const next = { ...position, epoch: position.epoch + 1, participantId, offset: resumedOffset, verified };
  await tx
    .insertInto('stream_epoch')
    .values({
      treasury_id: treasury.id,
      epoch: next.epoch,
      reason: start.reason,
      participant_id: participantId,
      anchor_update_id: start.anchor?.updateId ?? null,
      anchor_offset: start.anchor?.offset ?? null,
      resumed_offset: resumedOffset,
      previous_participant_id: position.participantId,
      previous_offset: position.offset,
      detail: start.detail,
      started_at: start.startedAt,
    })
    .execute();
  await writePosition(tx, treasury, next);
  return next;
}

/**
 * Writes down how the present epoch began where that is not yet known: at the very first start, or in a database from before this was kept. Harmless when repeated.
 * @param resumedOffset where reading began, exclusive; the position is put there if nothing was read yet.
 */
export async function noteEpoch(
  {
    db,
    treasury,
    position,
    clock,
  }: { readonly db: Database; readonly treasury: Treasury; readonly position: Position; readonly clock: Clock },
  participantId: string,
  {
    reason = 'BEGINNING',
    resumedOffset = 0n,
    detail = 'From the beginning of the participant’s history.',
  }: Partial<Pick<EpochStart, 'reason' | 'resumedOffset' | 'detail'>> = {},
): Promise<Position> {
  return db.transaction().execute(async (tx) => {
    await lockPosition(tx, treasury, position);
    await tx
      .insertInto('stream_epoch')
      .values({
        treasury_id: treasury.id,
        epoch: position.epoch,
        reason,
        participant_id: participantId,
        anchor_update_id: null,
        anchor_offset: null,
        resumed_offset: resumedOffset,
        previous_participant_id: null,
        previous_offset: null,
        detail,
        started_at: clock.nowMicros(),
      })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
    const next = { ...position, participantId, offset: position.verified === null ? resumedOffset : position.offset };
    await writePosition(tx, treasury, next);
    return next;
  });
}

/**
 * Puts the position back (or, behind a pruned quiet stretch, forward) to where the stream resumes: what a checkpoint promised beyond it may be numbered otherwise by
 * now, and is read again.
 * @throws RetryableError STREAM_TAKEN_OVER.
 */
export async function resumeAt(
  db: Database,
  treasury: Treasury,
  position: Position,
  { offset, verified }: Pick<Position, 'offset' | 'verified'>,
): Promise<Position> {
  if (position.offset === offset && position.verified?.offset === verified?.offset) return position;
  return db.transaction().execute(async (tx) => {
    await lockPosition(tx, treasury, position);
    const next = { ...position, offset, verified };
    await writePosition(tx, treasury, next);
    return next;
  });
}

/** @returns where reading began in an epoch; `undefined` where that was never written down. */
export async function epochRow(db: Database | Transaction, treasury: Treasury, epoch: number) {
  return db
    .selectFrom('stream_epoch')
    .select(['resumed_offset as resumedOffset', 'reason'])
    .where('treasury_id', '=', treasury.id)
    .where('epoch', '=', epoch)
    .executeTakeFirst();
}

async function writePosition(tx: Transaction, treasury: Treasury, next: Position): Promise<void> {
  await tx
    .updateTable('ingestion_stream')
    .set({
      epoch: next.epoch,
      participant_id: next.participantId,
      ledger_offset: next.offset,
      verified_update_id: next.verified?.updateId ?? null,
      verified_offset: next.verified?.offset ?? null,
      status_reason: null,
    })
    .where('treasury_id', '=', treasury.id)
    .execute();
}
