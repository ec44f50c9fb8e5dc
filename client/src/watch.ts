/**
 * Watching: one subscription as a loop over items, whatever happens to connections, servers and tokens under it.
 *
 * Every item carries a cursor. The loop remembers the last one it took and subscribes after it the next time, so that what is delivered has no gap: at least once, in order, with ids that
 * stay. A cursor can become stale in one way, when the database behind it was restored or replaced. Then nothing is skipped in silence: the reader is told, with the places from which he can
 * go on, before the next item comes.
 */
import { type Backoff, delayMsAfter } from './backoff.ts';
import { answeredWith, ClientError, type ClientErrorCode, disconnected, retryableOf } from './client-error.ts';
import { errorsOf, isRecord, type Request } from './http.ts';
import type { Platform } from './platform.ts';
import type { Subscribe } from './subscription.ts';

/** The log that the cursor belongs to is no more, or not as it was. */
export type Resync = {
  /** The server's code, e.g. `CURSOR_FROM_ANOTHER_LOG`. */
  readonly code: string;
  readonly message: string;
  /** The stale one. */
  readonly cursor: string | null;
  /** The last place that the log you read and the present one have in common. What you took after it may come again, or never have happened. Null: they have nothing in common. */
  readonly resumeCursor: string | null;
  /** Before the first event of the present log. */
  readonly startCursor: string | null;
  /** The newest event of the present log: for those who read the present state before they go on. */
  readonly headCursor: string | null;
};

export type ConnectionState =
  | { readonly kind: 'CONNECTING' }
  | { readonly kind: 'CONNECTED' }
  /** It is tried again after so many milliseconds. */
  | { readonly kind: 'WAITING'; readonly error: ClientError; readonly retryInMs: number };

export type WatchOptions = {
  /** The last cursor you have stored with what you did about its item. Null or left out: from now on; for one withdrawal, from its present state. */
  readonly after?: string | null;
  /**
   * Called between two items, when everything learned after `resumeCursor` is to be dropped (all of it, where that is null). Without it the loop ends with RESYNC_REQUIRED.
   * @returns the cursor to go on after; null: `resumeCursor`, else `startCursor`.
   */
  readonly onResync?: (resync: Resync) => string | null | Promise<string | null>;
  /** How the connection stands: to show how fresh a page is. */
  readonly onConnection?: (state: ConnectionState) => void;
  /** Ends the loop, quietly. */
  readonly signal?: AbortSignal;
};

/** Times in a row that a new token is refused, or a resume point turns out stale, before the loop ends with that. */
const REFUSED_IN_A_ROW_MAX = 5;
/** 10 s: a connection that held so long was a good one, even where nothing came. */
const GOOD_CONNECTION_MS = 10_000;

export type Watching = {
  readonly subscribe: Subscribe;
  readonly platform: Platform;
  readonly backoff: Backoff;
  /** Reads where the log ends. */
  readonly readHead: (signal: AbortSignal) => Promise<string>;
};

/**
 * @param text of one subscription with one field. With a `$after` its items have to have a `cursor`; without both it is a gauge, whose present state comes again with every connection.
 * @throws ClientError: what does not pass by itself. NOT_RESUMABLE, RESYNC_REQUIRED, UNAUTHORIZED, ANSWERED_WITH_ERRORS.
 */
