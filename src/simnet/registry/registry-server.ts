/** The registry of one instrument admin over HTTP, as its wallets and exchanges ask it. Without authentication, like the real ones. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Clock } from '../../env/clock.ts';
import { messageOf } from '../../env/errors.ts';
import type { Logger } from '../../env/logger.ts';
import { answerRegistry, type RegistryContext } from './registry-answers.ts';
import type { RegistryFault, RegistryFaults } from './registry-faults.ts';
import { RegistryRefusal } from './registry-refusal.ts';

export type RegistryServer = {
  /** `http://host:port`; paths begin with `/registry`. */
  readonly url: string;
  stop(): Promise<void>;
};

export type RegistryServerOptions = RegistryContext & {
  readonly faults: RegistryFaults;
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly clock: Clock;
  readonly logger: Logger;
};

const BODY_BYTES_MAX = 1024 * 1024;
const TRICKLE_MS = 1_000;

/** @throws when the port is taken. */
export async function startRegistryServer(options: RegistryServerOptions): Promise<RegistryServer> {
  const { host, port, faults, clock, logger } = options;
  const closing = new AbortController();
  const server = createServer((request, response) => {
    answer(options, request)
      .catch((error: unknown) => failure(error, logger))
      .then(({ status, body }) => send(response, status, body, { fault: faults.draw(), clock, signal: closing.signal }))
      .catch((error: unknown) => {
        logger.debug('A registry answer was not sent.', { error: messageOf(error) });
        response.destroy();
      });
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
    stop: () => {
      closing.abort();
      return new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
    },
  };
}

type Answer = { readonly status: number; readonly body: unknown };

async function answer(context: RegistryContext, request: IncomingMessage): Promise<Answer> {
  const method = request.method ?? 'GET';
  const url = new URL(request.url ?? '/', 'http://registry');
  return { status: 200, body: answerRegistry(context, { method, url, body: await readJson(request) }) };
}

function failure(error: unknown, logger: Logger): Answer {
  if (error instanceof RegistryRefusal) return { status: error.status, body: { error: error.message } };
  if (error instanceof URIError) return { status: 400, body: { error: 'The path is malformed.' } };
  logger.error('A registry request failed inside.', { error: messageOf(error) });
  return { status: 500, body: { error: 'Internal server error' } };
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request) {
    const bytes = Buffer.from(chunk);
    length += bytes.length;
    if (length > BODY_BYTES_MAX) throw new RegistryRefusal(400, 'The request body is too large.');
    chunks.push(bytes);
  }
  if (request.method !== 'POST') return undefined;
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch (error) {
    throw new RegistryRefusal(400, `The request content was malformed: ${messageOf(error)}`);
  }
}

async function send(
  response: ServerResponse,
  status: number,
  body: unknown,
  { fault, clock, signal }: { fault: RegistryFault | undefined; clock: Clock; signal: AbortSignal },
): Promise<void> {
  const json = { 'content-type': 'application/json' };
  const text = JSON.stringify(body);
  switch (fault?.kind) {
    case undefined:
      response.writeHead(status, json).end(text);
      return;
    case 'hang':
      return;
    case 'status':
      response.writeHead(fault.status, json).end(JSON.stringify({ error: 'The registry is told to fail.' }));
      return;
    case 'notJson':
      response.writeHead(status, json).end(text.slice(0, -1));
      return;
    case 'redirect':
      response.writeHead(307, { location: fault.location }).end();
      return;
    case 'huge':
      response.writeHead(status, json).end(`${text.slice(0, -1)},"padding":"${'x'.repeat(fault.bytes)}"}`);
      return;
    case 'mutate':
      response.writeHead(status, json).end(JSON.stringify({ ...(body as object), ...fault.fields }));
      return;
    case 'trickle':
      response.writeHead(status, json);
      for (const letter of text) {
        if (signal.aborted || response.destroyed) return;
        response.write(letter);
        await clock.sleep(TRICKLE_MS, signal);
      }
      response.end();
  }
}
