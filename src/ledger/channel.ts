/** One participant endpoint: deadlines on every unary call, the bearer token on every call, limits and keepalive in one place. */
import { type Client, type ClientReadableStream, Metadata, status } from '@grpc/grpc-js';
import type { Secret } from '../config/secret.ts';
import { RetryableError } from '../env/errors.ts';
import type { CallLimit } from './call-limit.ts';
import { createConnection } from './connection.ts';
import { isServiceError, ledgerErrorOf } from './ledger-error.ts';
import type { TokenSource } from './token-source.ts';

export type ChannelOptions = {
  /** `http://host:port` for plain text, `https://host:port` for TLS. */
  readonly url: string;
  /** Asked at every call. Left out: no token is sent. */
  readonly tokens?: TokenSource;
  /** What may be asked of the endpoint at once. Left out: everything. */
  readonly limit?: CallLimit;
  readonly timing?: Partial<ChannelTiming>;
};

export type ChannelTiming = {
  readonly callDeadlineMs: number;
  readonly connectTimeoutMs: number;
  readonly keepaliveMs: number;
  readonly keepaliveTimeoutMs: number;
};

export type CallMore = {
  /** A W3C trace context that the participant hands on; left out: none. */
  readonly traceParent?: string;
};

export type Channel = {
  /** @throws RetryableError or PermanentError with Canton's code. After a RetryableError of a write the outcome is unknown. */
  call<Request, Response>(method: UnaryMethod<Request, Response>, request: Request, more?: CallMore): Promise<Response>;
  /**
   * Opens a stream of messages, as bytes; their errors are grpc-js's ({@link ledgerErrorOf} reads them). A `signal` that aborts with a RetryableError as its
   * reason says that the connection is not to be used again.
   * @throws as `call` does, where there is no connection to open it on.
   */
  stream<Request>(method: StreamMethod<Request>, request: Request, signal: AbortSignal): Promise<MessageStream>;
  /** Harmless when repeated. */
  close(): void;
};

export type MessageStream = ClientReadableStream<Buffer>;

export type StreamMethod<Request> = {
  readonly path: string;
  readonly requestSerialize: (value: Request) => Buffer;
};

export type UnaryMethod<Request, Response> = StreamMethod<Request> & {
  readonly responseDeserialize: (bytes: Buffer) => Response;
};

const MESSAGE_BYTES_MAX = 128 * 1024 * 1024; // Canton's own client accepts 128 MiB; grpc-js alone would refuse beyond 4.

export const CHANNEL_TIMING: ChannelTiming = {
  callDeadlineMs: 15_000, // Unary calls answer in milliseconds; a node that needs longer is not healthy.
  connectTimeoutMs: 10_000,
  // With the timeout below, a half-open connection is noticed within 16 s. Canton's Ledger API takes pings of less than 10 s distance for an attack
  // (`permit-keep-alive-time`), and pings travel with jitter: hence a second more.
  keepaliveMs: 11_000,
  keepaliveTimeoutMs: 5_000,
};

const NO_LIMIT: CallLimit = { pass: (work) => work() };

/** Connects lazily: an unreachable node shows at the first call. @throws PermanentError LEDGER_URL_INVALID. */
export function openChannel({ url, tokens, limit = NO_LIMIT, timing: given }: ChannelOptions): Channel {
  const timing = { ...CHANNEL_TIMING, ...given };
  const connection = createConnection({ url, ...timing, messageBytesMax: MESSAGE_BYTES_MAX });

  const onFailure = (client: Client, token: Secret | undefined, error: unknown): void => {
    if (!isServiceError(error)) return;
    if (error.code === status.UNAUTHENTICATED && token !== undefined) tokens?.refused(token);
    // No answer within the deadline: what else is sent on this connection may be lost as well.
    if (error.code === status.DEADLINE_EXCEEDED) connection.failed(client, true);
    else if (error.code === status.UNAVAILABLE) connection.failed(client, false);
  };

  return {
    call: (method, request, more) => {
      const name = nameOf(method);
      return limit.pass(async () => {
        const token = await tokens?.token();
        const client = await connection.ready();
        const { path, requestSerialize, responseDeserialize } = method;
        const deadline = new Date(Date.now() + timing.callDeadlineMs);
        return await new Promise((resolve, reject) => {
          client.makeUnaryRequest(
            path,
            requestSerialize,
            responseDeserialize,
            request,
            headersWith(token, more),
            { deadline },
            (error, response) => {
              if (error !== null) {
                onFailure(client, token, error);
                reject(ledgerErrorOf(error, name));
              } else if (response === undefined) reject(ledgerErrorOf(new Error('An empty answer.'), name));
              else resolve(response);
            },
          );
        });
      });
    },
    stream: ({ path, requestSerialize }, request, signal) =>
      limit.pass(async () => {
        const token = await tokens?.token();
        const client = await connection.ready(signal);
        const stream = client.makeServerStreamRequest(
          path,
          requestSerialize,
          (bytes) => bytes,
          request,
          headersWith(token),
        );
        stream.on('error', (error) => {
          onFailure(client, token, error);
          if (signal.reason instanceof RetryableError) connection.failed(client, true);
        });
        return stream;
      }),
    close: connection.close,
  };
}

function headersWith(token: Secret | undefined, more: CallMore = {}): Metadata {
  const metadata = new Metadata();
  if (more.traceParent !== undefined) metadata.set('traceparent', more.traceParent);
  if (token !== undefined) metadata.set('authorization', `Bearer ${token.reveal()}`);
  return metadata;
}

function nameOf({ path }: { readonly path: string }): string {
  return path.slice(path.lastIndexOf('/') + 1);
}
