/** The only clock by which attempts are opened: the record time that ingestion has committed. */
import { sql } from 'kysely';
import type { Transaction } from '../db/connection.ts';
import { type Micros, millisToMicros } from '../env/clock.ts';
import { homeSynchronizerOf } from '../ingestion/home-synchronizer.ts';
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
  const { rows } = await sql<PositionClock>`
    SELECT t.synchronizer_id AS "synchronizerId", t.record_time AS "recordTime"
    FROM synchronizer_time t JOIN ingestion_stream s ON s.treasury_id = t.treasury_id AND s.status = 'RUNNING'
    WHERE t.treasury_id = ${treasuryId} AND t.synchronizer_id = ${homeSynchronizerOf(sql`t.treasury_id`)}`.execute(tx);
  const [time] = rows;
  if (time === undefined) return null;
  const distance = nowMicros - time.recordTime;
  const isTold =
    distance <= millisToMicros(limits.recordTimeAgeMsMax) && -distance <= millisToMicros(limits.recordTimeAheadMsMax);
  return isTold ? time : null;
}
