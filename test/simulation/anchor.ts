/** What a process keeps of the event log outside the database: in its memory, which dies with it, and in a file, which does not and is a second behind. */

import type { RestoreWindow } from '../../src/db/database-restore.ts';
import type { JsonValue } from '../../src/db/event-log.ts';
import { createLogMemory, type LogMark, type LogMemory } from '../../src/db/log-history.ts';
import type { Clock } from '../../src/env/clock.ts';
import { HELD_MONEY } from '../../src/submissions/held-money.ts';

export type Anchor = {
  /** The memory of a new life, as of what was written last. */
  open(): LogMemory;
  /** Writes down what the process knows, again and again, until the signal aborts. */
  run(clock: Clock, signal: AbortSignal): Promise<void>;
  /** What was written last; null: nothing yet. */
  written(): LogMark | null;
  /** What must not move, as it was written last. */
  kept(): JsonValue;
  /** Writes now what the process knows, as it would within a second. */
  write(): void;
  /** The process is gone, and writes no more. */
  close(): void;
};

const WRITE_MS = 1_000; // As src/db/log-anchor.ts does.

export function createAnchor(window: RestoreWindow): Anchor {
  let mark: LogMark | null = null;
  let kept: JsonValue = null;
  let memory: LogMemory | null = null;
  const write = (): void => {
    mark = memory?.known() ?? mark;
    kept = memory?.kept() ?? kept;
  };
  return {
    open: () => {
      memory = createLogMemory(mark, { kept, keeper: HELD_MONEY, window });
      return memory;
    },
    write,
    close: () => {
      memory = null;
    },
    written: () => mark,
    kept: () => kept,
    run: async (clock, signal) => {
      while (!signal.aborted) {
        write();
        await clock.sleep(WRITE_MS, signal);
      }
    },
  };
}
