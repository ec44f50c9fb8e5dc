/** Where a stream stands after a batch. Pure; what must not happen in a stream that continues a history is refused here, before anything of the batch is kept. */
import type { Micros } from '../env/clock.ts';
import { PermanentError } from '../env/errors.ts';
import type { Position } from './position.ts';
import type { Checkpoint, ReceivedUpdate } from './received-update.ts';

/** 0001-01-01T00:00:00Z, the record time of contracts imported from an active contract set. */
export const IMPORT_RECORD_TIME: Micros = -62_135_596_800_000_000n;

/**
 * @param batch in stream order. @param fresh those of it that were not stored before; the others are known by their update ids.
 * @throws PermanentError RECORD_TIME_WENT_BACK: within one synchronizer record times never decrease (imports carry none of their own);
 * OFFSET_WENT_BACK: an update that is new to us stands below what has passed.
 */
export function positionAfter(
  batch: readonly (ReceivedUpdate | Checkpoint)[],
  fresh: readonly ReceivedUpdate[],
  position: Position,
): Position {
  const recordTimes = new Map(position.recordTimes);
  // By id: a batch may hold an update twice, and only its first copy can be new.
  const unseen = new Set(fresh.map(({ updateId }) => updateId));
  let { offset, verified } = position;
  const pass = (synchronizerId: string, recordTime: Micros) => {
    const before = recordTimes.get(synchronizerId);
    if (before === undefined || recordTime > before) recordTimes.set(synchronizerId, recordTime);
  };
  for (const item of batch) {
    if (item.kind === 'CHECKPOINT') {
      for (const { synchronizerId, recordTime } of item.synchronizerTimes) pass(synchronizerId, recordTime);
    } else {
      if (unseen.delete(item.updateId)) requireLater(item, offset, recordTimes);
      if (item.recordTime !== IMPORT_RECORD_TIME) pass(item.synchronizerId, item.recordTime);
      // Known ones count as well: after a re-anchoring they come again, at the offsets of the new epoch.
      if (item.offset > (verified?.offset ?? 0n)) verified = { updateId: item.updateId, offset: item.offset };
    }
    if (item.offset > offset) offset = item.offset;
  }
  return { ...position, offset, verified, recordTimes };
}

function requireLater(item: ReceivedUpdate, offset: bigint, recordTimes: ReadonlyMap<string, Micros>): void {
  const { updateId, recordTime } = item;
  if (item.offset <= offset) {
    throw new PermanentError('OFFSET_WENT_BACK', 'A new update stands at an offset that has passed.', {
      updateId,
      offset: item.offset,
      passed: offset,
    });
  }
  const before = recordTimes.get(item.synchronizerId);
  if (before !== undefined && recordTime < before && recordTime !== IMPORT_RECORD_TIME) {
    throw new PermanentError('RECORD_TIME_WENT_BACK', 'A new update is older than what its synchronizer has passed.', {
      updateId,
      recordTime,
      passed: before,
    });
  }
}
