/**
 * One participant's Ledger API v2 over gRPC: the calls that ingestion makes, with a deadline on each and errors in our own terms.
 *
 * Updates are handed on together with the bytes they came in, because the bytes are what we store. The stream is pulled: nothing is read from the
 * socket while nobody asks for the next message, so HTTP/2 flow control holds the participant back and memory stays bounded.
 */
import { ChannelCredentials, Client, type ClientReadableStream, Metadata } from '@grpc/grpc-js';
import { PartyManagementServiceService } from '../gen/com/daml/ledger/api/v2/admin/party_management_service.ts';
import { StateServiceService } from '../gen/com/daml/ledger/api/v2/state_service.ts';
import type { UpdateFormat } from '../gen/com/daml/ledger/api/v2/transaction_filter.ts';
import {
  type GetUpdateResponse,
  GetUpdatesRequest,
  GetUpdatesResponse,
  UpdateServiceService,
} from '../gen/com/daml/ledger/api/v2/update_service.ts';
import { ledgerErrorOf } from './ledger-error.ts';

/** One message of the update stream, decoded and as received. */
export type StreamMessage = { readonly message: GetUpdatesResponse; readonly bytes: Uint8Array };

/** What ingestion asks of a participant. A simulated one may stand behind it in process. All methods throw RetryableError or PermanentError. */
export type Ledger = {
  participantId(): Promise<string>;
  /** Offset of the newest entry; 0 on an empty node. */
  ledgerEnd(): Promise<bigint>;
  /**
   * Updates after `beginExclusive`, without end, with offset checkpoints between them; in the order of offsets.
   * Ends (without error) when the participant ends the stream or `signal` aborts.
   */
  updates(options: { beginExclusive: bigint; format: UpdateFormat; signal: AbortSignal }): AsyncIterable<StreamMessage>;
  /** @returns `null` where the participant does not know the update, or has nothing of it that the format lets through. */
  updateById(updateId: string, format: UpdateFormat): Promise<GetUpdateResponse | null>;
  close(): void;
};

export type LedgerClientOptions = {
  /** `http://host:port` for plain text, `https://host:port` for TLS. */
  readonly url: string;
  /** Bearer token; asked for at every call, so it may be rotated. */
  readonly token?: () => string | undefined;
};

const CALL_DEADLINE_MS = 15_000; // Unary calls answer in milliseconds; a node that needs longer is not healthy.
const MESSAGE_BYTES_MAX = 128 * 1024 * 1024; // Canton's own client accepts 128 MiB; grpc-js alone would refuse beyond 4.
const FLOW_CONTROL_WINDOW_BYTES = 8 * 1024 * 1024; // The 64 KiB default halves the throughput of a backlog.
const KEEPALIVE_MS = 10_000; // With the timeout below, a half-open connection is noticed within 15 s.
const KEEPALIVE_TIMEOUT_MS = 5_000;

/** @throws PermanentError LEDGER_URL_INVALID. Connects lazily: an unreachable node shows at the first call. */
export function createLedgerClient({ url, token }: LedgerClientOptions): Ledger {
  const { host, protocol } = new URL(url);
  const credentials = protocol === 'https:' ? ChannelCredentials.createSsl() : ChannelCredentials.createInsecure();
  const client = new Client(host, credentials, {
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

  const call = <Request, Response>(method: UnaryMethod<Request, Response>, request: Request): Promise<Response> =>
    new Promise((resolve, reject) => {
      const { path, requestSerialize, responseDeserialize } = method;
      const deadline = new Date(Date.now() + CALL_DEADLINE_MS);
      client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        headers(),
        { deadline },
        (error, response) => {
          if (error !== null) reject(ledgerErrorOf(error, shortName(path)));
          else if (response === undefined) reject(ledgerErrorOf(new Error('An empty answer.'), shortName(path)));
          else resolve(response);
        },
      );
    });

  return {
    participantId: async () => (await call(PartyManagementServiceService.getParticipantId, {})).participantId,
    ledgerEnd: async () => (await call(StateServiceService.getLedgerEnd, {})).offset,
    updates: ({ beginExclusive, format, signal }) => {
      const { path, requestSerialize } = UpdateServiceService.getUpdates;
      const request = GetUpdatesRequest.fromPartial({ beginExclusive, updateFormat: format });
      const open = () => client.makeServerStreamRequest(path, requestSerialize, (bytes) => bytes, request, headers());
      return messagesOf(open, signal);
    },
    updateById: async (updateId, format) => {
      try {
        return await call(UpdateServiceService.getUpdateById, { updateId, updateFormat: format });
      } catch (error) {
        const known = ledgerErrorOf(error, 'GetUpdateById');
        if (known.code === 'UPDATE_NOT_FOUND') return null;
        throw known;
      }
    },
    close: () => client.close(),
  };
}

type UnaryMethod<Request, Response> = {
  readonly path: string;
  readonly requestSerialize: (value: Request) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => Response;
};

async function* messagesOf(
  open: () => ClientReadableStream<Buffer>,
  signal: AbortSignal,
): AsyncGenerator<StreamMessage, void, undefined> {
  if (signal.aborted) return;
  const stream = open();
  const cancel = () => stream.cancel();
  signal.addEventListener('abort', cancel, { once: true });
  try {
    for await (const bytes of stream as AsyncIterable<Buffer>) {
      yield { bytes, message: GetUpdatesResponse.decode(bytes) };
    }
  } catch (error) {
    if (!signal.aborted) throw ledgerErrorOf(error, 'GetUpdates');
  } finally {
    signal.removeEventListener('abort', cancel);
    stream.cancel();
    // A cancelled stream still reports its end as an error event; nobody is left to hear it.
    stream.on('error', () => undefined);
  }
}

function shortName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}
