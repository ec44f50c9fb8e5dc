/**
 * A writer that a slow machine cannot stop. The database ends a transaction in which nothing happens for a while, since a process that stands still in the middle of a batch keeps its successor waiting; and a statement
 * that takes too long. Both limits are short, and the next try would meet them with the very same batch, again and again. So after a write that failed late the next ones are smaller, and may pause for longer.
 *
 * Nothing depends on these limits but how long a successor waits: who stands still and wakes up again commits under his token or not at all (position.ts).
 */
import { microsToMillis } from '../env/clock.ts';
import { RetryableError } from '../env/errors.ts';
import { type BatchWriterOptions, createBatchWriter, type JoiningBatchWriter } from './batch-writer.ts';
import type { Position } from './position.ts';

const LATE_MS = 250; // What fails sooner met none of the limits.
const PAUSE_MS_MIN = 5_000;
const PAUSE_MS_MAX = 60_000;
const CALM = 100; // Writes in a row that went well; then all is as before.

export function createPatientWriter(options: Omit<BatchWriterOptions, 'pauseMs'>): JoiningBatchWriter {
  const { clock, logger } = options;
  /** Null: what the connection has. */
  let pauseMs: number | null = null;
  let countMax = Number.POSITIVE_INFINITY;
  let wellInARow = 0;
  const writer = createBatchWriter({ ...options, pauseMs: () => pauseMs });

  function noteFailure(count: number): void {
    wellInARow = 0;
    countMax = Math.max(1, Math.floor(count / 2));
    pauseMs = Math.min(PAUSE_MS_MAX, pauseMs === null ? PAUSE_MS_MIN : pauseMs * 2);
    logger.warn('A batch failed late: the next ones are smaller, and may take longer.', { countMax, pauseMs });
  }

  function noteSuccess(): void {
    if (pauseMs === null) return;
    wellInARow += 1;
    if (wellInARow < CALM) return;
    pauseMs = null;
    countMax = Number.POSITIVE_INFINITY;
  }

  return {
    ...writer,
    write: async (batch, start) => {
      let position: Position = start;
      let from = 0;
      do {
        const part = batch.slice(from, from + countMax);
        const startedAt = clock.nowMicros();
        try {
          position = await writer.write(part, position);
        } catch (error) {
          const tookMs = microsToMillis(clock.nowMicros() - startedAt);
          if (error instanceof RetryableError && error.code.startsWith('DB_') && tookMs >= LATE_MS)
            noteFailure(part.length);
          throw error;
        }
        noteSuccess();
        from += part.length;
      } while (from < batch.length);
      return position;
    },
  };
}
