/**
 * GraphQL over WebSocket (subprotocol graphql-transport-ws). The protocol is graphql-ws's; here is what it needs around a socket: who it is,
 * how much it may ask, signs of life, and an end that makes clients come back. What subscriptions deliver goes past it, from the fan-out to the socket.
 *
 * Closes with 1001 when we stop, 4403 when the authority of its principal has ended, 4499 when its client does not read: all of them are reasons to come back.
 */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { type ExecutionArgs, type ExecutionResult, getOperationAST } from 'graphql';
import { CloseCode, handleProtocols, makeServer } from 'graphql-ws';
import { type WebSocket, WebSocketServer } from 'ws';
import { assert, messageOf } from '../env/errors.ts';
import type { Logger } from '../env/logger.ts';
import { apiError } from '../schema/api-error.ts';
import type { Principal } from '../schema/principal.ts';
import { type AuthorityWatch, unendingAuthority } from './authority-end.ts';
import { type ClientLimiter, isRefusal } from './client-limits.ts';
import type { ErrorMasking } from './error-masking.ts';
import { type Delivery, type FanOut, isDelivery, SlowReaderError } from './fan-out.ts';
import type { GraphQLHandler } from './graphql-handler.ts';
import type { Principals } from './principals.ts';
import type { RequestIds } from './request-ids.ts';
import { createDrain, createFrameSink, type Drain } from './websocket-frames.ts';

export type WebSocketEndpoint = {
  /** Takes over an upgrade request. */
  accept(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  /** Closes every socket with 1001, "going away", never with `complete`: clients are to resume elsewhere. */
  close(): Promise<void>;
  socketsCount(): number;
};

export type WebSocketOptions = {
  readonly yoga: GraphQLHandler;
  readonly principals: Principals;
  readonly masking: ErrorMasking;
  readonly fanOut: FanOut;
  readonly limiter: ClientLimiter;
  /** Bytes of one message: a frame of it is all that is ever buffered. */
  readonly messageBytesMax: number;
  readonly logger: Logger;
  /** Milliseconds for the first message. Default 10 s. */
  readonly initTimeoutMs?: number;
  /** Milliseconds between signs of life. Default 12 s. */
  readonly heartbeatMs?: number;
  /** Which request the code that runs belongs to: each message is one. */
  readonly requests: RequestIds;
  /** Left out: no principal's authority ends before the process does. */
  readonly authority?: AuthorityWatch;
};

/** Operations at the same time on one socket: far above what a page or a service needs. */
const OPERATIONS_PER_SOCKET_MAX = 100;
/** 12 s: proxies cut idle sockets at 60 s; four chances. */
const HEARTBEAT_MS = 12_000;
/** 10 s, as for the headers of a request: thousands that come at once, from a replica that is gone, must not be sent away only to come at once again. */
const INIT_TIMEOUT_MS = 10_000;
/** 2 s for the closing handshake; whoever does not answer is cut. */
const CLOSE_GRACE_MS = 2_000;
/** 10 s for the closing handshake of a client that does not read: what it was sent is before it on the wire. */
const SLOW_CLOSE_GRACE_MS = 10_000;
/** Answers that a client has not read before nothing more is read of what it sends: those under way, some hundred, may still come on top. */
const UNREAD_BYTES_MAX = 1024 * 1024;
/** A code of ours: what was sent was not read in time. Resume after the last cursor. */
export const SLOW_READER_CLOSE_CODE = 4499;

type Extra = {
  readonly socket: WebSocket;
  /** What the WebSocket is written to. */
  readonly wire: Duplex;
  readonly drain: Drain;
  readonly request: IncomingMessage;
  readonly deliveries: Map<string, Delivery>;
  /** The first message has come. */
  hasBegun: boolean;
  /** Aborts when the socket has closed. */
  readonly gone: AbortSignal;
  principal: Principal | null;
};
type Execute = (args: ExecutionArgs) => Promise<ExecutionResult> | ExecutionResult;
/** What `onSubscribe` hands on: yoga's enveloped function, the errors the operation begins with, or what it delivers. */
type OperationArgs = ExecutionArgs & {
  readonly execute: Execute;
  readonly subscription: ExecutionResult | AsyncGenerator<never, void, undefined> | null;
};

export function createWebSocketEndpoint(options: WebSocketOptions): WebSocketEndpoint {
  const { logger } = options;
  const protocol = createProtocol(options);
  const sockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false, // A compression bomb needs a decompressor.
    maxPayload: options.messageBytesMax,
    handleProtocols,
  });
  sockets.on('connection', (socket: WebSocket, request: IncomingMessage, wire: Duplex) => {
    // ws closes the socket by itself (1009 for too large a message, 1002 for a broken frame); unheard the error would end the process.
    socket.on('error', (error) => logger.debug('A WebSocket failed.', { error: error.message }));
    const gone = new AbortController();
    socket.once('close', () => gone.abort());
    const drain = createDrain(wire);
    attach(
      protocol,
      { socket, wire, drain, request, deliveries: new Map(), hasBegun: false, gone: gone.signal, principal: null },
      options,
    );
  });

  return {
    accept: (request, socket, head) => {
      sockets.handleUpgrade(request, socket, head, (upgraded) => sockets.emit('connection', upgraded, request, socket));
    },
    socketsCount: () => sockets.clients.size,
    close: async () => {
      const closed = new Promise<void>((resolve) => {
        sockets.close(() => resolve());
      });
      for (const socket of sockets.clients) socket.close(1001, 'Going away');
      const cut = setTimeout(() => {
        for (const socket of sockets.clients) socket.terminate();
      }, CLOSE_GRACE_MS);
      await Promise.all([...sockets.clients].map(untilClosed));
      clearTimeout(cut);
      await closed;
    },
  };
}

