/** Counts what a writer of batches commits, and how long that takes. */
import { type Clock, microsToMillis } from '../env/clock.ts';
import type { Measures } from '../env/measures.ts';
import type { JoiningBatchWriter } from './batch-writer.ts';

export function measuredWriter(
  writer: JoiningBatchWriter,
  treasury: string,
  { clock, measures }: { readonly clock: Clock; readonly measures: Measures },
): JoiningBatchWriter {
  return {
    ...writer,
    write: async (batch, position) => {
      const startedAt = clock.nowMicros();
      const next = await writer.write(batch, position);
      const durationMs = microsToMillis(clock.nowMicros() - startedAt);
      measures.batchWritten({
        treasury,
        updates: batch.filter(({ kind }) => kind !== 'CHECKPOINT').length,
        durationMs,
      });
      return next;
    },
  };
}
