/**
 * One batch of the stream into the database, in one transaction: the updates as received, what they mean, what sinks make of it, and the position.
 * Either all of it is there or nothing is.
 */
import { sql } from 'kysely';
import type { Database, Transaction } from '../db/connection.ts';
import type { Clock, Micros } from '../env/clock.ts';
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

type Quarantined = { readonly updateId: string; readonly reason: string; readonly detail: string };

const quarantinedBy = (updateId: string, { code, message }: PermanentError): Quarantined => ({
  updateId,
  reason: code,
  detail: message,
});

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
    const quarantined = [
      ...refused.map(({ update: { updateId }, error }) => quarantinedBy(updateId, error)),
      ...(await applySinks(tx, done)),
    ];
    await storeQuarantined(tx, treasury, quarantined, clock.nowMicros());
    await movePosition(tx, treasury, next, { updatesCount: fresh.length, observedAt: clock.nowMicros() });
    await sql`SELECT pg_notify(${PROGRESS_CHANNEL}, ${String(treasury.id)})`.execute(tx);
    await failpoint('ingestion.afterEffectsBeforeCommit');
    return { next, quarantined };
  };

  /** All at once; if that fails, one by one, so that the update that cannot be booked harms no other. */
  const applySinks = async (tx: Transaction, done: Derived['done']): Promise<Quarantined[]> => {
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
    const quarantined: Quarantined[] = [];
    for (const { update, changes } of done) {
      const error = await attempt(changes);
      if (error !== null) quarantined.push(quarantinedBy(update.updateId, error));
    }
    return quarantined;
  };

  return {
    write: async (batch, position) => {
      await failpoint('ingestion.beforeBatch');
      const { next, quarantined } = await db.transaction().execute((tx) => storeBatch(tx, batch, position));
      await failpoint('ingestion.afterCommit');
      for (const { updateId, reason, detail } of quarantined) {
        logger.error('An update was quarantined.', { treasury: treasury.name, updateId, reason, detail });
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
  const column = <T>(pick: (update: ReceivedUpdate) => T): T[] => once.map(pick);
  try {
    const { rows } = await sql<{ update_id: string }>`
      INSERT INTO ledger_update (treasury_id, epoch, update_id, ledger_offset, record_time, synchronizer_id, effective_at, kind,
                                 trace_parent, received)
      SELECT ${treasury.id}, ${epoch}, *
      FROM unnest(${column((update) => update.updateId)}::text[], ${column((update) => update.offset)}::bigint[],
                  ${column((update) => update.recordTime)}::bigint[], ${column((update) => update.synchronizerId)}::text[],
                  ${column((update) => update.effectiveAt)}::bigint[], ${column((update) => update.kind)}::text[],
                  ${column((update) => update.traceParent)}::text[], ${column((update) => compressUpdate(update.bytes))}::bytea[])
      ON CONFLICT (treasury_id, update_id) DO NOTHING
      RETURNING update_id`.execute(tx);
    const fresh = new Set(rows.map((row) => row.update_id));
    return once.filter((update) => fresh.has(update.updateId));
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

async function storeQuarantined(
  tx: Transaction,
  treasury: Treasury,
  quarantined: readonly Quarantined[],
  quarantinedAt: Micros,
): Promise<void> {
  if (quarantined.length === 0) return;
  await tx
    .insertInto('quarantine')
    .values(
      quarantined.map(({ updateId, reason, detail }) => ({
        treasury_id: treasury.id,
        update_id: updateId,
        reason,
        detail,
        quarantined_at: quarantinedAt,
      })),
    )
    .execute();
}
