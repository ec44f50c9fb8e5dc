/**
 * A stream that is a function of the event log: where it starts, which events it looks at, and what it makes of each. Said apart from its reading, so that a server can make one thing of an event
 * for many subscribers (src/server/fan-out.ts) and each of them still has a place of its own.
 */
import type { LogEvent } from '../db/event-page.ts';
import type { EventReader, EventSubscription, EventTail } from '../db/event-tail.ts';
import { interruptible } from '../db/interruptible.ts';

const FEED = Symbol('log feed');

/** Can be iterated like any stream, and is ended by its `return()`, also while it waits. */
export type LogFeed<T> = AsyncGenerator<T, void, undefined> & {
  readonly [FEED]: true;
  /** Reads from the start of the feed; to be closed. */
  open(): EventReader;
  /** What is told of an event; null: nothing. Depends on the event and on what was asked for alone. */
  readonly select: (event: LogEvent) => Promise<T | null> | T | null;
};

export function createLogFeed<T>(
  tail: EventTail,
  subscription: EventSubscription,
  select: (event: LogEvent) => Promise<T | null> | T | null,
): LogFeed<T> {
  const open = (): EventReader => tail.read(subscription);
  return Object.assign(
    interruptible<T>((ended) => items(open(), select, ended)),
    { [FEED]: true as const, open, select },
  );
}

export function isLogFeed(value: unknown): value is LogFeed<unknown> {
  return typeof value === 'object' && value !== null && FEED in value;
}

/** Few at a time: whoever iterates may stand still for long. */
const BATCH = { countMax: 16, bytesMax: 64 * 1024 };

async function* items<T>(
  reader: EventReader,
  select: LogFeed<T>['select'],
  ended: AbortSignal,
): AsyncGenerator<T, void, undefined> {
  ended.addEventListener('abort', reader.close, { once: true });
  try {
    for (;;) {
      const events = await reader.take(BATCH);
      if (events.length === 0) return;
      for (const event of events) {
        const item = await select(event);
        if (ended.aborted) return;
        if (item !== null) yield item;
      }
    }
  } finally {
    reader.close();
  }
}
