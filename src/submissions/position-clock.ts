/** The only clock by which attempts are opened: the record time that ingestion has committed. */
import type { Transaction } from '../db/connection.ts';
import { type Micros, millisToMicros } from '../env/clock.ts';
import { homeSynchronizer } from '../ingestion/home-synchronizer.ts';
import type { AttemptLimits } from './attempts.ts';

export type PositionClock = { readonly synchronizerId: string; readonly recordTime: Micros };

/**
 * What time the treasury's synchronizer had when we last heard of it, whatever others of the same node say; null where that is too long ago to promise an end, or so far ahead of our clock that nobody could
 * tell, after a restore of the database, until when an attempt may commit.
 */
export async function positionClock(
  tx: Transaction,
  treasuryId: number,
  limits: Pick<AttemptLimits, 'recordTimeAgeMsMax' | 'recordTimeAheadMsMax'>,
  nowMicros: Micros,
): Promise<PositionClock | null> {
  const synchronizerId = await homeSynchronizer(tx, treasuryId);
  if (synchronizerId === null) return null;
  const time = await tx
    .selectFrom('synchronizer_time as t')
    .innerJoin('ingestion_stream as s', 's.treasury_id', 't.treasury_id')
    .select('t.record_time as recordTime')
    .where('t.treasury_id', '=', treasuryId)
    .where('t.synchronizer_id', '=', synchronizerId)
    .where('s.status', '=', 'RUNNING')
    .executeTakeFirst();
  if (time === undefined) return null;
  const distance = nowMicros - time.recordTime;
  const isTold =
    distance <= millisToMicros(limits.recordTimeAgeMsMax) && -distance <= millisToMicros(limits.recordTimeAheadMsMax);
  return isTold ? { synchronizerId, recordTime: time.recordTime } : null;
}
