/**
 * Reading the event log, for any number of subscribers at the cost of one: a single loop follows the log and keeps its newest events in a
 * bounded ring; subscribers pull from there.
 *
 * A subscriber holds its position and at most one bounded page, shared with whoever stands there as well (shared-pages.ts); nothing is pushed to it: a slow one costs no memory and drops nothing.
 * Positions are dense, so "is everything after my position in the ring?" is one comparison, and the change from reading pages of the
 * database to reading the ring has neither gap nor overlap. Subscribers that wait are woken by the loop and never poll.
 */
import type { Clock } from '../env/clock.ts';
import { PermanentError, RetryableError } from '../env/errors.ts';
import type { Logger } from '../env/logger.ts';
import type { Random } from '../env/random.ts';
import type { Database } from './connection.ts';
import { checkEventPoint, type EventPoint, parseEventCursor } from './event-cursor.ts';
import { LOG_CHANNEL, NEWS_LISTENER } from './event-log.ts';
import { type LogEvent, readEvents, readIsStandby, readLogEnd, readNews } from './event-page.ts';
import { createEventRing } from './event-ring.ts';
import { interruptible } from './interruptible.ts';
import { sharedPositionOf } from './log-history.ts';
import { createLogNews } from './log-news.ts';
import type { Notifications } from './notifications.ts';
import { createWakeUp, runPollingLoop } from './polling-loop.ts';
import { createSharedPages, type SharedPage } from './shared-pages.ts';

export type EventSubscription = {
  /** Everything after this position, 0 for all. Checked beforehand with {@link EventTail.pointAfter}. */
  readonly after: bigint;
  /** Only these types; not given: all. */
  readonly types?: readonly string[];
};

/** A place in the log that moves on by what it hands out. One `take` at a time. */
export type EventReader = {
  /** Everything up to here has been handed out, or was of other types. */
  position(): bigint;
  /**
   * The next events in order; waits where there is none. Empty: closed, or the tail has stopped.
   * @param bytesMax of payload; one event comes all the same.
   * @throws CursorError CURSOR_FROM_ANOTHER_LOG (the log was replaced by one that does not have what was read), RetryableError DB_… (a page cannot be read, or is of a log that is not the known one).
   */
  take(limits: { readonly countMax: number; readonly bytesMax: number }): Promise<readonly LogEvent[]>;
  /** Lets go of what was read ahead, between two `take`: for whoever will stand still. It is read again. */
  rest(): void;
  /** Also ends a `take` that waits. Harmless when repeated. */
  close(): void;
};

/** Ended by its `return()`, also while it waits. */
export type Events = AsyncGenerator<LogEvent, void, undefined>;

export type EventTail = {
  /** Follows the log until the signal aborts. @throws as runPollingLoop does, and PermanentError EVENT_LOG_REPLACED. */
  run(): Promise<void>;
  /** The newest event this process has seen. Another process may be a moment ahead. */
  head(): EventPoint;
  /**
   * Where to start reading, in the present epoch: after the cursor, or at the present end of the log when there is none. A cursor of an epoch that has ended is good as far as that one is
   * the beginning of the present one.
   * @throws CursorError; asks the database before it calls a cursor ahead, since another process may have seen more than this one. RetryableError DB_… where that cannot be told yet: of a read
   * replica, and of a log that has just got a new epoch.
   */
  pointAfter(cursor: string | null): Promise<EventPoint>;
  /** For whoever wants several events at once, and to know how far it is. Must be closed. */
  read(subscription: EventSubscription): EventReader;
  /** Events in order, each once. Ends, without an error, when the tail's signal aborts; throws as {@link EventReader.take} does. */
  subscribe(subscription: EventSubscription): Events;
  /** True: its signal has aborted, and what reads from it ends without being at an end. */
  hasStopped(): boolean;
  /** What is held right now, for gauges and tests. */
  stats(): {
    readonly ringCount: number;
    readonly ringBytes: number;
    readonly waiting: number;
    readonly pagesRead: number;
    /** Bytes of pages that are kept for readers behind the ring. */
    readonly pageBytes: number;
    /** Events of pages that readers have not handed out yet. */
    readonly readAhead: number;
  };
};

export type EventTailOptions = {
  readonly db: Database;
  readonly notifications: Notifications;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  /** Events kept. Default 10,000: five minutes of a busy exchange, enough for a deploy to reconnect without touching the database. */
  readonly ringCountMax?: number;
  /** Bytes of payload kept. Default 16 MiB. */
  readonly ringBytesMax?: number;
};

type TakeLimits = { readonly countMax: number; readonly bytesMax: number };
type ReplacedBy = { readonly epoch: string; readonly head: bigint; readonly sharedPosition: bigint | null };

/** The largest there can be: read to the end. */
const POSITION_MAX = 2n ** 63n - 1n;
/** 250 ms: what a lost hint costs at most. */
const POLL_MS = 250;
/** Events per pass of the loop, and bytes of their payloads. */
const TAIL_COUNT_MAX = 1_000;
const TAIL_BYTES_MAX = 4 * 1024 * 1024;
/** Events that an iterator takes at once, and bytes. */
const ONE_PAGE: TakeLimits = { countMax: 100, bytesMax: 256 * 1024 };

