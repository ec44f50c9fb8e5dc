/**
 * Subscriptions over WebSocket (graphql-transport-ws), several on one socket.
 *
 * graphql-ws speaks the protocol, and is kept from coming back by itself: it would subscribe again with the variables of the first time, an old cursor among them. So one of its clients lives
 * exactly as long as its socket, and whoever subscribed is told how that ended.
 */
import { type Client, createClient } from 'graphql-ws/client';
import { type AnswerError, answeredWith, type ClientError, disconnected, unauthorized } from './client-error.ts';
import type { Credentials } from './credentials.ts';
import { createWatchdog } from './event-stream.ts';
import { answerErrorOf } from './http.ts';
import type { Platform } from './platform.ts';
import type { Subscribe } from './subscription.ts';

/** 12 s: proxies cut idle sockets at 60 s. */
const PING_MS = 12_000;
/** 30 s without a word, not even the answer to a ping: the other side is gone. Holds for the handshake, too. */
export const SOCKET_SILENCE_MS = 30_000;
/** Answers that wait for a slow reader. A WebSocket knows no "slower": beyond this the subscription is given up, and resumed when all are read. */
export const WAITING_COUNT_MAX = 1_000;

const NORMAL = 1000;
const UNAUTHORIZED = 4401;
const FORBIDDEN = 4403;

type Connection = {
  readonly client: Client;
  /** How it ended; null: it has not. */
  ended(): ClientError | null;
  /** Called once, when it has ended. */
  onEnd(told: (error: ClientError) => void): () => void;
  /** Resolves when the server has acknowledged it; never rejects. */
  readonly opened: Promise<void>;
};

export type WebSockets = { readonly subscribe: Subscribe; close(): void };

export function createWebSockets(options: {
  /** `wss://…`. */
  readonly url: string;
  readonly credentials: Credentials;
  readonly platform: Platform;
  readonly silenceMs?: number;
  readonly waitingCountMax?: number;
}): WebSockets {
  const { waitingCountMax = WAITING_COUNT_MAX } = options;
  let connection: Connection | null = null;

  const connect = (): Connection => {
    if (connection === null || connection.ended() !== null) connection = openConnection(options);
    return connection;
  };

  return {
    close: () => {
      if (connection !== null) void Promise.resolve(connection.client.dispose()).catch(() => undefined);
      connection = null;
    },
    subscribe: async function* subscribe(request, { signal, onOpen }) {
      const socket = connect();
      const waiting: unknown[] = [];
      let end: { readonly error: ClientError | null } | null = null;
      let wake: () => void = () => undefined;
      const finish = (error: ClientError | null): void => {
        end ??= { error };
        wake();
      };
      const forget = socket.onEnd(finish);
      const stop = (): void => finish(null);
      signal.addEventListener('abort', stop, { once: true });
      void socket.opened.then(() => {
        if (end === null) onOpen();
      });
      const unsubscribe = socket.client.subscribe(request, {
        next: (answer) => {
          if (end !== null) return;
          waiting.push(answer);
          if (waiting.length > waitingCountMax) finish(disconnected('The reader is slower than what comes.'));
          wake();
        },
        error: (error) => finish(endOf(error)),
        // A socket that has closed normally looks complete as well.
        complete: () => finish(socket.ended()),
      });
      try {
        for (;;) {
          if (signal.aborted) return;
          const answer = waiting.shift();
          if (answer !== undefined) yield answer;
          else if (end === null) {
            await new Promise<void>((resolve) => {
              wake = resolve;
            });
          } else {
            const { error } = end as { readonly error: ClientError | null };
            if (error !== null) throw error;
            return;
          }
        }
      } finally {
        end ??= { error: null };
        forget();
        signal.removeEventListener('abort', stop);
        unsubscribe();
      }
    },
  };
}

function openConnection({
  url,
  credentials,
  platform,
  silenceMs = SOCKET_SILENCE_MS,
}: {
  readonly url: string;
  readonly credentials: Credentials;
  readonly platform: Platform;
  readonly silenceMs?: number;
}): Connection {
  const told = new Set<(error: ClientError) => void>();
  let ended: ClientError | null = null;
  let token: string | null = null;
  let settle: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    settle = resolve;
  });
  const end = (event: unknown): void => {
    if (ended !== null) return;
    ended = endOf(event);
    if (ended.code === 'UNAUTHORIZED') credentials.reject(token);
    watchdog.stop();
    for (const tell of told) tell(ended);
    told.clear();
    // Or it would connect again where the socket was closed normally.
    void Promise.resolve(client.dispose()).catch(() => undefined);
  };
  const client = createClient({
    url,
    webSocketImpl: platform.WebSocket,
    retryAttempts: 0,
    keepAlive: Math.min(PING_MS, silenceMs / 2),
    // A page that watches one thing after another keeps its socket.
    lazyCloseTimeout: 1_000,
    connectionParams: async () => {
      token = await credentials.current();
      return token === null ? {} : { authorization: `Bearer ${token}` };
    },
    on: {
      connected: () => {
        watchdog.alive();
        settle();
      },
      message: () => watchdog.alive(),
      error: end,
      closed: end,
    },
  });
  const watchdog = createWatchdog(platform, silenceMs, () => client.terminate());
  return {
    client,
    opened,
    ended: () => ended,
    onEnd: (tell) => {
      told.add(tell);
      return () => told.delete(tell);
    },
  };
}

/** What ended it: a close event, the event of a connection that never came about, or the errors by which the server refused. */
function endOf(event: unknown): ClientError {
  if (Array.isArray(event)) return answeredWith(event.map((error: unknown): AnswerError => answerErrorOf(error)));
  // Events of browsers have their fields on the prototype.
  const code = typeof event === 'object' && event !== null && 'code' in event ? event.code : null;
  const reason = typeof event === 'object' && event !== null && 'reason' in event ? String(event.reason) : '';
  if (code === UNAUTHORIZED || code === FORBIDDEN) return unauthorized(reason, code);
  if (typeof code !== 'number') return disconnected('No connection came about.', { cause: event });
  const what = code === NORMAL ? 'The server closed the connection' : `The connection closed with ${code}`;
  return disconnected(reason === '' ? `${what}.` : `${what}: ${reason}`, { status: code });
}
