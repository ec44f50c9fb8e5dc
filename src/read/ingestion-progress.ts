/**
 * Ingestion status pushed to any number of subscribers from one loop per process. Conflated: a subscriber that is slow, or not ready, gets
 * the newest state and not the history, and nothing is kept for it but what it saw last.
 */
import type { Database } from '../db/connection.ts';
import { interruptible } from '../db/interruptible.ts';
import type { Notifications } from '../db/notifications.ts';
import { createWakeUp, runPollingLoop } from '../db/polling-loop.ts';
import type { Clock } from '../env/clock.ts';
import type { Logger } from '../env/logger.ts';
import type { Random } from '../env/random.ts';
import { PROGRESS_CHANNEL } from '../ingestion/batch-writer.ts';
import type { StreamView } from './database-view.ts';
import { freshnessOf } from './freshness.ts';
import { type IngestionStream, readIngestionStreams } from './ingestion-streams.ts';
import { ledgerKey } from './ledger-keys.ts';

export type IngestionProgress = {
  /** Follows the positions until the signal aborts. @throws as runPollingLoop does. */
  run(): Promise<void>;
  /** The present state at once, then each change. @param key of a treasury party ({@link keyOfStream}); null: all. */
  subscribe(key: string | null): AsyncGenerator<IngestionStream, void, undefined>;
  /** As last looked at, without asking: of up to a second ago. */
  newest(): StreamView[];
  /** For gauges and tests. */
  stats(): { readonly waiting: number; readonly reads: number };
};

export type IngestionProgressOptions = {
  readonly db: Database;
  readonly notifications: Notifications;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly signal: AbortSignal;
};

/** 1 s: ages grow even when nothing is written, and a lost hint must not freeze the display. */
const POLL_MS = 1_000;

export const keyOfStream = ({ treasury }: IngestionStream): string => ledgerKey(treasury.network, treasury.party);

export function createIngestionProgress(options: IngestionProgressOptions): IngestionProgress {
  const { db, notifications, clock, random, logger, signal } = options;
  const current = new Map<string, { readonly stream: IngestionStream; readonly version: string }>();
  const waiters = new Set<() => void>();
  let reads = 0;

  const wakeAll = (): void => {
    for (const wake of [...waiters]) wake();
  };
  signal.addEventListener('abort', wakeAll, { once: true });

  async function look(): Promise<boolean> {
    reads++;
    const streams = await readIngestionStreams(db);
    const now = clock.nowMicros();
    let isChanged = false;
    for (const stream of streams) {
      const key = keyOfStream(stream);
      const version = versionOf(stream, now);
      isChanged ||= current.get(key)?.version !== version;
      current.set(key, { stream, version });
    }
    if (isChanged) wakeAll();
    return false;
  }

  async function* follow(key: string | null, subscriber: AbortSignal): AsyncGenerator<IngestionStream, void> {
    const seen = new Map<string, string>();
    while (!signal.aborted && !subscriber.aborted) {
      let isNews = false;
      for (const [its, { stream, version }] of current) {
        if ((key !== null && its !== key) || seen.get(its) === version) continue;
        isNews = true;
        seen.set(its, version);
        yield stream;
        if (signal.aborted || subscriber.aborted) return;
      }
      if (!isNews) {
        const { promise, resolve } = Promise.withResolvers<void>();
        const wake = (): void => resolve();
        waiters.add(wake);
        subscriber.addEventListener('abort', wake, { once: true });
        await promise;
        subscriber.removeEventListener('abort', wake);
        waiters.delete(wake);
      }
    }
  }

  return {
    newest: () => [...current.values()].map(({ stream }) => viewOf(stream)),
    stats: () => ({ waiting: waiters.size, reads }),
    subscribe: (key) => interruptible((subscriber) => follow(key, subscriber)),
    run: async () => {
      const wakeUp = createWakeUp(clock);
      const unlisten = notifications.listen(PROGRESS_CHANNEL, wakeUp.wake);
      try {
        await runPollingLoop({
          name: 'ingestion progress',
          pass: look,
          wakeUp,
          pollMs: POLL_MS,
          clock,
          random,
          logger,
          signal,
        });
      } finally {
        unlisten();
      }
    },
  };
}

/** Everything a subscriber may see change, the age left out: it grows by itself. */
function versionOf(stream: IngestionStream, now: bigint): string {
  const { state } = freshnessOf({ ...stream, now });
  return JSON.stringify([stream, state], (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value));
}

function viewOf({ treasury, status, observedAt, recordTime }: IngestionStream): StreamView {
  return { network: treasury.network, party: treasury.party, status, observedAt, recordTime };
}