async function untilClosed(socket: WebSocket): Promise<void> {
  if (socket.readyState === socket.CLOSED) return;
  await new Promise<void>((resolve) => {
    socket.once('close', () => resolve());
  });
}

function createProtocol(options: WebSocketOptions) {
  const { yoga, principals, masking, fanOut, limiter, authority = unendingAuthority } = options;
  return makeServer<Record<string, unknown>, Extra>({
    connectionInitWaitTimeout: 0, // The endpoint's own (attach).
    // Both come with the arguments that onSubscribe made.
    execute: (args) => (args as OperationArgs).execute(args),
    subscribe: (args) => {
      const { subscription } = args as OperationArgs;
      assert(subscription !== null, 'A query was taken for a subscription.');
      return subscription;
    },
    onConnect: async ({ connectionParams, extra }) => {
      extra.hasBegun = true;
      const authentication = await principals.authenticate(
        authorizationOf(connectionParams) ?? extra.request.headers.authorization,
      );
      if (authentication === 'MISSING') {
        extra.socket.close(CloseCode.Unauthorized, 'Unauthorized');
        return false;
      }
      if (authentication === 'UNKNOWN') return false; // Closed with 4403.
      if (extra.socket.readyState !== extra.socket.OPEN) return false;
      const release = limiter.open(authentication, 'SOCKETS');
      if (isRefusal(release)) {
        extra.socket.close(CloseCode.TooManyInitialisationRequests, release.code);
        return false;
      }
      extra.socket.once('close', release);
      extra.principal = authentication;
      // 4403 and not 4401: to clients of the protocol the one is a reason to come back with a new token, the other the end.
      const end = (why: string): void => {
        extra.principal = null;
        extra.socket.close(CloseCode.Forbidden, why);
        // Nothing may follow the close frame, and a client that does not answer it would have us read for nobody.
        for (const delivery of extra.deliveries.values()) delivery.stop();
      };
      extra.socket.once('close', authority.watch(authentication, end));
      return true;
    },
    onSubscribe: async ({ extra, subscriptions }, id, { query, operationName, variables }) => {
      const { principal } = extra;
      if (principal === null) return [apiError('UNAUTHENTICATED', 'Unauthorized.')];
      if (Object.keys(subscriptions).length > OPERATIONS_PER_SOCKET_MAX) {
        return [apiError('TOO_MANY_OPERATIONS', 'Too many operations at once.')];
      }
      const enveloped = yoga.getEnveloped({ principal, gone: extra.gone });
      try {
        const document = enveloped.parse(query);
        const errors = enveloped.validate(enveloped.schema, document);
        if (errors.length > 0) return errors.map((error: unknown) => masking.mask(error));
        const operation = { document, query, operationName: operationName ?? null, variables: variables ?? {} };
        const asked = getOperationAST(document, operationName);
        if (asked == null)
          return [apiError('OPERATION_RESOLUTION_FAILURE', 'Which operation is meant cannot be told.')];
        const isSubscription = asked.operation === 'subscription';
        const opened = isSubscription ? await fanOut.open(operation, principal) : null;
        const args: OperationArgs = {
          schema: enveloped.schema,
          document,
          operationName: operation.operationName,
          variableValues: operation.variables,
          contextValue: isSubscription ? {} : await enveloped.contextFactory(),
          execute: enveloped.execute,
          subscription: opened === null || !isDelivery(opened) ? opened : deliver(extra, id, opened, subscriptions),
        };
        return args;
      } catch (error) {
        return [masking.mask(error)];
      }
    },
    onNext: (_context, _id, _payload, _args, { data, errors }) =>
      errors === undefined
        ? undefined
        : { ...(data === undefined ? {} : { data }), errors: errors.map(masking.format) },
    onError: (_context, _id, _payload, errors) => errors.map(masking.format),
  });
}

