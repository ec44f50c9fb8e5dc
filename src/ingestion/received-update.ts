/**
 * An update in the terms that every kind of update shares, with its bytes as they came. The bytes are the part of the history that outlives the
 * participant's pruning: everything derived is rebuilt from them.
 */
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { type Micros, timestampToMicros } from '../env/clock.ts';
import { PermanentError } from '../env/errors.ts';
import { storableText } from '../env/storable-text.ts';
import type { Transaction } from '../gen/com/daml/ledger/api/v2/transaction.ts';
import { type GetUpdateResponse, GetUpdatesResponse } from '../gen/com/daml/ledger/api/v2/update_service.ts';
import type { StreamMessage } from '../ledger/ledger-client.ts';
import { wireReader } from '../ledger/wire-reader.ts';

export type ReceivedUpdate = {
  readonly kind: 'TRANSACTION' | 'REASSIGNMENT' | 'TOPOLOGY';
  readonly updateId: string;
  readonly offset: bigint;
  readonly recordTime: Micros;
  readonly synchronizerId: string;
  readonly effectiveAt: Micros | null;
  readonly traceParent: string | null;
  /** Set for the kind TRANSACTION. */
  readonly transaction: Transaction | null;
  /** The GetUpdatesResponse message, undecoded. */
  readonly bytes: Uint8Array;
  /** The same as `ledger_update.received` stores it. */
  readonly compressed: Uint8Array;
};

/** How far the participant has come, though nothing we may see happened. */
export type Checkpoint = {
  readonly kind: 'CHECKPOINT';
  readonly offset: bigint;
  readonly synchronizerTimes: readonly { readonly synchronizerId: string; readonly recordTime: Micros }[];
};

/**
 * Compresses at once: the reader has time for it while the database writes the batch before.
 * @throws PermanentError UPDATE_NOT_UNDERSTOOD for an empty message: a kind of update that this version does not know. Its bytes are not lost: the position stays before it.
 */
export function receive({ message, bytes }: StreamMessage): ReceivedUpdate | Checkpoint {
  return readMessage({ message, bytes }, () => compressUpdate(bytes));
}

function readMessage(
  { message: { update }, bytes }: StreamMessage,
  compress: () => Uint8Array,
): ReceivedUpdate | Checkpoint {
  const content = () => ({ bytes, compressed: compress() });
  switch (update?.$case) {
    case 'transaction': {
      const { value } = update;
      return {
        ...common('TRANSACTION', value, content()),
        effectiveAt: optionalMicros(value.effectiveAt),
        transaction: value,
      };
    }
    case 'reassignment':
      return common('REASSIGNMENT', update.value, content());
    case 'topologyTransaction':
      return common('TOPOLOGY', update.value, content());
    case 'offsetCheckpoint':
      return {
        kind: 'CHECKPOINT',
        offset: update.value.offset,
        synchronizerTimes: update.value.synchronizerTimes.map(({ synchronizerId, recordTime }) => ({
          synchronizerId,
          recordTime: requiredMicros(recordTime),
        })),
      };
    case undefined:
      throw new PermanentError('UPDATE_NOT_UNDERSTOOD', 'The participant sent an update of an unknown kind.');
  }
}

type CommonFields = {
  readonly updateId: string;
  readonly offset: bigint;
  readonly recordTime: { seconds: bigint; nanos: number } | undefined;
  readonly synchronizerId: string;
  readonly traceContext: { traceparent?: string | undefined } | undefined;
};

function common(
  kind: ReceivedUpdate['kind'],
  fields: CommonFields,
  content: Pick<ReceivedUpdate, 'bytes' | 'compressed'>,
): ReceivedUpdate {
  return {
    kind,
    updateId: fields.updateId,
    offset: fields.offset,
    recordTime: requiredMicros(fields.recordTime),
    synchronizerId: fields.synchronizerId,
    effectiveAt: null,
    // Whoever submitted the transaction wrote it.
    traceParent: fields.traceContext?.traceparent === undefined ? null : storableText(fields.traceContext.traceparent),
    transaction: null,
    ...content,
  };
}

/** The result keeps all of its chunk in memory: the default of 16 KiB would hold several times what is needed. */
const COMPRESSED_CHUNK_BYTES = 4_096;

/** zstd: a quarter of the size at hardly any cost (transactions repeat party and package ids). */
function compressUpdate(bytes: Uint8Array): Buffer {
  return zstdCompressSync(bytes, { chunkSize: COMPRESSED_CHUNK_BYTES });
}

/** Inverse of {@link compressUpdate}, decoded. @throws when the stored bytes are damaged. */
export function restoreUpdate(stored: Uint8Array): ReceivedUpdate {
  const bytes = zstdDecompressSync(stored);
  const update = readMessage({ message: GetUpdatesResponse.decode(wireReader(bytes)), bytes }, () => stored);
  if (update.kind === 'CHECKPOINT')
    throw new PermanentError('STORED_UPDATE_DAMAGED', 'A checkpoint is stored as an update.');
  return update;
}

const NO_BYTES = new Uint8Array();

/** An update that was asked for by itself. Its bytes are not what a stream would have brought, and are left out. @throws PermanentError UPDATE_NOT_UNDERSTOOD. */
export function readUpdate({ update }: GetUpdateResponse): ReceivedUpdate {
  const read = readMessage({ message: { update }, bytes: NO_BYTES }, () => NO_BYTES);
  if (read.kind === 'CHECKPOINT')
    throw new PermanentError('UPDATE_NOT_UNDERSTOOD', 'A checkpoint instead of an update.');
  return read;
}

function requiredMicros(timestamp: { seconds: bigint; nanos: number } | undefined): Micros {
  if (timestamp === undefined) throw new PermanentError('UPDATE_NOT_UNDERSTOOD', 'An update without a record time.');
  return timestampToMicros(timestamp);
}

function optionalMicros(timestamp: { seconds: bigint; nanos: number } | undefined): Micros | null {
  return timestamp === undefined ? null : timestampToMicros(timestamp);
}
