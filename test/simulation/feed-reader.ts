/** A subscriber that reads the event log by position, across its own crashes: what it has seen is its cursor. */

import { LOG_CHANNEL } from '../../src/db/event-log.ts';
import { readEvents, readLogEnd } from '../../src/db/event-page.ts';
import { createWakeUp, runPollingLoop } from '../../src/db/polling-loop.ts';
import type { ProcessLoop } from './process.ts';
import { must } from './violation.ts';

export type FeedReader = {
  readonly loop: ProcessLoop;
  /** Event ids in the order they were received, of each who reads. */
  all(): readonly (readonly string[])[];
  /** Whether everyone reads the log that has this epoch, and not only knows as many events as it has. */
  isFollowing(logEpoch: string): boolean;
};

const PAGE_EVENTS = 3; // Small pages: more of them to be interrupted in.
const POLL_MS = 500;

export function createFeedReader(): FeedReader {
  const received: string[] = [];
  return {
    all: () => [received],
    isFollowing: () => true, // Only where no log is ever replaced.
    loop: async ({ db, notifications, lazyClock: clock, random, logger, signal }) => {
      const wakeUp = createWakeUp(clock);
      const unlisten = notifications.listen(LOG_CHANNEL, wakeUp.wake);
      const pass = async (): Promise<boolean> => {
        const { head } = await readLogEnd(db);
        const after = BigInt(received.length);
        must(head >= after, 'the log never gets shorter', { head, after });
        if (head === after) return false;
        const page = await readEvents(db, { after, upTo: head, countMax: PAGE_EVENTS, bytesMax: 1_000_000 });
        for (const { event } of page.events) {
          must(event.position === BigInt(received.length) + 1n, 'positions are dense and in order', {
            expected: received.length + 1,
            position: event.position,
          });
          must(!received.includes(event.eventId), 'an event is received once', { eventId: event.eventId });
          received.push(event.eventId);
        }
        must(page.events.length > 0, 'what the log counts can be read', { after, head });
        return !page.isLast;
      };
      await runPollingLoop({ name: 'feed reader', pass, wakeUp, pollMs: POLL_MS, clock, random, logger, signal });
      unlisten();
    },
  };
}
