/**
 * One batch of the stream into the database, in one transaction: the updates as received, what they mean, what sinks make of it, and the position.
 * Either all of it is there or nothing is.
 */
import { sql } from 'kysely';
import type { Database, Transaction } from '../db/connection.ts';
import type { Clock } from '../env/clock.ts';
import { PermanentError } from '../env/errors.ts';
import type { Failpoint } from '../env/failpoint.ts';
import type { Logger } from '../env/logger.ts';
import type { Anomaly } from '../tokens/holding-changes.ts';
import { createInstrumentBook } from './catalog.ts';
import { type Derived, deriveUpdates } from './derive-updates.ts';
import type { EffectSink, TransferChange, Treasury } from './effect-sink.ts';
import { positionAfter } from './next-position.ts';
import { isPoison } from './poison.ts';
import { lockPosition, movePosition, type Position } from './position.ts';
import { quarantine, type Refused } from './quarantine.ts';
import { type Checkpoint, compressUpdate, type ReceivedUpdate } from './received-update.ts';

/** Somebody may look: the stream moved. Payload: the treasury's number. A hint only. */
export const PROGRESS_CHANNEL = 'sluice_progress';

export type BatchWriter = {
  /**
   * @param batch in stream order; updates stored before are skipped by their id.
   * @returns the position after it. @throws RetryableError (nothing was written, or, after a lost answer to the commit, all of it: read the position
   * again), PermanentError when the position is in doubt.
   */
  write(batch: readonly (ReceivedUpdate | Checkpoint)[], position: Position): Promise<Position>;
};

export type BatchWriterOptions = {
  readonly db: Database;
  readonly treasury: Treasury;
  readonly sinks: readonly EffectSink[];
  readonly clock: Clock;
  readonly logger: Logger;
  readonly failpoint: Failpoint;
};

export function createBatchWriter({ db, treasury, sinks, clock, logger, failpoint }: BatchWriterOptions): BatchWriter {
  const instruments = createInstrumentBook(treasury.networkId);

  const storeBatch = async (tx: Transaction, batch: readonly (ReceivedUpdate | Checkpoint)[], position: Position) => {
    await lockPosition(tx, treasury, position);
    const received = batch.filter((item): item is ReceivedUpdate => item.kind !== 'CHECKPOINT');
    const fresh = await storeUpdates(tx, treasury, position.epoch, received);
    const next = positionAfter(batch, fresh, position);
    await failpoint('ingestion.afterUpdatesStored');

    const onAnomaly = ({ updateId }: ReceivedUpdate, anomaly: Anomaly) =>
      logger.warn('A contract was left out of account.', { updateId, ...anomaly });
    const { done, refused } = await deriveUpdates({ tx, treasury, instruments, onAnomaly }, fresh);
    const quarantined: readonly Refused[] = [
      ...refused.map((one) => ({ ...one, changes: null })),
      ...(await applySinks(tx, done)),
    ];
    await quarantine(tx, treasury, quarantined, clock.nowMicros());
    await movePosition(tx, treasury, next, { updatesCount: fresh.length, observedAt: clock.nowMicros() });
    await sql`SELECT pg_notify(${PROGRESS_CHANNEL}, ${String(treasury.id)})`.execute(tx);
    await failpoint('ingestion.afterEffectsBeforeCommit');
    return { next, quarantined };
  };

  /** All at once; if that fails, one by one, so that the update that cannot be booked harms no other: of that one only what moved is booked. */
  const applySinks = async (tx: Transaction, done: Derived['done']): Promise<Refused[]> => {
    const attempt = async (some: readonly TransferChange[]): Promise<PermanentError | null> => {
      if (some.length === 0) return null;
      await sql`SAVEPOINT sinks`.execute(tx);
      try {
        for (const sink of sinks) await sink.apply(tx, treasury, some);
        await sql`RELEASE SAVEPOINT sinks`.execute(tx);
        return null;
      } catch (error) {
        if (!isPoison(error)) throw error;
        await sql`ROLLBACK TO SAVEPOINT sinks`.execute(tx);
        return error;
      }
    };
    if ((await attempt(done.flatMap(({ changes }) => changes))) === null) return [];
    const refused: Refused[] = [];
    for (const { update, changes } of done) {
      const error = await attempt(changes);
      if (error === null) continue;
      for (const sink of sinks) await sink.suspend?.(tx, treasury, changes);
      refused.push({ update, error, changes });
    }
    return refused;
  };

  return {
    write: async (batch, position) => {
      await failpoint('ingestion.beforeBatch');
      const { next, quarantined } = await db.transaction().execute((tx) => storeBatch(tx, batch, position));
      await failpoint('ingestion.afterCommit');
      for (const { update, error } of quarantined) {
        const facts = { treasury: treasury.name, updateId: update.updateId, reason: error.code, detail: error.message };
        logger.error('An update was quarantined.', facts);
      }
      return next;
    },
  };
}

/**
 * Stores what is not stored yet. @returns the updates that were new, in order.
 * @throws PermanentError OFFSET_HOLDS_ANOTHER_UPDATE when an offset we have belongs to another update.
 */
async function storeUpdates(
  tx: Transaction,
  treasury: Treasury,
  epoch: number,
  updates: readonly ReceivedUpdate[],
): Promise<readonly ReceivedUpdate[]> {
  if (updates.length === 0) return [];
  const once = [...new Map(updates.map((update) => [update.updateId, update])).values()];
  let bytesEnd = 0;
  const rows = once.map(({ updateId, offset, recordTime, synchronizerId, effectiveAt, kind, traceParent, received }) => ({
    update_id: updateId,
    ledger_offset: offset,
    record_time: recordTime,
    synchronizer_id: synchronizerId,
    effective_at: effectiveAt,
    kind,
    trace_parent: traceParent,
    bytes_count: received.length,
  }));
  try {
    // The bytes go in one piece, which travels as it is; in an array of their own they would be spelled out in hexadecimal digits.
    const fresh = await sql<{ update_id: string }>`
      INSERT INTO ledger_update (treasury_id, epoch, update_id, ledger_offset, record_time, synchronizer_id, effective_at, kind,
                                 trace_parent, received)
      SELECT ${treasury.id}, ${epoch}, update_id, ledger_offset, record_time, synchronizer_id, effective_at, kind, trace_parent,
             substring(${Buffer.concat(once.map(({ received }) => received))}::bytea FROM bytes_end - bytes_count + 1 FOR bytes_count)
      FROM ${relationOf(UPDATE_COLUMNS, rows)} AS fresh
      ON CONFLICT (treasury_id, update_id) DO NOTHING
      RETURNING update_id`.execute(tx);
    const ids = new Set(fresh.rows.map((row) => row.update_id));
    return once.filter((update) => ids.has(update.updateId));
  } catch (error) {
    if (
      error instanceof PermanentError &&
      error.facts['constraint'] === 'ledger_update_treasury_id_epoch_ledger_offset_key'
    ) {
      throw new PermanentError(
        'OFFSET_HOLDS_ANOTHER_UPDATE',
        'The participant shows another update at an offset we have.',
        {},
        { cause: error },
      );
    }
    throw error;
  }
}
