/**
 * Subscribers as the API has them: several that read the same tail of the event log, each by its cursor, are cut off in the middle of what they are given, and come back. Where their cursor is of an event
 * that is gone they are told the point to resume from, and forget what came after it. What each of them knows in the end is the log.
 */
import { CursorError, formatEventCursor, parseEventCursor } from '../../src/db/event-cursor.ts';
import { type EventTail, openEventTail } from '../../src/db/event-tail.ts';
import { RetryableError } from '../../src/env/errors.ts';
import { retry } from '../../src/env/retry.ts';
import type { Dice } from './dice.ts';
import type { FaultPlan } from './fault-plan.ts';
import type { FeedReader } from './feed-reader.ts';
import type { Marks } from './marks.ts';
import type { Life } from './process.ts';
import { must } from './violation.ts';

const START = { attemptsMax: 10, delayMsMin: 200, delayMsMax: 5_000 };
const PAUSE_MS_MAX = 1_000;
const BYTES_MAX = 1_000_000;

type Subscriber = {
  /** Events, in the order they were received; what is gone is forgotten. */
  readonly received: string[];
  /** Of the last of them; null: none yet. */
  cursor: string | null;
  readonly pageEvents: number;
  /** What it reads; null: nothing, at the moment. */
  reads: EventTail | null;
};

export function createSubscribers({
  dice,
  faults,
  marks,
}: {
  readonly dice: Dice;
  readonly faults: FaultPlan;
  readonly marks: Marks;
}): FeedReader {
  const subscribers: readonly Subscriber[] = Array.from({ length: dice.integer(2, 4) }, () => ({
    received: [],
    cursor: null,
    pageEvents: dice.pick([1, 2, 3, 7, 100]),
    reads: null,
  }));
  const cutShare = dice.pick([0, 0.1, 0.5]);

  const forget = (subscriber: Subscriber, resumeCursor: string): void => {
    const { position } = parseEventCursor(resumeCursor);
    must(position <= BigInt(subscriber.received.length), 'a point to resume from has been passed', { position });
    subscriber.received.splice(Number(position));
    subscriber.cursor = resumeCursor;
    marks.add('subscriber told where to resume from');
  };

  /** From the cursor until it is cut off. */
  const subscribe = async (tail: EventTail, subscriber: Subscriber, signal: AbortSignal): Promise<void> => {
    const { received, pageEvents } = subscriber;
    // Without a cursor from the beginning of the log, so that all of it is received.
    const { epoch, position: after } = await tail.pointAfter(
      subscriber.cursor ?? formatEventCursor({ epoch: tail.head().epoch, position: 0n }),
    );
    must(after === BigInt(received.length), 'a subscriber resumes where it was', { after, received: received.length });
    const reader = tail.read({ after });
    const close = (): void => reader.close();
    signal.addEventListener('abort', close, { once: true });
    subscriber.reads = tail;
    try {
      while (!signal.aborted) {
        const events = await reader.take({ countMax: pageEvents, bytesMax: BYTES_MAX });
        const isCut = !faults.isOver() && dice.chance(cutShare);
        const read = isCut ? dice.integer(0, events.length) : events.length;
        for (const { position, eventId } of events.slice(0, read)) {
          must(position === BigInt(received.length) + 1n, 'positions are dense and in order', {
            expected: received.length + 1,
            position,
          });
          must(!received.includes(eventId), 'an event is received once', { eventId });
          received.push(eventId);
          subscriber.cursor = formatEventCursor({ epoch, position });
        }
        if (isCut && read < events.length) marks.add('subscriber cut off in the middle of a batch');
        if (isCut) return;
      }
    } finally {
      subscriber.reads = null;
      signal.removeEventListener('abort', close);
      reader.close();
    }
  };

  const follow = async (tail: EventTail, subscriber: Subscriber, life: Life): Promise<void> => {
    const { signal, clock, random } = life;
    while (!signal.aborted) {
      try {
        await subscribe(tail, subscriber, signal);
      } catch (error) {
        if (error instanceof CursorError) {
          // An epoch that began and was lost again between two restores is known to nobody: then from the beginning.
          const resume = error.facts['resumeCursor'] ?? error.facts['startCursor'];
          // Ahead of a log that went back, as long as nobody has noticed that.
          if (error.code === 'CURSOR_AHEAD') marks.add('subscriber ahead of the log');
          else {
            must(typeof resume === 'string', 'whoever is ahead of a restored log is told where to resume from', {
              code: error.code,
              message: error.message,
            });
            forget(subscriber, resume);
          }
        } else if (!(error instanceof RetryableError)) throw error;
      }
      await clock.sleep(random.next() * PAUSE_MS_MAX, signal);
    }
  };

  return {
    all: () => subscribers.map(({ received }) => received),
    isFollowing: (logEpoch) => subscribers.every(({ reads }) => reads?.head().epoch === logEpoch),
    loop: async (life) => {
      const { lazyClock: clock } = life;
      const failed = new AbortController();
      const common = { ...life, signal: AbortSignal.any([life.signal, failed.signal]) };
      const tail = await retry(async () => await openEventTail({ ...common, clock }), START, common);
      const parts = [tail.run(), ...subscribers.map(async (subscriber) => await follow(tail, subscriber, common))];
      // Neither goes on without the others.
      for (const part of parts) part.catch(() => failed.abort());
      const ends = await Promise.allSettled(parts);
      for (const end of ends) if (end.status === 'rejected') throw end.reason;
    },
  };
}
