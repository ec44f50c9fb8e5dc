/** What a process keeps of the event log outside the database: in its memory, which dies with it, and in a file, which does not and is a second behind. */

import type { RestoreWindow } from '../../src/db/database-restore.ts';
import type { JsonValue } from '../../src/db/event-log.ts';
import { createLogMemory, type LogMark, type LogMemory } from '../../src/db/log-history.ts';
import type { Clock } from '../../src/env/clock.ts';
import { HELD_MONEY } from '../../src/submissions/held-money.ts';

export type Anchor = {
  /** The memory of a new life, as of what was written last. */
  open(): LogMemory;
  /** Writes down what `memory` knows, again and again, until the signal aborts. */
  run(memory: LogMemory, clock: Clock, signal: AbortSignal): Promise<void>;
  /** What was written last; null: nothing yet. */
  written(): LogMark | null;
};

const WRITE_MS = 1_000; // As src/db/log-anchor.ts does.

export function createAnchor(window: RestoreWindow): Anchor {
  let mark: LogMark | null = null;
  let kept: JsonValue = null;
  return {
    open: () => createLogMemory(mark, { kept, keeper: HELD_MONEY, window }),
    written: () => mark,
    run: async (memory, clock, signal) => {
      while (!signal.aborted) {
        mark = memory.known();
        kept = memory.kept();
        await clock.sleep(WRITE_MS, signal);
      }
    },
  };
}
