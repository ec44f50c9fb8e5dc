/**
 * The HTTP server: GraphQL over HTTP and SSE (yoga), over WebSocket, health, the schema's text and GraphiQL. Every request to the API has a
 * principal before GraphQL is touched.
 *
 * Stopping: readiness says no, WebSockets are closed with 1001, running requests get a moment, then every socket left is cut. A stream is
 * never ended with `complete`, which would tell its client not to come back. Stop the server before the event tail, or the streams would
 * end in order after all.
 */
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { GraphQLError } from 'graphql';
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import type { Clock } from '../env/clock.ts';
import { messageOf, PermanentError } from '../env/errors.ts';
import type { Logger } from '../env/logger.ts';
import type { Random } from '../env/random.ts';
import type { ApiServices } from '../schema/context.ts';
import type { ApiErrorCode } from '../schema/error-catalog.ts';
import { createSchema, printSchemaSdl } from '../schema/index.ts';
import type { Principal } from '../schema/principal.ts';
import { type AnswersOptions, createAnswers } from './answers.ts';
import { createAuthority } from './authority.ts';
import { createClientLimiter, isRefusal } from './client-limits.ts';
import { createCrossOrigin } from './cross-origin.ts';
import { createErrorMasking, RETRY_AFTER_SECONDS } from './error-masking.ts';
import { asksForEvents, createEventStreams } from './event-streams.ts';
import { createFanOut } from './fan-out.ts';
import { GRAPHIQL_HEADERS, GRAPHIQL_PATH, renderGraphiqlPage, type SampleWithdrawal } from './graphiql.ts';
import { createGraphQLHandler, GRAPHQL_PATH } from './graphql-handler.ts';
import { limitSubscriptions } from './limited-fan-out.ts';
import { onceGone } from './once-gone.ts';
import { limitError } from './operation-limits.ts';
import { type ApiKey, createPrincipals, type PrincipalsOptions } from './principals.ts';
import { createCostOf } from './query-limits.ts';
import { areParametersReadable, type ReadRequest, readBody } from './request-body.ts';
import { createRequestGuard, isLoopback, type Refusal } from './request-guard.ts';
import { createRequestIds, type RequestIds } from './request-ids.ts';
import type { TrustedDocuments } from './trusted-documents.ts';
import { createWebSocketEndpoint } from './websocket.ts';

export type ServerOptions = {
  /** Address to listen on; without API keys a loopback one. */
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** Empty: development principals, and loopback only. */
  readonly apiKeys: readonly ApiKey[];
  /** Who else may ask: keys of the database, tokens. Left out: nobody. */
  readonly access?: Pick<PrincipalsOptions, 'authenticators' | 'isDemanding'>;
  /** Host names we are reached by; empty: see request-guard.ts. */
  readonly allowedHosts: readonly string[];
  /** Origins of pages that may ask, beside our own. */
  readonly allowedOrigins: readonly string[];
  readonly isGraphiqlEnabled: boolean;
  /** Whether those who read everything may ask the schema about itself. Default: they may. */
  readonly isIntrospectionOn?: boolean;
  /** Whether misspelt names are answered with names. Default: in development. */
  readonly isSuggesting?: boolean;
  /** Null or left out: any document may be sent. */
  readonly trusted?: TrustedDocuments | null;
  /** Fills in GraphiQL's samples of withdrawals. What is left out: placeholders. */
  readonly sampleWithdrawal?: Partial<SampleWithdrawal>;
  readonly services: ApiServices;
  /** What the readiness probe asks, of its own: were it the API's, a flood of requests would have this process taken out of the balancer, and go on to the next. Left out: the API's. */
  readonly probed?: Database;
  readonly random: Random;
  readonly logger: Logger;
  /** Which request the code that runs belongs to. Left out: ones of this server alone. */
  readonly requests?: RequestIds;
  /** Is given what tells, at any time, who is there. Left out: nobody counts. */
  readonly onCounts?: (counts: () => ServerCounts) => void;
  /** Milliseconds running requests get when stopping. Default 1 s. */
  readonly drainMs?: number;
  /** Milliseconds a WebSocket has for its first message. Default 10 s. */
  readonly initTimeoutMs?: number;
  /** Milliseconds a subscriber has to take what is queued for it. Default 10 s. */
  readonly slowReaderMs?: number;
  /** Milliseconds between signs of life of a subscription. Default 12 s. */
  readonly heartbeatMs?: number;
  /** How long `@atLeast` waits, and what is kept for when the database is away. */
  readonly answers?: Pick<AnswersOptions, 'atLeastWaitMs' | 'patienceMs' | 'lastKnown'>;
};

