/**
 * The contracts that are active at an offset, as a stream and in pages, and the events of a single contract. A snapshot is computed as the
 * reader takes it; pages and continuation tokens name the offset and how far the reader got.
 */
import type { CreatedEvent } from '../../gen/com/daml/ledger/api/v2/event.ts';
import type { GetEventsByContractIdResponse } from '../../gen/com/daml/ledger/api/v2/event_query_service.ts';
import type {
  GetActiveContractsPageRequest,
  GetActiveContractsPageResponse,
  GetActiveContractsRequest,
  GetActiveContractsResponse,
} from '../../gen/com/daml/ledger/api/v2/state_service.ts';
import type { EventFormat } from '../../gen/com/daml/ledger/api/v2/transaction_filter.ts';
import { stakeholdersOf } from '../daml/contract.ts';
import { cantonError } from './canton-error.ts';
import { type EventFilter, missingField, resolveEventFormat } from './event-filter.ts';
import type { Faults } from './faults.ts';
import { requireNonNegative, requireNotAfterEnd, requireUnpruned } from './offset-validation.ts';
import type { PackageDirectory } from './package-directory.ts';
import type { ParticipantHistory, StoredContract } from './participant-history.ts';
import { createdEvent } from './projection.ts';
import { unassignedEvent } from './reassignment-projection.ts';

export type ActiveContracts = {
  stream(
    request: GetActiveContractsRequest,
    client: AbortSignal | undefined,
  ): AsyncIterable<GetActiveContractsResponse>;
  page(request: GetActiveContractsPageRequest): GetActiveContractsPageResponse;
  eventsOf(contractId: string, eventFormat: EventFormat | undefined): GetEventsByContractIdResponse;
};

const PAGE_SIZE = 100; // When the request does not say.
const PAGE_SIZE_MAX = 1_000;

export function createActiveContracts({
  history,
  packages,
  faults,
  isVisible,
}: {
  readonly history: ParticipantHistory;
  readonly packages: PackageDirectory;
  readonly faults: Faults;
  /** Whether the participant shows anything of the party. */
  readonly isVisible: (party: string) => boolean;
}): ActiveContracts {
  const filterOf = (eventFormat: EventFormat | undefined): EventFilter => {
    if (eventFormat === undefined) throw missingField('event_format');
    return resolveEventFormat(eventFormat, packages, isVisible);
  };
  const requireReadable = (offset: bigint): void => {
    requireNonNegative(offset, 'active_at_offset');
    requireNotAfterEnd(offset, 'active_at', history);
    requireUnpruned(offset, `Active contracts request at ${offset}`, history);
  };

  /** @param after how many contracts of the snapshot to leave out; the tokens of the rest count on. */
  const snapshot = function* (
    offset: bigint,
    filter: EventFilter,
    after: bigint,
  ): Generator<GetActiveContractsResponse> {
    let position = 0n;
    for (const stored of history.activeAt(offset)) {
      const created = createdOf(stored, filter);
      if (created === undefined) continue;
      position += 1n;
      if (position <= after) continue;
      yield {
        workflowId: '',
        contractEntry: entryOf(stored, created, filter, offset),
        streamContinuationToken: tokenOf({ offset, position }),
      };
    }
  };

  const stream = async function* (
    offset: bigint,
    filter: EventFilter,
    after: bigint,
    client: AbortSignal | undefined,
  ): AsyncGenerator<GetActiveContractsResponse, void, undefined> {
    const handle = faults.open(client, { hasEnd: true });
    try {
      for (const response of snapshot(offset, filter, after)) {
        await faults.answering(handle.signal);
        if (handle.signal.aborted) break;
        requireReadable(offset);
        yield response;
      }
      const failure = handle.failure();
      if (failure !== undefined) throw failure;
    } finally {
      handle.close();
    }
  };

  return {
    stream: ({ activeAtOffset, eventFormat, streamContinuationToken }, client) => {
      const filter = filterOf(eventFormat);
      requireReadable(activeAtOffset);
      const after = positionOf(streamContinuationToken, activeAtOffset, 'INVALID_CONTINUATION_TOKEN');
      return stream(activeAtOffset, filter, after, client);
    },
    page: ({ activeAtOffset, eventFormat, maxPageSize, pageToken }) => {
      const filter = filterOf(eventFormat);
      const size = maxPageSize ?? PAGE_SIZE;
      if (size <= 0 || size > PAGE_SIZE_MAX) {
        throw cantonError({
          code: 'INVALID_FIELD',
          category: 'invalidRequest',
          text: `The submitted command has a field with invalid value: Invalid field max_page_size: it must be between 1 and ${PAGE_SIZE_MAX}`,
          metadata: { field_name: 'max_page_size' },
        });
      }
      const offset = activeAtOffset ?? readToken(pageToken)?.offset ?? history.ledgerEnd();
      requireReadable(offset);
      const after = positionOf(pageToken, offset, 'INVALID_PAGE_TOKEN');
      const activeContracts: GetActiveContractsResponse[] = [];
      for (const response of snapshot(offset, filter, after)) {
        if (activeContracts.length === size) {
          return {
            activeContracts,
            activeAtOffset: offset,
            nextPageToken: tokenOf({ offset, position: after + BigInt(size) }),
          };
        }
        activeContracts.push(response);
      }
      return { activeContracts, activeAtOffset: offset, nextPageToken: undefined };
    },
    eventsOf: (contractId, eventFormat) => {
      if (contractId === '') throw missingField('contract_id');
      return contractEvents(history.contract(contractId), filterOf(eventFormat));
    },
  };
}

