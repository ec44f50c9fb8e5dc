/**
 * How far a treasury's history is in the database, and who may move it on. The position changes only in the transaction that writes the effects of the
 * updates it passes, and only under the fencing token of the present leaseholder: a worker that was paused and wakes up again finds its token
 * outdated, and what it was about to write is rolled back with the transaction.
 */
import { sql } from 'kysely';
import type { Database, Transaction } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';
import { type PermanentError, RetryableError } from '../env/errors.ts';
import type { Treasury } from './effect-sink.ts';

export type Position = {
  readonly fencingToken: bigint;
  readonly epoch: number;
  readonly participantId: string | null;
  /** Everything up to and including it is in the database. */
  readonly offset: bigint;
  /** The newest update stored. A stream resumes there, never at a checkpoint: a restored node may number differently what lies between. */
  readonly verified: { readonly updateId: string; readonly offset: bigint } | null;
  /** Per synchronizer, the record time that has passed. */
  readonly recordTimes: ReadonlyMap<string, Micros>;
};

/** Codes after which a stream halts: what the participant shows does not continue what we have. Waiting or skipping would risk a hole. */
export const POSITION_IN_DOUBT = new Set([
  'PARTICIPANT_PRUNED_DATA_ACCESSED',
  'HISTORY_CHANGED',
  'HISTORY_PRUNED',
  'UPDATE_MISSING',
  'NO_ANCHOR',
  'SECOND_SYNCHRONIZER',
  'RECORD_TIME_WENT_BACK',
  'OFFSET_WENT_BACK',
  'OFFSET_HOLDS_ANOTHER_UPDATE',
  'UPDATE_NOT_UNDERSTOOD',
  'MESSAGE_TOO_LARGE',
  'CRASH_LOOP',
]);

/**
 * Takes the stream over under a new token.
 * @throws RetryableError STREAM_TAKEN_OVER when a newer token has it already.
 */
export async function claimStream(db: Database, treasury: Treasury, fencingToken: bigint): Promise<Position> {
  return db.transaction().execute(async (tx) => {
    const row = await tx
      .updateTable('ingestion_stream')
      .set({ fencing_token: fencingToken, status: 'STARTING', status_reason: null })
      .where('treasury_id', '=', treasury.id)
      .where('fencing_token', '<', fencingToken)
      .returningAll()
      .executeTakeFirst();
    if (row === undefined) throw takenOver(treasury);
    const times = await tx.selectFrom('synchronizer_time').selectAll().where('treasury_id', '=', treasury.id).execute();
    return {
      fencingToken,
      epoch: row.epoch,
      participantId: row.participant_id,
      offset: row.ledger_offset,
      verified:
        row.verified_update_id === null || row.verified_offset === null
          ? null
          : { updateId: row.verified_update_id, offset: row.verified_offset },
      recordTimes: new Map(times.map((time) => [time.synchronizer_id, time.record_time])),
    };
  });
}

/** Notes whose offsets these are, at the first connection. @throws RetryableError STREAM_TAKEN_OVER. */
export async function bindParticipant(
  db: Database,
  treasury: Treasury,
  position: Position,
  participantId: string,
): Promise<Position> {
  const { numUpdatedRows } = await db
    .updateTable('ingestion_stream')
    .set({ participant_id: participantId })
    .where('treasury_id', '=', treasury.id)
    .where('fencing_token', '=', position.fencingToken)
    .executeTakeFirst();
  if (numUpdatedRows === 0n) throw takenOver(treasury);
  return { ...position, participantId };
}

/**
 * Locks the position for the rest of `tx`, if it is still where `expected` says and still ours.
 * @throws RetryableError STREAM_TAKEN_OVER; the transaction must be rolled back.
 */
export async function lockPosition(tx: Transaction, treasury: Treasury, expected: Position): Promise<void> {
  const row = await tx
    .selectFrom('ingestion_stream')
    .select('treasury_id')
    .where('treasury_id', '=', treasury.id)
    .where('fencing_token', '=', expected.fencingToken)
    .where('epoch', '=', expected.epoch)
    .where('ledger_offset', '=', expected.offset)
    .forUpdate()
    .executeTakeFirst();
  if (row === undefined) throw takenOver(treasury);
}

/** Moves the locked position to `next`. @param updatesCount how many updates were stored on the way. */
export async function movePosition(
  tx: Transaction,
  treasury: Treasury,
  next: Position,
  { updatesCount, observedAt }: { updatesCount: number; observedAt: Micros },
): Promise<void> {
  await tx
    .updateTable('ingestion_stream')
    .set((row) => ({
      ledger_offset: next.offset,
      verified_update_id: next.verified?.updateId ?? null,
      verified_offset: next.verified?.offset ?? null,
      updates_count: row('updates_count', '+', BigInt(updatesCount)),
      observed_at: observedAt,
      status: 'RUNNING',
    }))
    .where('treasury_id', '=', treasury.id)
    .execute();
  const synchronizers = [...next.recordTimes.keys()];
  const times = [...next.recordTimes.values()];
  await sql`
    INSERT INTO synchronizer_time AS known (treasury_id, synchronizer_id, record_time)
    SELECT ${treasury.id}, * FROM unnest(${synchronizers}::text[], ${times}::bigint[])
    ON CONFLICT (treasury_id, synchronizer_id) DO UPDATE SET record_time = greatest(known.record_time, excluded.record_time)`.execute(
    tx,
  );
}

/** Says what the stream waits for before it reads. Nothing else changes. */
export async function noteWaiting(db: Database, treasury: Treasury, position: Position, why: string): Promise<void> {
  await db
    .updateTable('ingestion_stream')
    .set({ status_reason: why })
    .where('treasury_id', '=', treasury.id)
    .where('fencing_token', '=', position.fencingToken)
    .execute();
}

/**
 * Says why the stream stands still until somebody looks. Nothing else changes.
 * @throws RetryableError STREAM_TAKEN_OVER: it is no longer ours to halt. What made us doubt may be what they have written since we claimed it.
 */
export async function haltStream(
  db: Database,
  treasury: Treasury,
  position: Position,
  error: PermanentError,
): Promise<void> {
  const { numUpdatedRows } = await db
    .updateTable('ingestion_stream')
    .set({ status: 'HALTED', status_reason: `${error.code}: ${error.message}` })
    .where('treasury_id', '=', treasury.id)
    .where('fencing_token', '=', position.fencingToken)
    .executeTakeFirst();
  if (numUpdatedRows === 0n) throw takenOver(treasury, error);
}

/** @param doubt what its loser was about to halt for. */
function takenOver(treasury: Treasury, doubt?: PermanentError): RetryableError {
  const facts = { treasury: treasury.name, ...(doubt !== undefined && { doubt: doubt.code }) };
  return new RetryableError('STREAM_TAKEN_OVER', 'Another worker moved this stream on.', facts, { cause: doubt });
}
