/**
 * The remote control of a simulated network that runs as a process of its own: what is there, and everything its operations can do, as
 * JSON over HTTP. For tests and demonstrations on one machine; it has no authentication and listens on loopback.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { messageOf, PermanentError, RetryableError } from '../../env/errors.ts';
import type { Logger } from '../../env/logger.ts';
import { isCantonError, statusOf } from '../ledger/canton-error.ts';
import { answerControl, type ControlContext } from './control-routes.ts';
import { answerTokenRequest, isTokenRefusal, TOKEN_PATH } from './token-endpoint.ts';

export type ControlServer = {
  /** `http://host:port`. */
  readonly url: string;
  stop(): Promise<void>;
};

export type ControlServerOptions = ControlContext & {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly logger: Logger;
};

const BODY_BYTES_MAX = 4 * 1024 * 1024; // A recorded transaction fits several times.

/** @throws when the port is taken. */
export async function startControlServer({
  host,
  port,
  logger,
  ...context
}: ControlServerOptions): Promise<ControlServer> {
  const server = createServer((request, response) => {
    answer(request, context).then(
      (body) => send(response, 200, body),
      (error: unknown) => {
        if (isTokenRefusal(error)) {
          send(response, 400, { error: error.code, error_description: error.message });
          return;
        }
        const { status, code, message } = refusalOf(error);
        if (status === 500) logger.error('A control request failed.', { path: request.url, error: message });
        send(response, status, { error: { code, message } });
      },
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
  const address = server.address();
  const bound = typeof address === 'object' && address !== null ? address.port : port;
  return {
    url: `http://${host}:${bound}`,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(request: IncomingMessage, context: ControlContext): Promise<unknown> {
  const path = (request.url ?? '/').split('?')[0] ?? '/';
  if (request.method === 'POST' && path === TOKEN_PATH)
    return answerTokenRequest(context.network.access, new URLSearchParams(await readText(request)));
  const body = request.method === 'POST' ? await readJson(request) : undefined;
  return answerControl(context, request.method ?? 'GET', path, body);
}

/** Only `application/json`: a web page can then not post here without asking, and asking is refused. */
async function readJson(request: IncomingMessage): Promise<unknown> {
  if (!(request.headers['content-type'] ?? '').startsWith('application/json')) {
    throw new PermanentError('SIMNET_BAD_REQUEST', 'The body must be application/json.');
  }
  const text = await readText(request);
  try {
    return text === '' ? {} : JSON.parse(text);
  } catch (cause) {
    throw new PermanentError('SIMNET_BAD_REQUEST', 'The body is not JSON.', {}, { cause });
  }
}

async function readText(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request) {
    const bytes = Buffer.from(chunk);
    length += bytes.length;
    if (length > BODY_BYTES_MAX)
      throw new PermanentError('SIMNET_BAD_REQUEST', 'The body is too large.', { BODY_BYTES_MAX });
    chunks.push(bytes);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function refusalOf(error: unknown): { readonly status: number; readonly code: string; readonly message: string } {
  if (isCantonError(error)) return { status: 409, code: error.code, message: statusOf(error.refusal).message };
  if (error instanceof PermanentError || error instanceof RetryableError) {
    const status = error.code === 'ASSERTION_FAILED' ? 500 : error.code === 'SIMNET_NOT_FOUND' ? 404 : 400;
    return { status, code: error.code, message: error.message };
  }
  return { status: 500, code: 'SIMNET_INTERNAL', message: messageOf(error) };
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  // Offsets and times are bigints: exact as texts.
  response.end(JSON.stringify(body, (_key, value: unknown) => (typeof value === 'bigint' ? value.toString() : value)));
}
