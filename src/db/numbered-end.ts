/**
 * Where the event log ends once it has what was just committed. An event is numbered by the sequencer a moment after its commit, so whoever
 * wrote one waits for that to name its place.
 */
import { sql } from 'kysely';
import { type Clock, elapsedMsOf } from '../env/clock.ts';
import type { Database } from './connection.ts';
import type { EventPoint } from './event-cursor.ts';

const LOOK_MS = 10; // The sequencer is woken at commit and takes a few.
const WAIT_MS_MAX = 2_000; // Eight of its polls: longer, and none is at work.

/**
 * @returns an end of the log that includes every event committed before the call, as nearly after them as it was seen; null where they were not numbered in time (no worker runs, or it is far behind).
 * @throws RetryableError of the database.
 */
export async function readNumberedEnd(db: Database, clock: Clock): Promise<EventPoint | null> {
  // A wall clock that is set back would let it wait for as long.
  const nowMs = (): number => elapsedMsOf(clock);
  const startedAtMs = nowMs();
  const { seq } = await db
    .selectFrom('event_outbox')
    .select(({ fn }) => fn.max('seq').as('seq'))
    .executeTakeFirstOrThrow();
  for (;;) {
    // One statement, one snapshot: an event leaves the outbox in the transaction that moves the end past it.
    const { rows } = await sql<EventPoint & { readonly isNumbered: boolean }>`
      SELECT epoch, last_position AS position,
        NOT EXISTS (SELECT FROM event_outbox WHERE seq <= ${seq ?? 0n}::bigint) AS "isNumbered"
      FROM event_log`.execute(db);
    const [end] = rows;
    if (end?.isNumbered === true) return { epoch: end.epoch, position: end.position };
    if (nowMs() - startedAtMs >= WAIT_MS_MAX) return null;
    await clock.sleep(LOOK_MS);
  }
}
