/**
 * Waiting until the database has what a query demands (`@atLeast`). All who wait share one statement at a time, so a thousand of them cost
 * the database as much as one; and how many wait is limited, so that nobody can make everybody else's wait fail.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { Database } from '../db/connection.ts';
import { checkEventPoint, type EventPoint, formatEventCursor, parseEventCursor } from '../db/event-cursor.ts';
import { sharedPositionOf } from '../db/log-history.ts';
import { type Clock, elapsedMsOf, type Micros } from '../env/clock.ts';
import { RetryableError } from '../env/errors.ts';
import { formatRecordTime } from '../env/record-time.ts';
import { type DatabaseView, readDatabaseView } from '../read/database-view.ts';
import { worstFreshness } from '../read/freshness.ts';

export type Demand = {
  readonly cursor: string | null;
  readonly recordTime: Micros | null;
  /** Milliseconds; null: as long as the server lets anybody wait. */
  readonly waitMs: number | null;
};

/** This replica's database does not have it yet. The same query may succeed later, and on another replica now. */
export class NotCaughtUpError extends RetryableError {}

export type CaughtUp = {
  /**
   * @returns how far the database is, once it has what is demanded: what is read afterwards has it too.
   * @throws NotCaughtUpError NOT_CAUGHT_UP; CursorError as a subscription does; RetryableError of the database.
   */
  wait(demand: Demand, principalKey: string): Promise<DatabaseView>;
  waitingCount(): number;
};

/** 20 ms: far below what a person notices, and 50 statements of a millisecond in a second at most. */
const LOOK_MS = 20;
const WAITING_MAX = 1_000;
const WAITING_OF_ONE_MAX = 250;

/** @param waitMsMax milliseconds that anybody may wait. */
export function createCaughtUp({ db, clock, waitMsMax }: { db: Database; clock: Clock; waitMsMax: number }): CaughtUp {
  // A reading serves all who wait: it must not end with the request of whoever asked for it first (src/db/cancellation.ts).
  const apart = AsyncLocalStorage.snapshot();
  const waitingOf = new Map<string, number>();
  let waiting = 0;
  let looking: Promise<DatabaseView> | null = null;
  // A wall clock that is set back would let everybody wait for as long.
  const nowMs = (): number => elapsedMsOf(clock);

  /** The next reading that begins, not one under way: what a caller committed before is in it. */
  async function look(): Promise<DatabaseView> {
    looking ??= apart(async () => {
      await clock.sleep(LOOK_MS);
      looking = null;
      return await readDatabaseView(db);
    });
    return await looking;
  }

  async function isThere(
    point: EventPoint | null,
    demand: Demand,
    view: DatabaseView,
    isLast: boolean,
  ): Promise<boolean> {
    if (point !== null && !(await hasEvent(point, view, isLast))) return false;
    if (demand.recordTime === null) return true;
    const { recordTime } = worstFreshness(view.streams, { now: clock.nowMicros() });
    return recordTime !== null && recordTime >= demand.recordTime;
  }

  async function hasEvent(point: EventPoint, view: DatabaseView, isLast: boolean): Promise<boolean> {
    const isOurs = point.epoch === view.epoch;
    if (isOurs && point.position <= view.head) return true;
    // What is ahead of a primary may be of a database that has just gone back in time, which is noticed within a second; a read replica may only be behind.
    if (isOurs && (view.isStandby || !isLast)) return false;
    const sharedPosition = isOurs ? null : await sharedPositionOf(db, point.epoch);
    if (sharedPosition === null && !isOurs && view.isStandby && !isLast) return false;
    checkEventPoint(point, { epoch: view.epoch, head: view.head, sharedPosition });
    return true;
  }

  async function waitInLine(demand: Demand): Promise<DatabaseView> {
    const point = demand.cursor === null ? null : parseEventCursor(demand.cursor);
    const startedAtMs = nowMs();
    const waitMs = Math.max(0, Math.min(demand.waitMs ?? waitMsMax, waitMsMax));
    let view = await readDatabaseView(db);
    for (;;) {
      const isLast = nowMs() - startedAtMs >= waitMs;
      if (await isThere(point, demand, view, isLast)) return view;
      if (isLast) throw notCaughtUp(view, point, nowMs() - startedAtMs);
      view = await look();
    }
  }

  function notCaughtUp(view: DatabaseView, point: EventPoint | null, waitedMs: number): NotCaughtUpError {
    const { recordTime } = worstFreshness(view.streams, { now: clock.nowMicros() });
    const behind = point === null || point.epoch !== view.epoch ? null : point.position - view.head;
    return new NotCaughtUpError(
      'NOT_CAUGHT_UP',
      'What was asked for is not here yet: ask again, or with an older demand.',
      {
        retryable: true,
        position: formatEventCursor({ epoch: view.epoch, position: view.head }),
        eventsBehind: behind === null ? null : String(behind > 0n ? behind : 0n),
        recordTime: recordTime === null ? null : formatRecordTime(recordTime),
        waitedMs: Math.trunc(waitedMs),
      },
    );
  }

  return {
    waitingCount: () => waiting,
    wait: async (demand, principalKey) => {
      const own = waitingOf.get(principalKey) ?? 0;
      if (waiting >= WAITING_MAX || own >= WAITING_OF_ONE_MAX) {
        throw new NotCaughtUpError('NOT_CAUGHT_UP', 'Too many wait already: ask again later, or without a demand.', {
          retryable: true,
          waitedMs: 0,
        });
      }
      waiting += 1;
      waitingOf.set(principalKey, own + 1);
      try {
        return await waitInLine(demand);
      } finally {
        waiting -= 1;
        const left = (waitingOf.get(principalKey) ?? 1) - 1;
        if (left === 0) waitingOf.delete(principalKey);
        else waitingOf.set(principalKey, left);
      }
    },
  };
}