export type ServerCounts = {
  readonly webSockets: number;
  readonly subscribers: number;
  /** Of them, how many different ones: each is executed once. */
  readonly groups: number;
  /** Cut off since the start. */
  readonly slowReaders: number;
};

export type RunningServer = {
  /** e.g. `http://127.0.0.1:4000`. */
  readonly url: string;
  /** Resolves when no socket is left. Harmless when repeated. */
  stop(): Promise<void>;
};

/** For an answer of the database to the readiness probe. */
const READY_TIMEOUT_MS = 2_000;
const DRAIN_MS = 1_000;
/** Sockets at once: each costs a file and some 50 KB; beyond, the listener refuses and replicas are needed. */
const CONNECTIONS_MAX = 5_000;
/** Header lines that are looked at; proxies add a dozen. All of them together have 16 KB at most, by Node’s default. */
const HEADERS_MAX = 100;

/**
 * Starts to listen.
 * @throws PermanentError LISTEN_REFUSED (not loopback, and no keys configured), LISTEN_FAILED (port taken, no such address).
 */
export async function createServer(options: ServerOptions): Promise<RunningServer> {
  const {
    services,
    random,
    isGraphiqlEnabled,
    drainMs = DRAIN_MS,
    requests = createRequestIds(options.random),
  } = options;
  const logger = requests.logger(options.logger);
  const authority = createAuthority(services);
  const principals = createPrincipals(options.apiKeys, {
    ...options.access,
    network: services.network,
    note: authority.note,
  });
  if (principals.isDevelopment && !isLoopback(options.host)) {
    throw new PermanentError(
      'LISTEN_REFUSED',
      `Without API keys the server listens on loopback only, not on ${options.host}: configure keys, or listen on 127.0.0.1.`,
      { host: options.host },
    );
  }
  const { limits } = services;
  const limiter = createClientLimiter(services);
  const { isDevelopment } = principals;
  const guard = createRequestGuard({ ...options, isDevelopment, bodyBytesMax: limits.bodyBytesMax });
  const crossOrigin = createCrossOrigin(options.allowedOrigins);
  const masking = createErrorMasking({ logger, random, isSuggesting: options.isSuggesting ?? isDevelopment });
  const schema = createSchema();
  const answers = createAnswers({ ...options.answers, schema, services, logger });
  const yoga = createGraphQLHandler({
    schema,
    services,
    masking,
    answers,
    limiter,
    trusted: options.trusted ?? null,
    isIntrospectionOn: options.isIntrospectionOn ?? true,
  });
  const fanOut = limitSubscriptions(createFanOut({ ...options, schema, masking }), limiter, createCostOf(schema));
  const webSockets = createWebSocketEndpoint({
    ...options,
    requests,
    yoga,
    principals,
    authority,
    masking,
    fanOut,
    limiter,
    messageBytesMax: limits.messageBytesMax,
  });
  options.onCounts?.(() => {
    const { subscribers, groups, slowReaders } = fanOut.stats();
    return { webSockets: webSockets.socketsCount(), subscribers, groups, slowReaders };
  });
  const eventStreams = createEventStreams({
    ...options,
    yoga,
    fanOut,
    masking,
    authority,
    logger,
  });
  const sdl = printSchemaSdl();
  const graphiql = isGraphiqlEnabled
    ? renderGraphiqlPage({
        isDevelopment: principals.isDevelopment,
        sampleWithdrawal: options.sampleWithdrawal ?? {},
      })
    : null;
  let stopping: Promise<void> | null = null;
  let looking: Promise<boolean> | null = null;

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = pathOf(request);
    // Probes come from the machine's keeper by address, without a Host of ours.
    if (path === '/healthz') return answer(response, 200, { status: 'ok' });
    if (path === '/readyz') return await answerReadiness(response);

    const refusal = guard(request);
    if (refusal !== null) return refuse(response, refusal);
    if (graphiql !== null && request.method === 'GET' && path === GRAPHIQL_PATH) {
      response.writeHead(200, GRAPHIQL_HEADERS).end(graphiql);
      return;
    }
    if (graphiql !== null && request.method === 'GET' && path === '/') {
      response.writeHead(302, { location: GRAPHIQL_PATH }).end();
      return;
    }
    if (path !== GRAPHQL_PATH && path !== '/schema.graphql') {
      return answer(response, 404, errorBody('NOT_FOUND', 'There is nothing here.'));
    }
    if (crossOrigin.allow(request, response)) return;
    const principal = await principals.authenticate(request.headers.authorization);
    if (typeof principal === 'string') {
      response.setHeader('www-authenticate', 'Bearer');
      return answer(
        response,
        401,
        errorBody('UNAUTHENTICATED', 'A valid API key or access token is needed: Authorization: Bearer …'),
      );
    }
    if (path === '/schema.graphql') return answerSdl(response, principal);
    await answerOperation(request, response, principal);
  }

  async function answerOperation(request: ReadRequest, response: ServerResponse, principal: Principal): Promise<void> {
    if (asksForEvents(request)) {
      const release = limiter.open(principal, 'SOCKETS');
      if (isRefusal(release)) return answerLimit(response, limitError(release));
      onceGone(response, release);
    }
    if (!areParametersReadable(request)) {
      return answer(response, 400, errorBody('BAD_REQUEST', 'A parameter that has to be JSON is none.'));
    }
    if (!(await readBody(request, limits.bodyBytesMax))) {
      return refuse(response, {
        status: 413,
        code: 'BODY_TOO_LARGE',
        message: `A body has ${limits.bodyBytesMax} bytes at most.`,
      });
    }
    if (await eventStreams.answer(request, response, principal)) return;
    // A query by GET would else be one that browsers and proxies may keep.
    response.setHeader('cache-control', 'no-store');
    const gone = new AbortController();
    onceGone(response, () => gone.abort());
    await yoga(request, response, { principal, gone: gone.signal });
  }

  function answerSdl(response: ServerResponse, principal: Principal): void {
    if (principal.scopes.has('read')) {
      response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8' }).end(sdl);
    } else {
      answer(response, 403, errorBody('FORBIDDEN', 'The scope `read` is needed.'));
    }
  }

  async function answerReadiness(response: ServerResponse): Promise<void> {
    // Whoever asks needs no key: however many do at once, they cost one statement.
    const look = async (): Promise<boolean> => {
      looking ??= canReadDatabase(options.probed ?? services.db, services.clock, logger).finally(() => {
        looking = null;
      });
      return await looking;
    };
    const isReady = stopping === null && (await look());
    if (isReady) return answer(response, 200, { status: 'ready' });
    response.setHeader('retry-after', String(RETRY_AFTER_SECONDS));
    answer(response, 503, { status: stopping === null ? 'database unavailable' : 'stopping' });
  }

  function answerFailure(response: ServerResponse, error: unknown): void {
    if (response.req.socket.destroyed) {
      logger.debug('A client left in the middle of its request.', { error: messageOf(error) });
      return;
    }
    const masked = masking.mask(error);
    if (response.headersSent) {
      response.destroy();
      return;
    }
    const isAway = masked.extensions['code'] === 'UNAVAILABLE';
    if (isAway) response.setHeader('retry-after', String(RETRY_AFTER_SECONDS));
    answer(response, isAway ? 503 : 500, { errors: [masking.format(masked)] });
  }

  const server = createHttpServer(
    {
      headersTimeout: 10_000, // A client that dribbles its headers is cut.
      requestTimeout: 30_000, // And one that dribbles its body.
      keepAliveTimeout: 65_000, // Above the 60 s of common proxies, so that they close first.
      connectionsCheckingInterval: 5_000,
    },
    (request, response) => {
      void requests.run(request.headers, async (id) => {
        response.setHeader('x-request-id', id);
        try {
          await handle(request, response);
        } catch (error) {
          answerFailure(response, error);
        }
      });
    },
  );
  server.maxConnections = CONNECTIONS_MAX;
  server.maxHeadersCount = HEADERS_MAX;
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', (error) => logger.debug('A socket failed before its upgrade.', { error: error.message }));
    const refusal = guard(request);
    if (stopping !== null) refuseUpgrade(socket, 503);
    else if (refusal !== null) refuseUpgrade(socket, refusal.status);
    else if (pathOf(request) !== GRAPHQL_PATH) refuseUpgrade(socket, 404);
    else webSockets.accept(request, socket, head);
  });
  const connections = new Set<Socket>();
  server.on('connection', (socket) => {
    connections.add(socket);
    // Each request that is under way listens to it, and there may be several, one behind the other.
    socket.setMaxListeners(0);
    socket.once('close', () => connections.delete(socket));
  });

  const { port, family, address } = await listen(server, options);
  const ending = new AbortController();
  const watching = authority.run(ending.signal);
  logger.info('The API listens.', { address, port, isDevelopment: principals.isDevelopment });

  async function stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      server.close(() => resolve());
    });
    await webSockets.close();
    ending.abort();
    await watching;
    server.closeIdleConnections();
    const drained = new AbortController();
    closed.then(
      () => drained.abort(),
      () => drained.abort(),
    );
    await services.clock.sleep(drainMs, drained.signal);
    for (const socket of connections) socket.destroy();
    await closed;
    await yoga.dispose();
  }

  return {
    url: `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`,
    stop: async () => {
      stopping ??= stop();
      await stopping;
    },
  };
}

