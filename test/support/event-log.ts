/** An event log at work on a test database: sequencers and a tail as a process runs them. */

import { appendEvents, type EventDraft } from '../../src/db/event-log.ts';
import { createEventSequencer } from '../../src/db/event-sequencer.ts';
import { type EventTail, openEventTail } from '../../src/db/event-tail.ts';
import { createNotifications } from '../../src/db/notifications.ts';
import { type Failpoint, noFailpoints } from '../../src/env/failpoint.ts';
import { systemClock, systemRandom } from '../../src/env/system.ts';
import type { TestDatabase } from './database.ts';

export type RunningEventLog = {
  readonly tail: EventTail;
  /** Settles when the first of the loops has ended. */
  readonly ended: Promise<void>;
  /** Ends the loops, and throws what one of them threw. */
  stop(): Promise<void>;
};

export async function startEventLog(
  database: TestDatabase,
  options: {
    readonly sequencersCount?: number;
    readonly ringCountMax?: number;
    readonly failpoint?: Failpoint;
  } = {},
): Promise<RunningEventLog> {
  const { db, logger, connectionString } = database;
  const ending = new AbortController();
  const common = { db, logger, clock: systemClock, random: systemRandom, signal: ending.signal };
  const notifications = createNotifications({ ...common, connectionString, applicationName: 'sluice-test-listen' });
  const { sequencersCount = 1, ringCountMax, failpoint = noFailpoints } = options;
  const tail = await openEventTail({
    ...common,
    notifications,
    ...(ringCountMax === undefined ? {} : { ringCountMax }),
  });
  const sequencers = Array.from({ length: sequencersCount }, () =>
    createEventSequencer({ ...common, notifications, failpoint }),
  );
  const runs = [tail.run(), ...sequencers.map(async (sequencer) => await sequencer.run())];
  const running = Promise.allSettled(runs);
  return {
    tail,
    ended: Promise.race(runs.map(async (run) => await run.catch(() => undefined))),
    stop: async () => {
      ending.abort();
      const ends = await running;
      await notifications.close();
      for (const end of ends) if (end.status === 'rejected') throw end.reason;
    },
  };
}

/** A draft whose payload and subject are its id. */
export function draftOf(eventId: string, type = 'test.happened'): EventDraft {
  return { eventId, type, subject: eventId, payload: { id: eventId }, recordedAt: systemClock.nowMicros() };
}

/** Appends in a transaction of its own. */
export async function append(database: TestDatabase, ...drafts: readonly EventDraft[]): Promise<void> {
  await database.db.transaction().execute(async (tx) => await appendEvents(tx, drafts));
}
