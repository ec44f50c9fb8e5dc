/**
 * Gives committed events their positions. Every process may run a sequencer; at any moment one of them works.
 *
 * Why it is correct:
 * - Positions are handed out under the row lock of `event_log`, in the transaction that writes the events, so they are dense, and a
 *   position is never visible before all smaller ones. The lock is taken by a statement of its own: under READ COMMITTED the next statement's
 *   snapshot begins after it, and so contains all that the previous holder committed.
 * - Rows are taken in the order of `seq`. If event B of a subject was written after its event A had committed (the row lock of the change
 *   sees to that, event-log.ts), whoever sees B sees A, and A has the smaller `seq`: A is numbered first. It does not matter that a
 *   sequence is handed out before commit.
 * - A transaction that stays open hides its own rows and nobody else's: later ones are numbered past it, and its events come when it
 *   commits. No horizon is waited for.
 * - Before anything is numbered, the log is what it was (log-history.ts), or has a new epoch.
 * - The advisory lock only keeps the others from queueing up behind the row lock; whoever fails to get it leaves the work to its holder
 *   and looks again at the next hint or poll.
 */
import { sql } from 'kysely';
import type { Clock } from '../env/clock.ts';
import type { Failpoint } from '../env/failpoint.ts';
import type { Logger } from '../env/logger.ts';
import type { Random } from '../env/random.ts';
import type { Database, Transaction } from './connection.ts';
import { LOG_CHANNEL, UNNUMBERED_CHANNEL } from './event-log.ts';
import { createLogMemory, keepLogHistory, type LogMemory } from './log-history.ts';
import type { Notifications } from './notifications.ts';
import { createWakeUp, runPollingLoop } from './polling-loop.ts';

export type EventSequencerOptions = {
  readonly db: Database;
  readonly notifications: Notifications;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  readonly failpoint: Failpoint;
  /** What the process has seen of the log; left out: nothing but what this sequencer sees. */
  readonly memory?: LogMemory;
};

export type EventSequencer = {
  /** Works until the signal aborts. @throws as {@link runPollingLoop} does. */
  run(): Promise<void>;
  /** One batch. @returns how many events left the outbox; 0 also when another process is at it. */
  sequence(): Promise<number>;
};

/** Rows per transaction: 10 ms of work, so that no other sequencer, and no shutdown, waits long. */
const BATCH_SIZE_MAX = 1_000;
/** 250 ms: what a lost hint costs at most, well below the half second a subscriber is promised. */
const POLL_MS = 250;
/** 'SLUI' 'SEQ1' as two 32-bit numbers: any pair no other lock of ours uses. */
const LOCK_KEYS = [0x534c5549, 0x53455131] as const;

export function createEventSequencer(options: EventSequencerOptions): EventSequencer {
  const { db, notifications, clock, random, logger, signal, failpoint, memory = createLogMemory() } = options;

  async function sequence(): Promise<number> {
    await failpoint('eventLog.beforeSequence');
    const moved = await db
      .transaction()
      .setIsolationLevel('read committed')
      .execute(async (tx) => {
        const lock = await sql<{ isMine: boolean }>`
          SELECT pg_try_advisory_xact_lock(${LOCK_KEYS[0]}::int, ${LOCK_KEYS[1]}::int) AS "isMine"
        `.execute(tx);
        if (lock.rows[0]?.isMine !== true) return { taken: 0, numbered: 0 };
        await sql`SELECT last_position FROM event_log FOR UPDATE`.execute(tx);
        await keepLogHistory(tx, { memory, random, logger, nowMicros: clock.nowMicros() });
        return await moveBatch(tx);
      });
    await failpoint('eventLog.afterSequence');
    if (moved.taken !== moved.numbered) {
      logger.warn('Events that the log already has were appended again.', { count: moved.taken - moved.numbered });
    }
    return moved.taken;
  }

  return {
    sequence,
    run: async () => {
      const wakeUp = createWakeUp(clock);
      const unlisten = notifications.listen(UNNUMBERED_CHANNEL, wakeUp.wake);
      try {
        const pass = async () => (await sequence()) > 0;
        await runPollingLoop({ name: 'event sequencer', pass, wakeUp, pollMs: POLL_MS, clock, random, logger, signal });
      } finally {
        unlisten();
      }
    },
  };
}

/**
 * Moves the oldest visible outbox rows to the log. Only under the row lock of `event_log`. An id the log already has is dropped: it may
 * be appended again after its first row left the outbox, and must not stop the sequencer on the unique index for ever.
 */
async function moveBatch(tx: Transaction): Promise<{ taken: number; numbered: number }> {
  const result = await sql<{ taken: number; numbered: number }>`
    WITH taken AS (
      DELETE FROM event_outbox
      WHERE seq = ANY (ARRAY(SELECT seq FROM event_outbox ORDER BY seq LIMIT ${BATCH_SIZE_MAX}::int))
      RETURNING seq, event_id, type, subject, payload, recorded_at
    ), fresh AS (
      SELECT *, row_number() OVER (ORDER BY seq) AS line
      FROM taken
      WHERE NOT EXISTS (SELECT FROM event WHERE event.event_id = taken.event_id)
    ), numbered AS (
      INSERT INTO event (position, event_id, type, subject, payload, recorded_at)
      SELECT last_position + line, event_id, type, subject, payload, fresh.recorded_at
      FROM fresh CROSS JOIN event_log
      RETURNING position
    ), moved AS (
      UPDATE event_log SET last_position = last_position + (SELECT count(*) FROM numbered), vouched = log_voucher(pg_current_xact_id()::xid)
      WHERE EXISTS (SELECT FROM numbered) OR vouched IS DISTINCT FROM log_voucher(xmin)
      RETURNING CASE WHEN EXISTS (SELECT FROM numbered) THEN pg_notify(${LOG_CHANNEL}, '') END
    )
    SELECT
      (SELECT count(*)::int FROM taken) AS taken,
      (SELECT count(*)::int FROM numbered) AS numbered,
      (SELECT count(*)::int FROM moved) AS notified
  `.execute(tx);
  return result.rows[0] ?? { taken: 0, numbered: 0 };
}
