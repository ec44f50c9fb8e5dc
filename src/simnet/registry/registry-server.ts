/**
 * One server over HTTP that wallets and exchanges ask about tokens: an instance of a registry, of Scan, or a validator's proxy. What it answers is given; how it misbehaves is told by its faults. It may be
 * closed, as when the process is gone, and opened again at the same port.
 */
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { Clock } from '../../env/clock.ts';
import { messageOf } from '../../env/errors.ts';
import type { Logger } from '../../env/logger.ts';
import type { RegistryFaultControls, RegistryFaults } from './registry-faults.ts';
import { RegistryRefusal } from './registry-refusal.ts';
import { type Answer, sendAnswer } from './send-answer.ts';

export type Ask = {
  readonly method: string;
  readonly url: URL;
  readonly body: unknown;
  /** The bearer token that came with it. */
  readonly token: string | undefined;
};

export type RegistryServer = {
  /** `http://host:port`. */
  readonly url: string;
  readonly faults: RegistryFaultControls;
  /** Requests so far, whatever became of them. */
  requests(): number;
  /** Cuts every connection and refuses new ones. Harmless when it is closed. */
  close(): Promise<void>;
  /** Harmless when it is open. @throws when the port was taken meanwhile. */
  open(): Promise<void>;
};

export type RegistryServerOptions = {
  /** @throws RegistryRefusal with the status and text to answer. */
  readonly answer: (ask: Ask) => unknown;
  readonly faults: RegistryFaults;
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly clock: Clock;
  readonly logger: Logger;
};

const BODY_BYTES_MAX = 1024 * 1024;
const REMEMBERED_MAX = 1_000; // Questions whose first answer is kept, for those who shall lie with it.

/** @throws when the port is taken. */
export async function startRegistryServer(options: RegistryServerOptions): Promise<RegistryServer> {
  const { host, faults, clock, logger } = options;
  const first = new Map<string, unknown>();
  let running: { readonly server: Server; readonly closing: AbortController } | undefined;
  let { port } = options;
  let requests = 0;

  async function reply(request: IncomingMessage): Promise<Answer> {
    const method = request.method ?? 'GET';
    let question = '';
    try {
      const body = await readJson(request);
      const url = new URL(request.url ?? '/', 'http://registry');
      const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1];
      question = `${method} ${request.url} ${JSON.stringify(body)}`;
      const answer = options.answer({ method, url, body, token });
      if (!first.has(question) && first.size < REMEMBERED_MAX) first.set(question, answer);
      return { status: 200, body: answer, first: first.get(question) };
    } catch (error) {
      return { ...failure(error, logger), first: first.get(question) };
    }
  }

  async function open(): Promise<void> {
    if (running !== undefined) return;
    const closing = new AbortController();
    const server = createServer((request, response) => {
      requests += 1;
      reply(request)
        .then((answer) => sendAnswer(response, answer, { fault: faults.draw(), clock, signal: closing.signal }))
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
    if (typeof address === 'object' && address !== null) port = address.port;
    running = { server, closing };
  }

  await open();
  return {
    url: `http://${host}:${port}`,
    faults,
    requests: () => requests,
    open,
    close: async () => {
      const former = running;
      if (former === undefined) return;
      running = undefined;
      former.closing.abort();
      await new Promise<void>((resolve) => {
        former.server.close(() => resolve());
        former.server.closeAllConnections();
      });
    },
  };
}

function failure(error: unknown, logger: Logger): { readonly status: number; readonly body: unknown } {
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
