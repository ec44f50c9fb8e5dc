/**
 * One participant's Ledger API v2 over gRPC: the calls that ingestion makes, with a deadline on each and errors in our own terms.
 *
 * Updates are handed on together with the bytes they came in, because the bytes are what we store. The stream is pulled: nothing is read from the
 * socket while nobody asks for the next message, so HTTP/2 flow control holds the participant back and memory stays bounded.
 */
import { type Micros, timestampToMicros } from '../env/clock.ts';
import { PartyManagementServiceService } from '../gen/com/daml/ledger/api/v2/admin/party_management_service.ts';
import type { CreatedEvent } from '../gen/com/daml/ledger/api/v2/event.ts';
import { PackageServiceService } from '../gen/com/daml/ledger/api/v2/package_service.ts';
import {
  GetActiveContractsRequest,
  GetActiveContractsResponse,
  type GetLedgerEndResponse,
  StateServiceService,
} from '../gen/com/daml/ledger/api/v2/state_service.ts';
import type { EventFormat, UpdateFormat } from '../gen/com/daml/ledger/api/v2/transaction_filter.ts';
import {
  type GetUpdateResponse,
  GetUpdatesRequest,
  GetUpdatesResponse,
  UpdateServiceService,
} from '../gen/com/daml/ledger/api/v2/update_service.ts';
import { type Channel, type ChannelOptions, type MessageStream, openChannel } from './channel.ts';
import { ledgerErrorOf } from './ledger-error.ts';
import { createSecondViews } from './second-views.ts';
import { wireReader } from './wire-reader.ts';

/** One message of the update stream, decoded and as received. */
export type StreamMessage = { readonly message: GetUpdatesResponse; readonly bytes: Uint8Array };

/** The newest entry of a participant, and the record time it has reached per synchronizer where it says so (nodes before Canton 3.6 do not). */
export type LedgerEnd = {
  /** 0 on an empty node. */
  readonly offset: bigint;
  readonly recordTimes: ReadonlyMap<string, Micros>;
};

/** A contract that is active at an offset, as its stakeholders see it. Its event may carry an offset that has been pruned. */
export type ActiveContract = {
  /** A contract on its way to another synchronizer is active on none. */
  readonly kind: 'ACTIVE' | 'UNASSIGNED' | 'ASSIGNED';
  readonly synchronizerId: string;
  readonly createdEvent: CreatedEvent;
};

/**
 * What ingestion asks of a participant. A simulated one may stand behind it in process. All methods throw RetryableError or PermanentError. Where a format asks for
 * views of the token standard, the answer has those of its second generation as well, if the participant knows them.
 */
export type Ledger = {
  /**
   * Who answers. Where there are several endpoints, asking chooses the one that all further calls go to: what is known of a participant holds until it is asked again.
   * @param preferred the participant whose offsets are stored: an endpoint of this one goes before others.
   */
  participantId(preferred?: string | null): Promise<string>;
  ledgerEnd(): Promise<LedgerEnd>;
  /** Reading may begin there, exclusively, or later; 0 where nothing is pruned. */
  prunedUpTo(): Promise<bigint>;
  /**
   * Updates after `beginExclusive`, without end, with offset checkpoints between them; in the order of offsets.
   * Ends (without error) when the participant ends the stream or `signal` aborts; and when the participant has learnt of views that were not asked for, so that they are from the next one on.
   */
  updates(options: { beginExclusive: bigint; format: UpdateFormat; signal: AbortSignal }): AsyncIterable<StreamMessage>;
  /** @returns `null` where the participant does not know the update, or has nothing of it that the format lets through. */
  updateById(updateId: string, format: UpdateFormat): Promise<GetUpdateResponse | null>;
  /** All contracts active at `atOffset`, in no order. Ends early, without error, when `signal` aborts. */
  activeContracts(options: {
    atOffset: bigint;
    format: EventFormat;
    signal: AbortSignal;
  }): AsyncIterable<ActiveContract>;
  close(): void;
};

/**
 * @param target a channel, or where to open one. Connects lazily: an unreachable node shows at the first call.
 * @throws PermanentError LEDGER_URL_INVALID.
 */