/** Reads where the log ends; from there on {@link EventTail.run} follows it. */
export async function openEventTail(options: EventTailOptions): Promise<EventTail> {
  const {
    db,
    notifications,
    clock,
    random,
    logger,
    signal,
    ringCountMax = 10_000,
    ringBytesMax = 16 * 1024 * 1024,
  } = options;
  const { epoch: firstEpoch, head: firstHead } = await readLogEnd(db);
  let epoch = firstEpoch;
  /** What had been read when the epoch began: good in it, too. */
  let epochStart = firstHead;
  const ring = createEventRing<LogEvent>({ head: firstHead, countMax: ringCountMax, bytesMax: ringBytesMax });
  const said = createLogNews();
  const waiters = new Set<() => void>();
  const pages = createSharedPages({
    db,
    onOther: (log) =>
      new RetryableError('DB_IN_DOUBT', 'The event log is not the one that was read before.', { ...log }),
  });
  let readAhead = 0;
  /** The log that stands there now, once it is not the one that was read: nothing is read of either. */
  let replacedBy: ReplacedBy | null = null;

  const wakeAll = (): void => {
    for (const wake of [...waiters]) wake();
  };
  signal.addEventListener('abort', wakeAll, { once: true });

  async function follow(): Promise<boolean> {
    const { events: told, isToLook } = said.take({ epoch, head: ring.head(), eventIdAt });
    for (const row of told) ring.push(row.event, row.bytes);
    if (told.length > 0) wakeAll();
    if (!isToLook) return false;
    const news = await readNews({ db, notifications }, ring.head());
    if (news?.epoch === epoch) {
      for (const row of news.events) ring.push(row.event, row.bytes);
      wakeAll();
      return false;
    }
    // The end and what lies before it in one snapshot: everything up to it is there, and nothing beyond.
    const bounds = { after: ring.head(), upTo: POSITION_MAX, countMax: TAIL_COUNT_MAX, bytesMax: TAIL_BYTES_MAX };
    const { events, log: end, isLast } = await readEvents(db, bounds);
    const isContinued = end.epoch === epoch || (await isSharedUpTo(ring.head()));
    if (isContinued && end.epoch !== epoch) {
      logger.warn('The event log has a new epoch, and all that was read of it so far.', { epoch: end.epoch });
      epoch = end.epoch;
      epochStart = ring.head();
    }
    if (!isContinued || end.head < ring.head()) {
      replacedBy = { ...end, sharedPosition: end.epoch === epoch ? end.head : await sharedPositionOf(db, epoch) };
      wakeAll();
      throw new PermanentError('EVENT_LOG_REPLACED', 'The event log is not the one this process started with.', {
        epoch: end.epoch,
        head: end.head,
        epochBefore: epoch,
        headBefore: ring.head(),
      });
    }
    if (events.length === 0) return false;
    for (const row of events) ring.push(row.event, row.bytes);
    wakeAll();
    return !isLast;
  }

  function eventIdAt(position: bigint): string | null {
    return position <= ring.head() && ring.covers(position - 1n) ? ring.after(position - 1n).eventId : null;
  }

  /** Whether the epoch that was read, which has ended, is the beginning of the present one up to `position`. */
  async function isSharedUpTo(position: bigint): Promise<boolean> {
    const shared = await sharedPositionOf(db, epoch);
    return shared !== null && position <= shared;
  }

  /** Its reading stands at `after`, which is in the epoch that this process follows. */
  function read({ after, types }: EventSubscription): EventReader {
    const wanted = types === undefined ? null : new Set(types);
    const closing = new AbortController();
    let position = after;
    let ownEpoch = epoch;
    /** Others may have it, too. */
    let page: SharedPage | null = null;
    /** Events of it that have been handed out, or are from before the reader's place. */
    let taken = 0;
    let wake: (() => void) | null = null;
    const isOver = (): boolean => signal.aborted || closing.signal.aborted;

    /** Resolves when the head may have moved, or one of the signals aborted. */
    async function untilWoken(): Promise<void> {
      await new Promise<void>((resolve) => {
        wake = resolve;
        waiters.add(resolve);
      });
      if (wake !== null) waiters.delete(wake);
      wake = null;
    }

    function takeFromPage(from: SharedPage, { countMax, bytesMax }: TakeLimits): LogEvent[] {
      const events: LogEvent[] = [];
      let bytes = 0;
      while (events.length < countMax && bytes < bytesMax) {
        const sized = from.events[taken];
        if (sized === undefined) break;
        taken++;
        readAhead--;
        bytes += sized.bytes;
        events.push(sized.event);
        position = sized.event.position;
      }
      if (taken === from.events.length) {
        position = from.end;
        rest();
      }
      return events;
    }

    function takeFromRing({ countMax, bytesMax }: TakeLimits): LogEvent[] {
      const events: LogEvent[] = [];
      let bytes = 0;
      while (position < ring.head() && events.length < countMax && bytes < bytesMax) {
        const event = ring.after(position);
        if (wanted === null || wanted.has(event.type)) {
          bytes += ring.bytesAfter(position);
          events.push(event);
        }
        position = event.position;
      }
      return events;
    }

    /** It may have been ahead of what was read here, by the word of a database that has gone back since: other events have those places now. */
    function enterEpoch(): void {
      if (position > epochStart) {
        const head = ring.head();
        checkEventPoint({ epoch: ownEpoch, position }, { epoch, head, sharedPosition: epochStart });
      }
      ownEpoch = epoch;
    }

    async function readPage(): Promise<void> {
      const wanted = { epoch, types: types ?? null, after: position, upTo: ring.head(), signal: closing.signal };
      const found = await pages.read(wanted);
      // Of an epoch that has ended meanwhile, it is read again.
      if (found === null || isOver() || wanted.epoch !== epoch) return;
      page = found;
      const next = found.events.findIndex(({ event }) => event.position > position);
      taken = next === -1 ? found.events.length : next;
      readAhead += found.events.length - taken;
    }

    function rest(): void {
      if (page !== null) readAhead -= page.events.length - taken;
      page = null;
    }

    return {
      position: () => position,
      rest,
      take: async (limits) => {
        while (!isOver()) {
          if (replacedBy !== null) throw refusalAt(position, replacedBy);
          if (ownEpoch !== epoch) enterEpoch();
          if (page !== null) {
            const events = takeFromPage(page, limits);
            if (events.length > 0) return events;
          } else if (position >= ring.head()) {
            await untilWoken();
          } else if (ring.covers(position)) {
            const events = takeFromRing(limits);
            if (events.length > 0) return events;
          } else {
            await readPage();
          }
        }
        return [];
      },
      close: () => {
        closing.abort();
        rest();
        wake?.();
      },
    };
  }

  /** Why whoever has read up to `position` cannot go on. Where to resume from is known once the log has another epoch: until then nothing is said of a cursor. */
  function refusalAt(position: bigint, log: ReplacedBy): Error {
    const inDoubt = new RetryableError('DB_IN_DOUBT', 'The event log was replaced; it is read again in a moment.');
    if (log.epoch === epoch) return inDoubt;
    try {
      checkEventPoint({ epoch, position }, log);
      return inDoubt;
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error));
    }
  }

  async function* events(subscription: EventSubscription, ended: AbortSignal): Events {
    const reader = read(subscription);
    ended.addEventListener('abort', reader.close, { once: true });
    try {
      for (;;) {
        const taken = await reader.take(ONE_PAGE);
        if (taken.length === 0) return;
        for (const event of taken) {
          yield event;
          if (ended.aborted || signal.aborted) return;
        }
      }
    } finally {
      reader.close();
    }
  }

  return {
    head: () => ({ epoch, position: ring.head() }),
    hasStopped: () => signal.aborted,
    stats: () => ({
      ...ring.size(),
      waiting: waiters.size,
      pagesRead: pages.pagesRead(),
      pageBytes: pages.keptBytes(),
      readAhead,
    }),
    read,
    subscribe: (subscription) => interruptible((ended) => events(subscription, ended)),
    pointAfter: async (cursor) => {
      if (cursor === null) return { epoch, position: ring.head() };
      const point = parseEventCursor(cursor);
      // What this process has not seen yet, another one may have.
      const isOurs = point.epoch === epoch && point.position <= ring.head();
      if (isOurs) return checkEventPoint(point, { epoch, head: ring.head() });
      const end = await readLogEnd(db);
      if (end.epoch !== epoch) throw new RetryableError('DB_IN_DOUBT', 'The event log has a new epoch, not read yet.');
      // Of a log that went back, and was not given another epoch yet: the cursor may be of what is gone.
      if (end.head < ring.head()) throw new RetryableError('DB_IN_DOUBT', 'The event log went back; it gets an epoch.');
      if (point.epoch === end.epoch && point.position > end.head && (await readIsStandby(db))) {
        throw new RetryableError('DB_BEHIND', 'This read replica is not as far as the cursor yet.', end);
      }
      const sharedPosition = point.epoch === end.epoch ? null : await sharedPositionOf(db, point.epoch);
      return checkEventPoint(point, { ...end, sharedPosition });
    },
    run: async () => {
      const wakeUp = createWakeUp(clock);
      const unlisten = notifications.listen(LOG_CHANNEL, (position) => {
        said.hint(position);
        wakeUp.wake();
      });
      const unlistenNews = notifications.listenBy?.(NEWS_LISTENER, (text) => {
        said.tell(text);
        wakeUp.wake();
      });
      try {
        await runPollingLoop({
          name: 'event tail',
          pass: follow,
          wakeUp,
          pollMs: POLL_MS,
          clock,
          random,
          logger,
          signal,
        });
      } finally {
        unlisten();
        unlistenNews?.();
      }
    },
  };
}