async function listen(
  server: ReturnType<typeof createHttpServer>,
  { host, port }: ServerOptions,
): Promise<AddressInfo> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => {
      reject(
        new PermanentError(
          'LISTEN_FAILED',
          `Cannot listen on ${host}:${port}: ${error.message}`,
          { host, port },
          { cause: error },
        ),
      );
    });
    server.listen({ host, port }, resolve);
  });
  server.removeAllListeners('error');
  const address = server.address();
  if (address === null || typeof address === 'string')
    throw new PermanentError('LISTEN_FAILED', 'No address.', { host });
  return address;
}

async function canReadDatabase(db: Database, clock: Clock, logger: Logger): Promise<boolean> {
  const answered = new AbortController();
  const reading = sql`SELECT 1`.execute(db).then(
    () => true,
    (error: unknown) => {
      logger.warn('Not ready: the database does not answer.', { error: messageOf(error) });
      return false;
    },
  );
  const tooLate = clock.sleep(READY_TIMEOUT_MS, answered.signal).then(() => false);
  const isReady = await Promise.race([reading, tooLate]);
  answered.abort();
  return isReady;
}

function pathOf(request: IncomingMessage): string {
  return URL.parse(request.url ?? '/', 'http://localhost')?.pathname ?? '';
}

function answerLimit(
  response: ServerResponse,
  { message, extensions: { http: _http, ...extensions } }: GraphQLError,
): void {
  answer(response, 429, { errors: [{ message, extensions }] });
}

function errorBody(code: ApiErrorCode, message: string) {
  return { errors: [{ message, extensions: { code } }] };
}

function refuse(response: ServerResponse, { status, code, message }: Refusal): void {
  // What was not read of the request is not worth reading.
  response.setHeader('connection', 'close');
  answer(response, status, errorBody(code, message));
}

function answer(response: ServerResponse, status: number, body: unknown): void {
  response
    .writeHead(status, { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store' })
    .end(JSON.stringify(body));
}

function refuseUpgrade(socket: Duplex, status: number): void {
  socket.end(`HTTP/1.1 ${status} Refused\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
}
