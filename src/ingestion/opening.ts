/**
 * The first start of a stream. On a participant with its whole history it begins at the beginning. Where the beginning is pruned, or where a running exchange has
 * accounted for it elsewhere (`openingAt`), the contracts active at the offset where reading begins are taken over as the opening balance.
 *
 * `snapshot.ts` says how they are stored.
 */
import type { Database } from '../db/connection.ts';
import type { Clock, Micros } from '../env/clock.ts';
import { PermanentError, RetryableError } from '../env/errors.ts';
import type { Failpoint } from '../env/failpoint.ts';
import type { Logger } from '../env/logger.ts';
import { formatRecordTime } from '../env/record-time.ts';
import type { Ledger } from '../ledger/ledger-client.ts';
import { readActiveContracts } from './active-contracts.ts';
import type { BatchWriter } from './batch-writer.ts';
import type { Treasury } from './effect-sink.ts';
import { noteEpoch } from './epochs.ts';
import { IMPORT_RECORD_TIME } from './next-position.ts';
import { bindParticipant, type Position } from './position.ts';
import { receive } from './received-update.ts';
import { unlessSilent } from './silence.ts';
import { snapshotUpdates } from './snapshot.ts';
import { updateFormatFor } from './update-format.ts';

export type Opening = {
  /** What has a smaller record time is opening balance, the rest is followed; null: from the beginning, as far as the participant has it. */
  readonly at: Micros | null;
};

export type BeginOptions = {
  readonly db: Database;
  readonly ledger: Ledger;
  readonly treasury: Treasury;
  readonly writer: BatchWriter;
  readonly opening: Opening;
  readonly position: Position;
  readonly participantId: string;
  /** `listenMs`: without any message for longer, the stream counts as stalled. */
  readonly patience: { readonly listenMs: number };
  readonly clock: Clock;
  readonly logger: Logger;
  readonly failpoint: Failpoint;
  readonly signal: AbortSignal;
};

/**
 * @returns the position to read on from; the opening balance, if there is one, is booked. After a crash at any point the next start does the rest.
 * @throws PermanentError SECOND_SYNCHRONIZER, HISTORY_PRUNED; RetryableError and others of the calls.
 */
export async function beginHistory(options: BeginOptions): Promise<Position> {
  const { db, ledger, treasury, opening, participantId, logger, failpoint, writer } = options;
  const bound = await bindParticipant(db, treasury, options.position, participantId);
  const prunedUpTo = await ledger.prunedUpTo();
  const offset = opening.at === null ? prunedUpTo : await lastOffsetBefore(options, opening.at, prunedUpTo);
  if (offset === 0n) {
    logger.info('The stream starts at the beginning.', { participantId });
    return noteEpoch({ ...options, position: bound }, participantId);
  }
  const active = await readActiveContracts(options, offset);
  const snapshot = snapshotUpdates(treasury, active, offset);
  await failpoint('continuity.beforeOpening');
  const opened = snapshot.length === 0 ? bound : await writer.write(snapshot, bound);
  await failpoint('continuity.afterOpening');
  logger.warn('The stream starts with an opening balance.', {
    participantId,
    offset,
    prunedUpTo,
    openingAt: opening.at,
    holdings: active.holdings.length,
    contracts: active.events.length,
  });
  const why = opening.at === null ? `history up to ${prunedUpTo} is pruned` : `opening at record time ${opening.at}`;
  return noteEpoch({ ...options, position: opened }, participantId, {
    reason: 'OPENING',
    resumedOffset: offset,
    detail: `${active.holdings.length} holdings were taken over at offset ${offset}: ${why}.`,
  });
}

/**
 * Reads until the first sign of a record time at or after `at`, waiting for it if it is yet to come. Such a sign is an update of the synchronizer that the first update
 * came over, or a checkpoint by which every synchronizer has passed: one whose clock is ahead of the others decides nothing.
 * @returns the offset of the last update before it.
 * @throws PermanentError HISTORY_PRUNED when nothing shows that `at` lies in what the participant still has: deposits from after it may be among the pruned.
 */
async function lastOffsetBefore(options: BeginOptions, at: Micros, prunedUpTo: bigint): Promise<bigint> {
  const { ledger, treasury, patience, clock, signal, logger } = options;
  logger.info('Looking for the offset of the opening balance.', { openingAt: at });
  const format = updateFormatFor(treasury.party);
  const messages = unlessSilent((reading) => ledger.updates({ beginExclusive: prunedUpTo, format, signal: reading }), {
    clock,
    signal,
    silenceMsMax: patience.listenMs,
  });
  let offset = prunedUpTo;
  let home: string | null = null;
  let isBeforeSeen = prunedUpTo === 0n;
  const cut = (recordTime: Micros): bigint => {
    if (isBeforeSeen) return offset;
    throw new PermanentError(
      'HISTORY_PRUNED',
      `The opening is to be at record time ${formatRecordTime(at)}, and the participant has forgotten its history up to offset ${prunedUpTo}; the first that it still shows is of ${formatRecordTime(recordTime)}. Deposits in between could not be told from the opening balance.`,
      { openingAt: at, prunedUpTo, firstRecordTime: recordTime },
    );
  };
  for await (const message of messages) {
    const item = receive(message);
    if (item.kind === 'CHECKPOINT') {
      const times = item.synchronizerTimes.map(({ recordTime }) => recordTime);
      const [first] = times;
      if (first !== undefined && times.every((recordTime) => recordTime >= at)) return cut(first);
      if (first !== undefined) isBeforeSeen = true;
    } else {
      home ??= item.synchronizerId;
      if (item.synchronizerId === home && item.recordTime >= at) return cut(item.recordTime);
      // Imports carry no time of their own.
      if (item.recordTime < at && item.recordTime !== IMPORT_RECORD_TIME) isBeforeSeen = true;
      offset = item.offset;
    }
  }
  throw new RetryableError('STREAM_ENDED', 'The stream ended before the record time of the opening balance.', {
    openingAt: at,
  });
}
