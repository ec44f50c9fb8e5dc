/**
 * The signer's protocol over HTTP/1.1, on a unix socket that only the owner of its file may connect to, or over TLS with clients that show a certificate of the signer's own authority. Nothing else
 * listens here: no metrics, no health, no way to have a hash signed.
 */
import { chmod, lstat, stat, unlink } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import { CustodyRefusal, REFUSAL_CODES } from '../custody/custody-refusal.ts';
import { type Signer, SignerUnavailable, type SigningRequest } from '../custody/signer.ts';
import type { SigningKey } from '../custody/signing-key.ts';
import { messageOf, PermanentError } from '../env/errors.ts';
import type { LogFields, Logger } from '../env/logger.ts';
import { formatAmount } from '../tokens/amount.ts';
import {
  KEY_PATH,
  keysJson,
  parseRequest,
  REQUEST_BYTES_MAX,
  type RefusedJson,
  SIGN_PATH,
  signatureJson,
  type UnavailableJson,
} from './wire.ts';

export type Listening =
  | { readonly kind: 'UNIX'; readonly path: string; readonly mode: number }
  | {
      readonly kind: 'TLS';
      readonly host: string;
      readonly port: number;
      /** PEM. `ca` is the authority of the clients alone: whoever has a certificate of it may ask. */
      readonly cert: string;
      readonly key: string;
      readonly ca: string;
    };

export type SignerServer = {
  /** As SLUICE_SIGNER_URL takes it; of TLS with the port that was taken. */
  readonly url: string;
  /** Answers what it is at, and ends. */
  close(): Promise<void>;
};

const HEADERS_MS = 5_000;
const REQUEST_MS = 30_000; // For 16 MiB over a slow link.
const CONNECTIONS_MAX = 64;
const AT_ONCE_MAX = 32; // Each may hold 16 MiB. More are told to come again.
const OTHERS_WRITE = 0o022;

/**
 * @param options.knownKeys all whose signatures may still be answered.
 * @throws PermanentError SIGNER_SOCKET_TAKEN, SIGNER_SOCKET_UNSAFE.
 */
export async function startSignerServer(options: {
  readonly signer: Signer;
  readonly knownKeys: () => readonly SigningKey[];
  readonly listening: Listening;
  readonly logger: Logger;
}): Promise<SignerServer> {
  const { signer, knownKeys, listening, logger } = options;
  let atOnce = 0;

  const answerTo = async (request: IncomingMessage): Promise<Answer> => {
    const { method, url } = request;
    if (method === 'GET' && url === KEY_PATH) {
      return { status: 200, body: keysJson(await signer.currentKey(), knownKeys()) };
    }
    if (url !== SIGN_PATH) return refused(404, 'There is nothing here but /v1/sign and /v1/key.', 'path');
    if (method !== 'POST') return refused(405, 'Requests to sign are posted.', 'method');
    if (request.headers['content-type'] !== 'application/json') return refused(415, 'Expected JSON.', 'content-type');
    if (atOnce >= AT_ONCE_MAX) return unavailable('SIGNER_UNAVAILABLE', 'Too many requests at once.');
    atOnce += 1;
    try {
      const body = await readBody(request);
      if (body === null) return refused(413, 'A larger request than any.', 'body');
      const asked = parseRequest(parseJson(body));
      const signature = await signer.sign(asked);
      logger.info('Signed.', factsOf(asked));
      return { status: 200, body: signatureJson(asked.requestId, signature) };
    } finally {
      atOnce -= 1;
    }
  };

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    let answer: Answer;
    try {
      answer = await answerTo(request);
    } catch (error) {
      if (error instanceof CustodyRefusal) {
        logger.warn('Refused to sign.', { code: error.code, at: error.at, why: error.message });
        const { code, at } = error;
        // The place stands at the end of the message as well.
        const message = error.message.replace(` (${at})`, '');
        answer = { status: 422, body: { error: { kind: 'REFUSED', code: codeOf(code), message, at } } };
      } else {
        logger.error('Could not sign.', { why: messageOf(error) });
        const isPending = error instanceof SignerUnavailable && error.code === 'SIGNATURE_PENDING';
        answer = unavailable(isPending ? 'SIGNATURE_PENDING' : 'SIGNER_UNAVAILABLE', 'Not now.');
      }
    }
    if (response.destroyed) return;
    const text = JSON.stringify(answer.body);
    response.setHeader('content-type', 'application/json');
    response.setHeader('content-length', Buffer.byteLength(text));
    // What was not read to its end is in the way of the next request.
    if (!request.complete) response.setHeader('connection', 'close');
    response.writeHead(answer.status);
    response.end(text);
  };
  const listener = (request: IncomingMessage, response: ServerResponse): void => void handle(request, response);

  const limits = { headersTimeout: HEADERS_MS, requestTimeout: REQUEST_MS };
  const server: Server =
    listening.kind === 'UNIX'
      ? createServer(limits, listener)
      : createTlsServer(
          {
            ...limits,
            cert: listening.cert,
            key: listening.key,
            ca: listening.ca,
            requestCert: true,
            rejectUnauthorized: true,
            minVersion: 'TLSv1.3',
          },
          listener,
        );
  server.maxConnections = CONNECTIONS_MAX;
  const url = await listen(server, listening);
  return {
    url,
    close: async () => {
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeIdleConnections();
      });
    },
  };
}

