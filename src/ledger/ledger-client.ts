/**
 * One participant's Ledger API v2 over gRPC: the calls that ingestion makes, with a deadline on each and errors in our own terms.
 *
 * Updates are handed on together with the bytes they came in, because the bytes are what we store. The stream is pulled: nothing is read from the
 * socket while nobody asks for the next message, so HTTP/2 flow control holds the participant back and memory stays bounded.
 */
import type { ClientReadableStream } from '@grpc/grpc-js';
import { PartyManagementServiceService } from '../gen/com/daml/ledger/api/v2/admin/party_management_service.ts';
import { StateServiceService } from '../gen/com/daml/ledger/api/v2/state_service.ts';
import type { UpdateFormat } from '../gen/com/daml/ledger/api/v2/transaction_filter.ts';
import {
  type GetUpdateResponse,
  GetUpdatesRequest,
  GetUpdatesResponse,
  UpdateServiceService,
} from '../gen/com/daml/ledger/api/v2/update_service.ts';
import { type ChannelOptions, openChannel } from './channel.ts';
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

/** @throws PermanentError LEDGER_URL_INVALID. Connects lazily: an unreachable node shows at the first call. */
export function createLedgerClient(options: ChannelOptions): Ledger {
  const { client, call, headers } = openChannel(options);

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