/**
 * What graphql-ws iterates of a subscription: it yields nothing, all is sent past it, and it is done when the subscription is. Its `return` is called when the client completes it or the socket has
 * closed.
 */
function deliver(
  extra: Extra,
  id: string,
  delivery: Delivery,
  running: Readonly<Record<string, unknown>>,
): AsyncGenerator<never, void, undefined> {
  const { socket, wire, drain, deliveries } = extra;
  // The client has completed it, or the socket closed, while it was being opened: nobody would end it.
  const isGone = !(id in running) || socket.readyState !== socket.OPEN;
  if (isGone) delivery.stop();
  else deliveries.set(id, delivery);
  const stop = (): void => {
    delivery.stop();
    if (deliveries.get(id) === delivery) deliveries.delete(id);
  };
  const done = { done: true, value: undefined } as const;
  const generator: AsyncGenerator<never, void, undefined> = {
    next: async () => {
      if (isGone) return done;
      try {
        const end = await delivery.run(createFrameSink(id, wire, drain, () => socket.readyState === socket.OPEN));
        // Whoever has not ended it himself is cut off soon, and comes back: `complete` would tell him not to.
        if (end === 'LEFT') await untilClosedOrEnded(socket, id, running);
        return done;
      } catch (error) {
        if (!(error instanceof SlowReaderError)) throw error;
        cutOff(socket, error);
        return done;
      } finally {
        stop();
      }
    },
    return: async () => {
      stop();
      return done;
    },
    throw: async (error) => {
      stop();
      throw error;
    },
    [Symbol.asyncIterator]: () => generator,
    [Symbol.asyncDispose]: async () => stop(),
  };
  return generator;
}

async function untilClosedOrEnded(socket: WebSocket, id: string, running: Readonly<Record<string, unknown>>) {
  if (id in running) await untilClosed(socket);
}

