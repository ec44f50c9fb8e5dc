/** One gRPC channel to a participant: deadlines on every unary call, the bearer token on every call, limits and keepalive in one place. */
import { ChannelCredentials, Client, Metadata } from '@grpc/grpc-js';
import { PermanentError } from '../env/errors.ts';
import { ledgerErrorOf } from './ledger-error.ts';

export type ChannelOptions = {
  /** `http://host:port` for plain text, `https://host:port` for TLS. */
  readonly url: string;
  /** Bearer token; asked for at every call, so it may be rotated. */
  readonly token?: () => string | undefined;
};

export type Channel = {
  /** For streams; unary calls go through `call`. */
  readonly client: Client;
  headers(): Metadata;
  /** @throws RetryableError or PermanentError with Canton's code. After a RetryableError of a write the outcome is unknown. */
  call<Request, Response>(method: UnaryMethod<Request, Response>, request: Request): Promise<Response>;
};

export type UnaryMethod<Request, Response> = {
  readonly path: string;
  readonly requestSerialize: (value: Request) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => Response;
};

const CALL_DEADLINE_MS = 15_000; // Unary calls answer in milliseconds; a node that needs longer is not healthy.
const MESSAGE_BYTES_MAX = 128 * 1024 * 1024; // Canton's own client accepts 128 MiB; grpc-js alone would refuse beyond 4.
const FLOW_CONTROL_WINDOW_BYTES = 8 * 1024 * 1024; // The 64 KiB default halves the throughput of a backlog.
const KEEPALIVE_MS = 10_000; // With the timeout below, a half-open connection is noticed within 15 s.
const KEEPALIVE_TIMEOUT_MS = 5_000;

/** Connects lazily: an unreachable node shows at the first call. @throws PermanentError LEDGER_URL_INVALID. */
export function openChannel({ url, token }: ChannelOptions): Channel {
  const { hostname, port, protocol } = parseUrl(url);
  const isSecure = protocol === 'https:';
  const credentials = isSecure ? ChannelCredentials.createSsl() : ChannelCredentials.createInsecure();
  // A URL drops the default port of its scheme; grpc-js would put its own in the place.
  const client = new Client(`${hostname}:${port || (isSecure ? 443 : 80)}`, credentials, {
    'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
    'grpc.keepalive_time_ms': KEEPALIVE_MS,
    'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
    'grpc-node.flow_control_window': FLOW_CONTROL_WINDOW_BYTES,
  });
  const headers = (): Metadata => {
    const metadata = new Metadata();
    const bearer = token?.();
    if (bearer !== undefined) metadata.set('authorization', `Bearer ${bearer}`);
    return metadata;
  };
  return {
    client,
    headers,
    call: ({ path, requestSerialize, responseDeserialize }, request) =>
      new Promise((resolve, reject) => {
        const name = path.slice(path.lastIndexOf('/') + 1);
        const deadline = new Date(Date.now() + CALL_DEADLINE_MS);
        client.makeUnaryRequest(
          path,
          requestSerialize,
          responseDeserialize,
          request,
          headers(),
          { deadline },
          (error, response) => {
            if (error !== null) reject(ledgerErrorOf(error, name));
            else if (response === undefined) reject(ledgerErrorOf(new Error('An empty answer.'), name));
            else resolve(response);
          },
        );
      }),
  };
}

function parseUrl(url: string): URL {
  const parsed = URL.parse(url);
  if (parsed !== null && (parsed.protocol === 'http:' || parsed.protocol === 'https:')) return parsed;
  throw new PermanentError('LEDGER_URL_INVALID', 'A participant is named as http://host:port or https://host:port.', {
    url,
  });
}
