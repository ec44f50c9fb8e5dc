/**
 * One batch of the stream into the database, in one transaction: the updates as received, what they mean, what sinks make of it, and the position.
 * Either all of it is there or nothing is.
 */
import { sql } from 'kysely';
import type { Database, Transaction } from '../db/connection.ts';
import type { Clock } from '../env/clock.ts';
import type { PermanentError } from '../env/errors.ts';
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
import type { Checkpoint, ReceivedUpdate } from './received-update.ts';
import { storeUpdates } from './update-store.ts';

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

export type JoiningBatchWriter = BatchWriter & {
  /** The same as a part of the caller's transaction, in which the position stands at `position` already. */
  writeIn(tx: Transaction, batch: readonly (ReceivedUpdate | Checkpoint)[], position: Position): Promise<Position>;
};

export type BatchWriterOptions = {
  readonly db: Database;
  readonly treasury: Treasury;
  readonly sinks: readonly EffectSink[];
  readonly clock: Clock;
  readonly logger: Logger;
  readonly failpoint: Failpoint;
  /** How long a write may pause between two statements, asked before each; null, or left out: as long as the connection says. */
  readonly pauseMs?: () => number | null;
};

export function createBatchWriter({
  db,
  treasury,
  sinks,
  clock,
  logger,
  failpoint,
  pauseMs = () => null,
}: BatchWriterOptions): JoiningBatchWriter {
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
    writeIn: async (tx, batch, position) => (await storeBatch(tx, batch, position)).next,
    write: async (batch, position) => {
      await failpoint('ingestion.beforeBatch');
      const { next, quarantined } = await db.transaction().execute(async (tx) => {
        const ms = pauseMs();
        if (ms !== null)
          await sql`SELECT set_config('idle_in_transaction_session_timeout', ${String(ms)}, true)`.execute(tx);
        return await storeBatch(tx, batch, position);
      });
      await failpoint('ingestion.afterCommit');
      for (const { update, error } of quarantined) {
        const facts = { treasury: treasury.name, updateId: update.updateId, reason: error.code, detail: error.message };
        logger.error('An update was quarantined.', facts);
      }
      return next;
    },
  };
}
