/** The completions of one participant: what became of each command it submitted, at the offsets of its own history. */
import { microsToTimestamp } from '../../env/clock.ts';
import type { CompletionStreamResponse } from '../../gen/com/daml/ledger/api/v2/command_completion_service.ts';
import type { Completion } from '../../gen/com/daml/ledger/api/v2/completion.ts';
import type { OffsetEntry } from '../ledger/update-stream.ts';

export type CompletionLog = {
  add(completion: Completion, recordTimeMicros: bigint): void;
  /** Forgets those past `offset`. */
  rollBack(offset: bigint): void;
  /** @returns the first one past `position`, shown if `isWanted`. */
  next(
    position: bigint,
    isWanted: (completion: Completion) => boolean,
  ): OffsetEntry<CompletionStreamResponse> | undefined;
};

const COMPLETIONS_MAX = 20_000; // Older ones are forgotten, as by pruning.

export function createCompletionLog(synchronizerId: string): CompletionLog {
  let log: { readonly completion: Completion; readonly recordTimeMicros: bigint }[] = [];
  return {
    add: (completion, recordTimeMicros) => {
      const synchronizerTime = { synchronizerId, recordTime: microsToTimestamp(recordTimeMicros) };
      log.push({ completion: { ...completion, synchronizerTime }, recordTimeMicros });
      if (log.length > COMPLETIONS_MAX * 1.1) log = log.slice(-COMPLETIONS_MAX);
    },
    rollBack: (offset) => {
      log = log.filter(({ completion }) => completion.offset <= offset);
    },
    next: (position, isWanted) => {
      // Offsets only rise: whoever reads on finds the place from the end, where followers are.
      let index = log.length;
      while (index > 0 && (log[index - 1]?.completion.offset ?? 0n) > position) index -= 1;
      const found = log[index];
      if (found === undefined) return undefined;
      const { completion, recordTimeMicros } = found;
      return {
        offset: completion.offset,
        synchronizerId,
        recordTimeMicros,
        message: isWanted(completion) ? { completionResponse: { $case: 'completion', value: completion } } : undefined,
      };
    },
  };
}
