/**
 * Where a process is watched, on an address of its own: the API's port shows nothing of it. No key is asked for, hence loopback unless configured otherwise, and no answer has a customer, an amount or a secret.
 *
 *   /healthz  the process turns: touches nothing, so that an outage of others never has us restarted.
 *   /readyz   whether work may be sent here; 503 with what is in the way.
 *   /metrics  Prometheus text.
 */
import { createServer as createHttpServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { messageOf, PermanentError } from '../env/errors.ts';
import type { Logger } from '../env/logger.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { Readiness } from './readiness.ts';
import { isLoopback } from './request-guard.ts';

export type AdminServer = {
  /** e.g. `http://127.0.0.1:4001`. */
  readonly url: string;
  /** Cuts what is open: nobody misses half a scrape. Harmless when repeated. */
  stop(): Promise<void>;
};

export type AdminServerOptions = {
  readonly host: string;
  /** 0: any free one. Null: {@link USUAL_PORT}, or any free one where that is taken. */
  readonly port: number | null;
  readonly readiness: () => Promise<Readiness>;
  readonly metrics: Pick<Metrics, 'scrape' | 'contentType'>;
  readonly logger: Logger;
};

export const USUAL_PORT = 4001;
const CONNECTIONS_MAX = 64; // A few who watch; more is a mistake or an attack.

/** @throws PermanentError LISTEN_FAILED. */
export async function createAdminServer(options: AdminServerOptions): Promise<AdminServer> {
  const { host, logger, readiness, metrics } = options;

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // A page that a browser of this machine shows can send requests here, by a name that points at us: it is not to read the answer.
    if (isLoopback(host) && !isLoopbackName(request.headers.host)) return answer(response, 403, 'Not by that name.\n');
    if (request.method !== 'GET' && request.method !== 'HEAD') return answer(response, 405, 'GET only.\n');
    switch (URL.parse(request.url ?? '/', 'http://localhost')?.pathname) {
      case '/healthz':
        return answer(response, 200, '{"status":"ok"}\n', JSON_TYPE);
      case '/readyz': {
        const { isReady, checks } = await readiness();
        const body = { status: isReady ? 'ready' : 'not ready', checks };
        return answer(response, isReady ? 200 : 503, `${JSON.stringify(body)}\n`, JSON_TYPE);
      }
      case '/metrics':
        return answer(response, 200, await metrics.scrape(), metrics.contentType);
      default:
        return answer(response, 404, '/healthz, /readyz and /metrics are here.\n');
    }
  }

  const server = createHttpServer(
    { headersTimeout: 5_000, requestTimeout: 5_000, keepAliveTimeout: 65_000, connectionsCheckingInterval: 5_000 },
    (request, response) => {
      request.resume(); // Whatever body there is, nobody wants it.
      handle(request, response).catch((error: unknown) => {
        logger.error('A request of whoever watches could not be answered.', { error: messageOf(error) });
        if (response.headersSent) response.destroy();
        else answer(response, 500, 'Unexpected error.\n');
      });
    },
  );
  server.maxConnections = CONNECTIONS_MAX;
  const connections = new Set<Socket>();
  server.on('connection', (socket) => {
    connections.add(socket);
    socket.once('close', () => connections.delete(socket));
  });

  const { address, port, family } = await listenSomewhere(server, options);
  logger.info('Health and metrics are served.', { address, port });
  let stopping: Promise<void> | null = null;
  return {
    url: `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`,
    stop: async () => {
      stopping ??= new Promise<void>((resolve) => {
        server.close(() => resolve());
        for (const socket of connections) socket.destroy();
      });
      await stopping;
    },
  };
}

const JSON_TYPE = 'application/json; charset=utf-8';

function answer(response: ServerResponse, status: number, body: string, type = 'text/plain; charset=utf-8'): void {
  response
    .writeHead(status, { 'content-type': type, 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' })
    .end(body);
}

function isLoopbackName(host: string | undefined): boolean {
  const name = host === undefined ? null : (URL.parse(`http://${host}`)?.hostname ?? null);
  return name !== null && (name === '[::1]' || isLoopback(name));
}

async function listenSomewhere(server: Server, { host, port }: AdminServerOptions): Promise<AddressInfo> {
  if (port !== null) return await listen(server, host, port);
  try {
    return await listen(server, host, USUAL_PORT);
  } catch (error) {
    if (!(error instanceof PermanentError) || !isTaken(error.cause)) throw error;
    return await listen(server, host, 0);
  }
}

function isTaken(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EADDRINUSE';
}

async function listen(server: Server, host: string, port: number): Promise<AddressInfo> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => {
      const why = `Cannot listen on ${host}:${port} for health and metrics: ${cause.message}`;
      reject(new PermanentError('LISTEN_FAILED', why, { host, port }, { cause }));
    });
    server.listen({ host, port }, resolve);
  });
  server.removeAllListeners('error');
  const address = server.address();
  if (address === null || typeof address === 'string')
    throw new PermanentError('LISTEN_FAILED', 'No address.', { host });
  return address;
}
