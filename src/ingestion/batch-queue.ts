/**
 * Between the stream and the database: while one batch commits the next collects. At the head of the ledger a batch is one update and leaves at
 * once; in a backlog it grows until the commit before it is done. Bounded, so a slow database holds the reader back, and through it the stream.
 */
export type BatchLimits = {
  /** Items per batch; the queue holds at most one batch beside the one being written. */
  readonly countMax: number;
  readonly bytesMax: number;
};

export type BatchQueue<T> = {
  /** Resolves when there is room for another item, or when the queue is closed. */
  push(item: T, bytes: number): Promise<void>;
  /** Everything queued, oldest first, waiting until there is something. Empty: closed and drained. @throws what the queue was closed with. */
  take(): Promise<readonly T[]>;
  /** No more items come. `take` first hands out what is there, then reports `error` if there is one. */
  close(error?: unknown): void;
};

export function createBatchQueue<T>({ countMax, bytesMax }: BatchLimits): BatchQueue<T> {
  let items: T[] = [];
  let bytesQueued = 0;
  let end: { readonly error: unknown } | null = null;
  const nobodyWaits = () => {
    // Replaced by whoever waits.
  };
  let wakeTaker = nobodyWaits;
  let wakePusher = nobodyWaits;

  return {
    push: async (item, bytes) => {
      items.push(item);
      bytesQueued += bytes;
      wakeTaker();
      while (end === null && (items.length >= countMax || bytesQueued >= bytesMax)) {
        await new Promise<void>((resolve) => {
          wakePusher = resolve;
        });
      }
      await nextTurn();
    },
    take: async () => {
      while (items.length === 0 && end === null) {
        await new Promise<void>((resolve) => {
          wakeTaker = resolve;
        });
      }
      if (items.length === 0 && end?.error !== undefined) throw end.error;
      const batch = items;
      items = [];
      bytesQueued = 0;
      wakePusher();
      return batch;
    },
    close: (error) => {
      end ??= { error };
      wakeTaker();
      wakePusher();
    },
  };
}

/**
 * In a backlog the next message lies ready in memory, and the next: a reader that took them all in one go would keep the database's answers waiting, and with them the batch that is
 * being written. So the two share the time: a batch is read while the database works on the one before (a backfill takes a quarter less time than without).
 */
function nextTurn(): Promise<void> {
  // biome-ignore lint/style/noRestrictedGlobals: no time passes; what has arrived meanwhile is served.
  return new Promise((resolve) => setImmediate(resolve));
}