export async function* watch(
  { subscribe, platform, backoff, readHead }: Watching,
  { query, variables }: Request,
  options: WatchOptions & { readonly signal: AbortSignal },
): AsyncGenerator<unknown, void, undefined> {
  const { signal, onConnection = () => undefined } = options;
  const hasCursors = /\$after\s*:/.test(query);
  // The one subscription that begins with a state and ends by itself.
  const isOfOne = /\bwithdrawalUpdated\b/.test(query);
  let after = options.after ?? null;
  let failures = 0;
  const refusals = { UNAUTHORIZED: 0, RESYNC: 0 };

  while (!signal.aborted) {
    onConnection({ kind: 'CONNECTING' });
    let openedAtMs: number | null = null;
    const onOpen = (): void => {
      openedAtMs = platform.nowMs();
      // The token was taken. That each comes to its end is how tokens are, also where nothing else comes for a night.
      refusals.UNAUTHORIZED = 0;
      onConnection({ kind: 'CONNECTED' });
    };
    try {
      // "From now on" has to stay the same moment when the first connection breaks before the first item.
      if (hasCursors && after === null && !isOfOne) after = await readHead(signal);
      const request = { query, variables: hasCursors ? { ...variables, after } : variables };
      for await (const answer of subscribe(request, { signal, onOpen })) {
        const item = itemOf(answer);
        const cursor = isRecord(item) && typeof item['cursor'] === 'string' ? item['cursor'] : null;
        if ((cursor !== null) !== hasCursors) throw notResumable();
        failures = 0;
        refusals.RESYNC = 0;
        yield item;
        after = cursor;
      }
      if (isOfOne) return;
      if (!signal.aborted) throw disconnected('The server ended the subscription.');
    } catch (error) {
      if (signal.aborted) return;
      const resync = resyncOf(error, after);
      if (resync !== null) {
        refusals.RESYNC += 1;
        if (options.onResync === undefined || refusals.RESYNC > REFUSED_IN_A_ROW_MAX)
          throw resyncRequired(resync, error);
        after = (await options.onResync(resync)) ?? resync.resumeCursor ?? resync.startCursor;
        if (refusals.RESYNC === 1) continue;
      }
      const retryable = resync === null ? retryableOf(error) : disconnected('The cursor was stale again.');
      if (retryable === null) throw error;
      if (retryable.code === 'UNAUTHORIZED' && ++refusals.UNAUTHORIZED > REFUSED_IN_A_ROW_MAX) throw retryable;
      if (openedAtMs !== null && platform.nowMs() - openedAtMs > GOOD_CONNECTION_MS) failures = 0;
      failures += 1;
      const retryInMs = delayMsAfter(failures, backoff, platform.random(), retryable.retryAfterMs);
      onConnection({ kind: 'WAITING', error: retryable, retryInMs });
      await platform.sleep(retryInMs, signal);
    }
  }
}

/**
 * The loop as something that can be left while it waits: `return` ends the connection at once.
 * @param make given the signal that ends it.
 */
export function leavable<T>(
  outer: AbortSignal | undefined,
  make: (signal: AbortSignal) => AsyncGenerator<T, void, undefined>,
): AsyncIterableIterator<T, void, undefined> {
  const leaving = new AbortController();
  const loop = make(outer === undefined ? leaving.signal : AbortSignal.any([outer, leaving.signal]));
  const iterator: AsyncIterableIterator<T, void, undefined> = {
    next: async () => await loop.next(),
    return: async () => {
      leaving.abort();
      return await loop.return();
    },
    [Symbol.asyncIterator]: () => iterator,
  };
  return iterator;
}

/** @throws ClientError where the answer has errors: an item of which a part is missing is none, and comes again. */
function itemOf(answer: unknown): unknown {
  const errors = isRecord(answer) ? errorsOf(answer) : null;
  if (errors !== null) throw answeredWith(errors);
  const data = isRecord(answer) ? answer['data'] : null;
  const [item] = isRecord(data) ? Object.values(data) : [];
  if (item == null) throw new ClientError('NOT_UNDERSTOOD', 'An answer of the subscription holds nothing.');
  return item;
}

/** A stale cursor's refusal carries cursors of the present log; one that is no cursor at all carries none. */
function resyncOf(error: unknown, cursor: string | null): Resync | null {
  if (!(error instanceof ClientError) || error.answerCode === null) return null;
  const facts = error.errors[0]?.extensions ?? {};
  const cursorAt = (name: string): string | null => {
    const value = facts[name];
    return typeof value === 'string' ? value : null;
  };
  const startCursor = cursorAt('startCursor');
  const resumeCursor = cursorAt('resumeCursor');
  if (startCursor === null && resumeCursor === null) return null;
  const message = error.errors[0]?.message ?? '';
  return { code: error.answerCode, message, cursor, resumeCursor, startCursor, headCursor: cursorAt('headCursor') };
}

function resyncRequired({ code, message }: Resync, cause: unknown): ClientError {
  const errors = cause instanceof ClientError ? cause.errors : [];
  return new ClientError('RESYNC_REQUIRED' satisfies ClientErrorCode, `${code}: ${message}`, { errors, cause });
}

function notResumable(): ClientError {
  return new ClientError(
    'NOT_RESUMABLE',
    'A subscription that is to be watched declares `$after: Cursor`, passes it on, and selects `cursor`; or, as a gauge, neither.',
  );
}
