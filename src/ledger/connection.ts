/**
 * The one HTTP/2 connection of a channel, and what grpc-js leaves to its user:
 *
 * - A server that accepts TCP and never sends its HTTP/2 settings keeps grpc-js connecting for ever, with every call queued behind it (grpc-node
 *   issue 2785). Whoever asks for the connection waits for a bounded time; then the client is thrown away and its sockets are closed, which
 *   closing the client alone would not do.
 * - grpc-js connects again by itself, with waits of its own that grow to two minutes. A connection that was lost is given up instead, so that the
 *   caller's backoff is the only one, and a node that came back is found at the next try.
 */
import type { Socket } from 'node:net';
import { ChannelCredentials, Client, connectivityState } from '@grpc/grpc-js';
import { PermanentError, RetryableError } from '../env/errors.ts';

export type ConnectionOptions = {
  /** `http://host:port` for plain text, `https://host:port` for TLS. */
  readonly url: string;
  readonly connectTimeoutMs: number;
  readonly keepaliveMs: number;
  readonly keepaliveTimeoutMs: number;
  readonly messageBytesMax: number;
};

export type Connection = {
  /**
   * The client, connected, or failed to connect: then the call that is made on it fails at once, with the reason.
   * @throws RetryableError CONNECT_TIMEOUT, or STREAM_GIVEN_UP when `signal` aborts.
   */
  ready(signal?: AbortSignal): Promise<Client>;
  /** Call it after a failed call. Where the connection is gone, or `isDead` says so, the next `ready` begins with a new one; open streams are left to end. */
  failed(client: Client, isDead: boolean): void;
  /** Harmless when repeated. Open streams end with an error. */
  close(): void;
};

const FLOW_CONTROL_WINDOW_BYTES = 8 * 1024 * 1024; // The 64 KiB default halves the throughput of a backlog.

type Held = { readonly client: Client; readonly sockets: ReadonlySet<Socket> };

/** Connects lazily. @throws PermanentError LEDGER_URL_INVALID. */
export function createConnection(options: ConnectionOptions): Connection {
  const { hostname, port, protocol } = parseUrl(options.url);
  const isSecure = protocol === 'https:';
  // A URL drops the default port of its scheme; grpc-js would put its own in the place.
  const address = `${hostname}:${port || (isSecure ? 443 : 80)}`;
  let held: Held | null = null;
  let isClosed = false;

  const open = (): Held => {
    const sockets = new Set<Socket>();
    const client = new Client(address, credentialsWith(sockets, isSecure), {
      'grpc.max_receive_message_length': options.messageBytesMax,
      'grpc.keepalive_time_ms': options.keepaliveMs,
      'grpc.keepalive_timeout_ms': options.keepaliveTimeoutMs,
      'grpc-node.flow_control_window': FLOW_CONTROL_WINDOW_BYTES,
      // Shared with other clients, a connection that hangs would come back with the next client.
      'grpc.use_local_subchannel_pool': 1,
    });
    return { client, sockets };
  };

  const discard = ({ client, sockets }: Held): void => {
    const isConnected = stateOf(client) === connectivityState.READY;
    client.close();
    // A connected client ends by itself when its last stream has; a socket in the middle of a handshake never would.
    if (!isConnected) for (const socket of sockets) socket.destroy();
  };

  return {
    ready: async (signal) => {
      if (isClosed) throw new RetryableError('CHANNEL_CLOSED', 'The connection to the participant was closed.');
      held ??= open();
      const mine = held;
      const deadline = Date.now() + options.connectTimeoutMs;
      for (;;) {
        const state = stateOf(mine.client);
        // Somebody else who waited for it gave it up. Asking it to connect would bring it back to life.
        if (state === connectivityState.SHUTDOWN) throw noConnection(options);
        if (state !== connectivityState.IDLE && state !== connectivityState.CONNECTING) return mine.client;
        mine.client.getChannel().getConnectivityState(true);
        const isChanged = await stateChanged(mine.client, { from: state, deadline }, signal);
        if (signal?.aborted === true) throw new RetryableError('STREAM_GIVEN_UP', 'Nobody waits for it any more.');
        if (isChanged) continue;
        if (held === mine) held = null;
        discard(mine);
        throw noConnection(options);
      }
    },
    failed: (client, isDead) => {
      if (held?.client !== client || (!isDead && stateOf(client) === connectivityState.READY)) return;
      const lost = held;
      held = null;
      discard(lost);
    },
    close: () => {
      isClosed = true;
      if (held === null) return;
      for (const socket of held.sockets) socket.destroy();
      discard(held);
      held = null;
    },
  };
}

function noConnection({ url, connectTimeoutMs }: ConnectionOptions): RetryableError {
  return new RetryableError('CONNECT_TIMEOUT', 'The participant accepted no connection in time.', {
    url,
    connectTimeoutMs,
  });
}

function stateOf(client: Client): connectivityState {
  return client.getChannel().getConnectivityState(false);
}

/** @returns false when `deadline` (milliseconds since 1970) passed first. Resolves early when `signal` aborts. */
async function stateChanged(
  client: Client,
  { from, deadline }: { readonly from: connectivityState; readonly deadline: number },
  signal: AbortSignal | undefined,
): Promise<boolean> {
  return await new Promise((resolve) => {
    const giveUp = (): void => resolve(true);
    signal?.addEventListener('abort', giveUp, { once: true });
    if (signal?.aborted === true) giveUp();
    client.getChannel().watchConnectivityState(from, deadline, (error) => {
      signal?.removeEventListener('abort', giveUp);
      resolve(error === undefined);
    });
  });
}

/** Credentials that remember the sockets they were used on. */
function credentialsWith(sockets: Set<Socket>, isSecure: boolean): ChannelCredentials {
  const credentials = isSecure ? ChannelCredentials.createSsl() : ChannelCredentials.createInsecure();
  const createConnector = credentials._createSecureConnector.bind(credentials);
  credentials._createSecureConnector = (...parameters) => {
    const connector = createConnector(...parameters);
    return {
      waitForReady: () => connector.waitForReady(),
      getCallCredentials: () => connector.getCallCredentials(),
      destroy: () => connector.destroy(),
      connect: (socket) => {
        sockets.add(socket);
        socket.once('close', () => sockets.delete(socket));
        return connector.connect(socket);
      },
    };
  };
  return credentials;
}

function parseUrl(url: string): URL {
  const parsed = URL.parse(url);
  if (parsed !== null && (parsed.protocol === 'http:' || parsed.protocol === 'https:')) return parsed;
  throw new PermanentError('LEDGER_URL_INVALID', 'A participant is named as http://host:port or https://host:port.', {
    url,
  });
}
