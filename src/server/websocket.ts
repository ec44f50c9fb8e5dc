/**
 * GraphQL over WebSocket (subprotocol graphql-transport-ws). The protocol is graphql-ws's; here is what it needs around a socket: who it is,
 * how much it may ask, signs of life, and an end that makes clients come back.
 *
 * A message is sent only when the one before has left the process, and the next event is asked for only then: a reader that stops reading
 * costs its socket's buffer and nothing else.
 */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { type ExecutionArgs, type ExecutionResult, GraphQLError } from 'graphql';
import { CloseCode, handleProtocols, makeServer } from 'graphql-ws';
import { type WebSocket, WebSocketServer } from 'ws';
import { messageOf } from '../env/errors.ts';
import type { Logger } from '../env/logger.ts';
import type { Principal } from '../schema/principal.ts';
import { type AuthorityWatch, unendingAuthority } from './authority-end.ts';
import type { ErrorMasking } from './error-masking.ts';
import type { GraphQLHandler } from './graphql-handler.ts';
import type { Principals } from './principals.ts';

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
  readonly logger: Logger;
  /** Milliseconds for the first message. Default 3 s. */
  readonly initTimeoutMs?: number;
  /** Left out: no principal's authority ends before the process does. */
  readonly authority?: AuthorityWatch;
};

/** Bytes of one message: as a request's body, and a frame of it is all that is ever buffered. */
const MESSAGE_BYTES_MAX = 64 * 1024;
/** Operations at the same time on one socket: far above what a page or a service needs. */
const OPERATIONS_PER_SOCKET_MAX = 100;
/** 12 s: proxies cut idle sockets at 60 s; four chances. */
const PING_INTERVAL_MS = 12_000;
const INIT_TIMEOUT_MS = 3_000;
/** 2 s for the closing handshake; whoever does not answer is cut. */
const CLOSE_GRACE_MS = 2_000;

type Extra = { readonly socket: WebSocket; readonly request: IncomingMessage; principal: Principal | null };
type Execute = (args: ExecutionArgs) => Promise<ExecutionResult> | ExecutionResult;
/** Yoga's enveloped functions travel with the arguments they were made for. */
type EnvelopedArgs = ExecutionArgs & { readonly enveloped: { readonly execute: Execute; readonly subscribe: Execute } };

export function createWebSocketEndpoint(options: WebSocketOptions): WebSocketEndpoint {
  const { logger } = options;
  const protocol = createProtocol(options);
  const sockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false, // A compression bomb needs a decompressor.
    maxPayload: MESSAGE_BYTES_MAX,
    handleProtocols,
  });
  sockets.on('connection', (socket, request) => {
    // ws closes the socket by itself (1009 for too large a message, 1002 for a broken frame); unheard the error would end the process.
    socket.on('error', (error) => logger.debug('A WebSocket failed.', { error: error.message }));
    attach(protocol, socket, request, logger);
  });

  return {
    accept: (request, socket, head) => {
      sockets.handleUpgrade(request, socket, head, (upgraded) => sockets.emit('connection', upgraded, request));
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
  const { yoga, principals, masking, initTimeoutMs, authority = unendingAuthority } = options;
  return makeServer<Record<string, unknown>, Extra>({
    connectionInitWaitTimeout: initTimeoutMs ?? INIT_TIMEOUT_MS,
    // Both functions come with the arguments that onSubscribe made.
    execute: (args) => (args as EnvelopedArgs).enveloped.execute(args),
    subscribe: (args) => (args as EnvelopedArgs).enveloped.subscribe(args),
    onConnect: async ({ connectionParams, extra }) => {
      const authentication = await principals.authenticate(
        authorizationOf(connectionParams) ?? extra.request.headers.authorization,
      );
      if (authentication === 'MISSING') {
        extra.socket.close(CloseCode.Unauthorized, 'Unauthorized');
        return false;
      }
      if (authentication === 'UNKNOWN') return false; // Closed with 4403.
      if (extra.socket.readyState !== extra.socket.OPEN) return false;
      extra.principal = authentication;
      // 4403 and not 4401: to clients of the protocol the one is a reason to come back with a new token, the other the end.
      const end = (why: string): void => {
        extra.principal = null;
        extra.socket.close(CloseCode.Forbidden, why);
      };
      extra.socket.once('close', authority.watch(authentication, end));
      return true;
    },
    onSubscribe: async ({ extra, subscriptions }, _id, { query, operationName, variables }) => {
      const { principal } = extra;
      if (principal === null) return [new GraphQLError('Unauthorized.', { extensions: { code: 'UNAUTHENTICATED' } })];
      if (Object.keys(subscriptions).length > OPERATIONS_PER_SOCKET_MAX) {
        return [new GraphQLError('Too many operations at once.', { extensions: { code: 'TOO_MANY_OPERATIONS' } })];
      }
      const enveloped = yoga.getEnveloped({ principal });
      try {
        const document = enveloped.parse(query);
        const errors = enveloped.validate(enveloped.schema, document);
        if (errors.length > 0) return errors.map((error: unknown) => masking.mask(error));
        const args: EnvelopedArgs = {
          schema: enveloped.schema,
          document,
          operationName: operationName ?? null,
          variableValues: variables ?? {},
          contextValue: await enveloped.contextFactory(),
          enveloped: { execute: enveloped.execute, subscribe: enveloped.subscribe },
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

function attach(
  protocol: ReturnType<typeof createProtocol>,
  socket: WebSocket,
  request: IncomingMessage,
  logger: Logger,
): void {
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
          handle(String(data)).catch(fail);
        });
      },
    },
    { socket, request, principal: null },
  );

  let isAlive = true;
  socket.on('pong', () => {
    isAlive = true;
  });
  const pings = setInterval(() => {
    if (!isAlive) return socket.terminate();
    isAlive = false;
    socket.ping();
  }, PING_INTERVAL_MS);
  socket.once('close', (code, reason) => {
    clearInterval(pings);
    closed(code, String(reason)).catch((error: unknown) => {
      logger.error('A WebSocket’s operations could not be ended.', { error: messageOf(error) });
    });
  });
}

function authorizationOf(params: Readonly<Record<string, unknown>> | undefined): string | undefined {
  const value = params?.['authorization'] ?? params?.['Authorization'];
  return typeof value === 'string' ? value : undefined;
}
