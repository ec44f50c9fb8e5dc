/**
 * Pages of the log for readers that are behind, each read once for all who stand in it: a replica that comes back finds hundreds of subscribers a little apart, and each would read the same by itself. What
 * lies at a place of one epoch never changes, so a page stays good; only the newest ones are kept, since readers that began apart go on together.
 */
import type { Database } from './connection.ts';
import { readEvents, readEventsOfTypes, type SizedEvent } from './event-page.ts';
import { createTurnstile } from './turnstile.ts';

/** @property end the page has everything that was asked for after `after`, up to and including `end`. */
export type SharedPage = { readonly after: bigint; readonly end: bigint; readonly events: readonly SizedEvent[] };

export type PageWanted = {
  readonly epoch: string;
  /** Null: all. */
  readonly types: readonly string[] | null;
  readonly after: bigint;
  readonly upTo: bigint;
  /** Whoever wants it no longer. */
  readonly signal: AbortSignal;
};

export type SharedPages = {
  /**
   * @returns a page that has the place right after `after`, and may begin before it; null: nobody wants it any more. A page of another log than `epoch`, or of one that ends before `upTo`, is what `onOther`
   * throws.
   */
  read(wanted: PageWanted): Promise<SharedPage | null>;
  /** Of the database, since the start. */
  pagesRead(): number;
  keptBytes(): number;
};

/** Events of a page, and bytes: small, since a thousand readers may each stand in another one. */
const PAGE_COUNT_MAX = 100;
const PAGE_BYTES_MAX = 256 * 1024;
/** Pages read at the same time for all subscribers together: a reconnect storm queues here and leaves the pool to others. */
const PAGES_AT_ONCE_MAX = 4;
/** 8 MiB: a few thousand events, more than subscribers of one replica that is gone are apart. */
const KEPT_BYTES_MAX = 8 * 1024 * 1024;
/** What an event takes beside its payload. */
const EVENT_BYTES = 512;

type Kept = { readonly key: string; readonly page: SharedPage; readonly bytes: number };
type Reading = { readonly page: Promise<SharedPage | null>; readonly signals: AbortSignal[] };

/** @param options.onOther what to throw of a page that is of another log than the one that is followed. */
export function createSharedPages(options: {
  readonly db: Database;
  readonly onOther: (log: { readonly epoch: string; readonly head: bigint }) => Error;
  readonly keptBytesMax?: number;
}): SharedPages {
  const { db, onOther, keptBytesMax = KEPT_BYTES_MAX } = options;
  const turnstile = createTurnstile(PAGES_AT_ONCE_MAX);
  /** The one that was used last is the last. */
  const kept = new Set<Kept>();
  const underWay = new Map<string, Reading>();
  let keptBytes = 0;
  let pagesRead = 0;

  const keyOf = ({ epoch, types }: PageWanted): string =>
    JSON.stringify([epoch, types === null ? null : [...new Set(types)].sort()]);

  function find(key: string, after: bigint): SharedPage | null {
    for (const held of kept) {
      if (held.key !== key || held.page.after > after || held.page.end <= after) continue;
      kept.delete(held);
      kept.add(held);
      return held.page;
    }
    return null;
  }

  function keep(key: string, page: SharedPage): void {
    const bytes = page.events.reduce((sum, event) => sum + event.bytes + EVENT_BYTES, EVENT_BYTES);
    kept.add({ key, page, bytes });
    keptBytes += bytes;
    for (const oldest of kept) {
      if (keptBytes <= keptBytesMax) break;
      kept.delete(oldest);
      keptBytes -= oldest.bytes;
    }
  }

  async function readAnew(key: string, { epoch, types, after, upTo }: PageWanted): Promise<SharedPage> {
    const bounds = { after, upTo, countMax: PAGE_COUNT_MAX, bytesMax: PAGE_BYTES_MAX };
    pagesRead++;
    const found = types === null ? await readEvents(db, bounds) : await readEventsOfTypes(db, types, bounds);
    // Of a database that went back, what is missing would pass for nothing to tell.
    if (found.log.epoch !== epoch || found.log.head < upTo) throw onOther(found.log);
    // Also where nothing matched: it has all been looked at.
    const end = found.isLast ? upTo : (found.events.at(-1)?.event.position ?? after);
    const page = { after, end, events: found.events };
    keep(key, page);
    return page;
  }

  async function begin(key: string, wanted: PageWanted, signals: readonly AbortSignal[]): Promise<SharedPage | null> {
    return await turnstile.pass(NEVER, async () => {
      if (signals.every((signal) => signal.aborted)) return null;
      // Meanwhile another may have read past it.
      return find(key, wanted.after) ?? (await readAnew(key, wanted));
    });
  }

  return {
    pagesRead: () => pagesRead,
    keptBytes: () => keptBytes,
    read: async (wanted) => {
      const key = keyOf(wanted);
      const held = find(key, wanted.after);
      if (held !== null) return held;
      const place = `${key} ${wanted.after}`;
      const reading = underWay.get(place);
      if (reading !== undefined) {
        reading.signals.push(wanted.signal);
        return await reading.page;
      }
      const signals = [wanted.signal];
      const page = begin(key, wanted, signals).finally(() => underWay.delete(place));
      underWay.set(place, { page, signals });
      return await page;
    },
  };
}

/** Whoever waits in the queue may be waited for by others. */
const NEVER = new AbortController().signal;