/** The close frame waits behind what the client has not read, so whoever reads it has read all that the cursor stands for. */
function cutOff(socket: WebSocket, { code, facts }: SlowReaderError): void {
  const { cursor } = facts;
  socket.close(SLOW_READER_CLOSE_CODE, typeof cursor === 'string' ? `${code} ${cursor}` : code);
  const cut = setTimeout(() => socket.terminate(), SLOW_CLOSE_GRACE_MS);
  socket.once('close', () => clearTimeout(cut));
}

function attach(
  protocol: ReturnType<typeof createProtocol>,
  extra: Extra,
  { logger, requests, heartbeatMs = HEARTBEAT_MS, initTimeoutMs = INIT_TIMEOUT_MS }: WebSocketOptions,
): void {
  const { socket, deliveries, wire, drain } = extra;
  // Whoever asks, or pings, and does not read would have us keep the answers for him.
  const awaitReader = (): void => {
    if (socket.isPaused || wire.writableLength <= UNREAD_BYTES_MAX) return;
    socket.pause();
    void drain.untilDrained().then(() => socket.resume());
  };
  const fail = (error: unknown): void => {
    logger.error('A WebSocket message could not be handled.', { error: messageOf(error) });
    socket.close(CloseCode.InternalServerError, 'Internal server error');
  };
  const closed = protocol.opened(
    {
      protocol: socket.protocol,
      send: async (data) => {
        await new Promise<void>((resolve, reject) => {
          if (socket.readyState !== socket.OPEN) resolve();
          else
            socket.send(data, (error) =>
              error == null || socket.readyState !== socket.OPEN ? resolve() : reject(error),
            );
        });
      },
      close: (code, reason) => socket.close(code, reason),
      onMessage: (handle) => {
        socket.on('message', (data) => {
          requests.run({}, async () => await handle(String(data))).catch(fail);
          awaitReader();
        });
      },
    },
    extra,
  );

  const told = new Map<string, string>();
  let isAlive = true;
  socket.on('pong', () => {
    isAlive = true;
  });
  const ping = (): void => {
    isAlive = false;
    socket.ping();
    tellRestingCursors(socket, deliveries, told);
  };
  // In a process that was held up, timers are due before what has come meanwhile is read: whoever seems silent is judged after that.
  const pings = setInterval(() => {
    if (isAlive) ping();
    else setImmediate(() => (isAlive ? ping() : socket.terminate()));
  }, heartbeatMs);
  const beginning = setTimeout(() => {
    setImmediate(() => {
      if (!extra.hasBegun) socket.close(CloseCode.ConnectionInitialisationTimeout, 'Connection initialisation timeout');
    });
  }, initTimeoutMs);
  socket.once('close', (code, reason) => {
    clearInterval(pings);
    clearTimeout(beginning);
    closed(code, String(reason)).catch((error: unknown) => {
      logger.error('A WebSocket’s operations could not be ended.', { error: messageOf(error) });
    });
  });
}

function authorizationOf(params: Readonly<Record<string, unknown>> | undefined): string | undefined {
  const value = params?.['authorization'] ?? params?.['Authorization'];
  return typeof value === 'string' ? value : undefined;
}

/**
 * How far subscriptions are that had nothing to tell: as the payload of a `ping`, which the protocol lets carry anything. A client that keeps these resumes after what it was spared, and a quiet one
 * does not fall behind what the log keeps.
 */
function tellRestingCursors(
  socket: WebSocket,
  deliveries: ReadonlyMap<string, Delivery>,
  told: Map<string, string>,
): void {
  const cursors: Record<string, string> = {};
  for (const [id, delivery] of deliveries) {
    const cursor = delivery.restingCursor();
    if (cursor === null || told.get(id) === cursor) continue;
    told.set(id, cursor);
    cursors[id] = cursor;
  }
  for (const id of told.keys()) if (!deliveries.has(id)) told.delete(id);
  if (Object.keys(cursors).length > 0 && socket.readyState === socket.OPEN) {
    socket.send(JSON.stringify({ type: 'ping', payload: { cursors } }));
  }
}