/** The contract where it was at `offset`: on a synchronizer, or between two. */
function entryOf(
  { moves, synchronizerId }: StoredContract,
  created: CreatedEvent,
  filter: EventFilter,
  offset: bigint,
): GetActiveContractsResponse['contractEntry'] {
  const last = moves.filter((move) => move.offset <= offset).at(-1);
  if (last?.kind === 'unassign') {
    const unassigned = unassignedEvent(last, filter, last);
    return { $case: 'incompleteUnassigned', value: { createdEvent: created, unassignedEvent: unassigned } };
  }
  const value = {
    createdEvent: created,
    synchronizerId: last?.target ?? synchronizerId,
    reassignmentCounter: last?.counter ?? 0n,
  };
  return { $case: 'activeContract', value };
}

type Token = { readonly offset: bigint; readonly position: bigint };

function tokenOf({ offset, position }: Token): Uint8Array {
  return Uint8Array.from(Buffer.from(`${offset}:${position}`));
}

function readToken(token: Uint8Array | undefined): Token | undefined {
  const [, offset, position] = /^(\d+):(\d+)$/.exec(Buffer.from(token ?? []).toString('utf8')) ?? [];
  return offset === undefined || position === undefined
    ? undefined
    : { offset: BigInt(offset), position: BigInt(position) };
}

/** @returns 0 without a token. @throws CantonError for one that was not given for this offset. */
function positionOf(token: Uint8Array | undefined, offset: bigint, code: string): bigint {
  if (token === undefined || token.length === 0) return 0n;
  const read = readToken(token);
  if (read?.offset === offset) return read.position;
  throw cantonError({ code, category: 'invalidRequest', text: 'The token does not belong to this request.' });
}

function createdOf(stored: StoredContract, filter: EventFilter): ReturnType<typeof createdEvent> {
  const seenBy = filter.requested(stakeholdersOf(stored.contract));
  return createdEvent(stored.contract, filter, seenBy, stored.created, !stored.isRecorded && seenBy.length > 0);
}

function contractEvents(stored: StoredContract | undefined, filter: EventFilter): GetEventsByContractIdResponse {
  const created = stored && createdOf(stored, filter);
  if (stored === undefined || created === undefined) {
    throw cantonError({
      code: 'CONTRACT_EVENTS_NOT_FOUND',
      category: 'resourceMissing',
      text: 'Contract events not found, or not visible.',
    });
  }
  const { synchronizerId, contract, archived } = stored;
  const archivedEvent = archived && {
    offset: archived.offset,
    nodeId: archived.nodeId,
    contractId: contract.contractId,
    templateId: contract.templateId,
    witnessParties: created.witnessParties,
    packageName: contract.packageName,
    implementedInterfaces: created.interfaceViews.flatMap(({ interfaceId }) =>
      interfaceId === undefined ? [] : [interfaceId],
    ),
  };
  return {
    created: { createdEvent: created, synchronizerId },
    archived: archivedEvent && { archivedEvent, synchronizerId },
  };
}