export function createLedgerClient(target: Channel | ChannelOptions): Ledger {
  const { call, stream, close } = 'call' in target ? target : openChannel(target);

  const views = createSecondViews(async () => (await call(PackageServiceService.listPackages, {})).packageIds);

  return {
    participantId: async () => {
      const { participantId } = await call(PartyManagementServiceService.getParticipantId, {});
      views.forget(); // It may be another one, or have learnt of packages: both happen beside calls that go on for months.
      return participantId;
    },
    ledgerEnd: async () => ledgerEndOf(await call(StateServiceService.getLedgerEnd, {})),
    prunedUpTo: async () => (await call(StateServiceService.getLatestPrunedOffsets, {})).participantPrunedUpToInclusive,
    updates: ({ beginExclusive, format, signal }) => {
      let viewsCount = 0;
      const open = async () => {
        views.forget();
        const updateFormat = await unlessAborted(views.updateFormat(format), signal);
        viewsCount = await views.count();
        const request = GetUpdatesRequest.fromPartial({ beginExclusive, updateFormat });
        return await stream(UpdateServiceService.getUpdates, request, signal);
      };
      const isOutdated = async () => await views.areMoreThan(viewsCount);
      return updatesOf(bytesOf(open, signal, 'GetUpdates'), isOutdated);
    },
    updateById: async (updateId, format) => {
      try {
        const updateFormat = await views.updateFormat(format);
        return await call(UpdateServiceService.getUpdateById, { updateId, updateFormat });
      } catch (error) {
        const known = ledgerErrorOf(error, 'GetUpdateById');
        if (known.code === 'UPDATE_NOT_FOUND') return null;
        throw known;
      }
    },
    activeContracts: ({ atOffset, format, signal }) => {
      const open = async () => {
        const eventFormat = await unlessAborted(views.eventFormat(format), signal);
        const request = GetActiveContractsRequest.fromPartial({ activeAtOffset: atOffset, eventFormat });
        return await stream(StateServiceService.getActiveContracts, request, signal);
      };
      return contractsOf(bytesOf(open, signal, 'GetActiveContracts'));
    },
    close,
  };
}

/** What `work` gives, or the end of the waiting when `signal` aborts. */
async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const leave = () => reject(signal.reason);
  signal.addEventListener('abort', leave, { once: true });
  if (signal.aborted) leave();
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', leave);
  }
}

/** Packages are uploaded to a participant that runs, and what has views of the second generation alone would come without any: so it is asked now and then, beside the stream, which waits for no answer. */
async function* updatesOf(
  messages: AsyncIterable<Buffer>,
  isOutdated: () => Promise<boolean>,
): AsyncGenerator<StreamMessage, void, undefined> {
  let isOver = false;
  let isAsking = false;
  for await (const bytes of messages) {
    const message = GetUpdatesResponse.decode(wireReader(bytes));
    yield { bytes, message };
    if (isOver) return;
    if (message.update?.$case !== 'offsetCheckpoint' || isAsking) continue;
    isAsking = true;
    void isOutdated().then((found) => {
      isOver = found;
      isAsking = false;
    });
  }
}

async function* contractsOf(messages: AsyncIterable<Buffer>): AsyncGenerator<ActiveContract, void, undefined> {
  for await (const bytes of messages) {
    const contract = activeContractOf(GetActiveContractsResponse.decode(bytes));
    if (contract !== null) yield contract;
  }
}

/** @returns null for a message without a contract. */
export function activeContractOf({ contractEntry }: GetActiveContractsResponse): ActiveContract | null {
  switch (contractEntry?.$case) {
    case 'activeContract': {
      const { createdEvent, synchronizerId } = contractEntry.value;
      return createdEvent === undefined ? null : { kind: 'ACTIVE', synchronizerId, createdEvent };
    }
    case 'incompleteUnassigned': {
      const { createdEvent, unassignedEvent } = contractEntry.value;
      return createdEvent === undefined
        ? null
        : { kind: 'UNASSIGNED', synchronizerId: unassignedEvent?.source ?? '', createdEvent };
    }
    case 'incompleteAssigned': {
      const { createdEvent, target = '' } = contractEntry.value.assignedEvent ?? {};
      return createdEvent === undefined ? null : { kind: 'ASSIGNED', synchronizerId: target, createdEvent };
    }
    case undefined:
      return null;
  }
}

export function ledgerEndOf({ offset, synchronizerTimes }: GetLedgerEndResponse): LedgerEnd {
  const recordTimes = new Map<string, Micros>();
  for (const { synchronizerId, recordTime } of synchronizerTimes) {
    if (recordTime !== undefined) recordTimes.set(synchronizerId, timestampToMicros(recordTime));
  }
  return { offset, recordTimes };
}

async function* bytesOf(
  open: () => Promise<MessageStream>,
  signal: AbortSignal,
  method: string,
): AsyncGenerator<Buffer, void, undefined> {
  if (signal.aborted) return;
  const stream = await open().catch((error: unknown) => {
    if (signal.aborted) return null;
    throw error;
  });
  if (stream === null) return;
  const cancel = () => stream.cancel();
  signal.addEventListener('abort', cancel, { once: true });
  if (signal.aborted) cancel();
  try {
    for await (const bytes of stream as AsyncIterable<Buffer>) yield bytes;
  } catch (error) {
    if (!signal.aborted) throw ledgerErrorOf(error, method);
  } finally {
    signal.removeEventListener('abort', cancel);
    stream.cancel();
    // A cancelled stream still reports its end as an error event; nobody is left to hear it.
    stream.on('error', () => undefined);
  }
}