type Answer = { readonly status: number; readonly body: unknown };

function refused(status: number, message: string, at: string): Answer {
  const body: RefusedOrNot = { error: { kind: 'REFUSED', code: 'SIGNING_REQUEST_INVALID', message, at } };
  return { status, body };
}

function unavailable(code: UnavailableJson['error']['code'], message: string): Answer {
  const body: RefusedOrNot = { error: { kind: 'UNAVAILABLE', code, message } };
  return { status: 503, body };
}

type RefusedOrNot = RefusedJson | UnavailableJson;

function codeOf(code: string): RefusedJson['error']['code'] {
  return REFUSAL_CODES.find((known) => known === code) ?? 'SIGNING_POLICY';
}

/** What was signed, in words that may be kept. */
function factsOf({ requestId, submissionId, attempt, intent }: SigningRequest): LogFields {
  const { kind, instrument, amount, receiver, maxRecordTime } = intent;
  return {
    requestId,
    submissionId,
    attempt,
    kind,
    instrument: instrument.id,
    amount: formatAmount(amount),
    receiver,
    maxRecordTime,
  };
}

/** @returns null when it is too large; the rest is not read. */
async function readBody(request: IncomingMessage): Promise<string | null> {
  if (Number(request.headers['content-length'] ?? 0) > REQUEST_BYTES_MAX) return null;
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    const part = Buffer.from(chunk);
    bytes += part.length;
    if (bytes > REQUEST_BYTES_MAX) return null;
    chunks.push(part);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parseJson(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return null;
  }
}

async function listen(server: Server, listening: Listening): Promise<string> {
  if (listening.kind === 'UNIX') return await listenUnix(server, listening);
  await bound(server, () => server.listen({ host: listening.host, port: listening.port }));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : listening.port;
  return `https://${listening.host.includes(':') ? `[${listening.host}]` : listening.host}:${port}`;
}

async function listenUnix(server: Server, { path, mode }: Listening & { kind: 'UNIX' }): Promise<string> {
  // Whoever may rename in the directory may put his own socket there, and answer in our place.
  const directory = await stat(dirname(path));
  const isSafe = (directory.mode & OTHERS_WRITE) === 0;
  if (!isSafe) throw new PermanentError('SIGNER_SOCKET_UNSAFE', `Others may write to ${dirname(path)}.`, { path });
  await removeStale(path);
  const before = process.umask(0o177); // The socket never is open to others, not for a moment.
  try {
    await bound(server, () => server.listen(path));
  } finally {
    process.umask(before);
  }
  await chmod(path, mode);
  return `unix:${path}`;
}

/** A socket that nobody answers at is what a crash left. */
async function removeStale(path: string): Promise<void> {
  const found = await lstat(path).catch(() => null);
  if (found === null) return;
  const isLive = found.isSocket() && (await isAnswered(path));
  if (isLive || !found.isSocket()) {
    throw new PermanentError('SIGNER_SOCKET_TAKEN', isLive ? 'Another signer listens there.' : 'Not a socket.', {
      path,
    });
  }
  await unlink(path);
}

function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

function bound(server: Server, start: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) => reject(new PermanentError('SIGNER_SOCKET_TAKEN', messageOf(cause), {}, { cause })));
    server.once('listening', resolve);
    start();
  });
}
