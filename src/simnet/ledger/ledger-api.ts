/**
 * The Ledger API of one participant as plain functions on the generated messages: what the gRPC server speaks for, and what tests call
 * without sockets. Both skins get the same answers and the same errors.
 */
import type { Clock } from '../../env/clock.ts';
import type {
  GetParticipantIdResponse,
  GetPartiesRequest,
  GetPartiesResponse,
  ListKnownPartiesResponse,
} from '../../gen/com/daml/ledger/api/v2/admin/party_management_service.ts';
import type {
  CompletionStreamRequest,
  CompletionStreamResponse,
  GetCompletionsRequest,
} from '../../gen/com/daml/ledger/api/v2/command_completion_service.ts';
import type { Completion } from '../../gen/com/daml/ledger/api/v2/completion.ts';
import type {
  GetEventsByContractIdRequest,
  GetEventsByContractIdResponse,
} from '../../gen/com/daml/ledger/api/v2/event_query_service.ts';
import {
  type GetPackageStatusRequest,
  type GetPackageStatusResponse,
  type ListPackagesResponse,
  PackageStatus,
} from '../../gen/com/daml/ledger/api/v2/package_service.ts';
import {
  type GetActiveContractsPageRequest,
  type GetActiveContractsPageResponse,
  type GetActiveContractsRequest,
  type GetActiveContractsResponse,
  type GetConnectedSynchronizersRequest,
  type GetConnectedSynchronizersResponse,
  type GetLatestPrunedOffsetsResponse,
  type GetLedgerEndResponse,
  ParticipantPermission,
} from '../../gen/com/daml/ledger/api/v2/state_service.ts';
import {
  type TransactionFormat,
  TransactionShape,
  type UpdateFormat,
} from '../../gen/com/daml/ledger/api/v2/transaction_filter.ts';
import type {
  GetUpdateByIdRequest,
  GetUpdateByOffsetRequest,
  GetUpdateResponse,
  GetUpdatesPageRequest,
  GetUpdatesPageResponse,
  GetUpdatesRequest,
  GetUpdatesResponse,
} from '../../gen/com/daml/ledger/api/v2/update_service.ts';
import { GetLedgerApiVersionResponse } from '../../gen/com/daml/ledger/api/v2/version_service.ts';
import type { CompletionLog } from '../submission/completions.ts';
import { completionFilter, type SubmissionApi } from '../submission/submission-api.ts';
import { createActiveContracts } from './active-contracts.ts';
import type { CallName } from './call-name.ts';
import { cantonError, isCantonError } from './canton-error.ts';
import { missingField, resolveEventFormat } from './event-filter.ts';
import type { Faults } from './faults.ts';
import { sha256Hex } from './ids.ts';
import { requireNonNegative, requireNotAfterEnd, requirePositive, requireUnpruned } from './offset-validation.ts';
import type { PackageDirectory } from './package-directory.ts';
import type { ParticipantHistory } from './participant-history.ts';
import { projectTransaction, type Shape } from './projection.ts';
import { isReassignment, projectReassignment } from './reassignment-projection.ts';
import type { ParticipantUpdate } from './update.ts';
import { requireEnd, requireRange, streamDescending, updatesPage } from './update-pages.ts';
import { type CheckpointCadence, streamOffsets, streamUpdates } from './update-stream.ts';

export type CallOptions = {
  readonly signal?: AbortSignal;
  /** Bearer token of the caller. */
  readonly token?: string;
  /** W3C trace context of the caller. */
  readonly traceParent?: string;
};

/** Unary calls reject, streams throw from their iterator, both with a CantonError. */
export type LedgerApi = SubmissionApi & {
  completionStream(request: CompletionStreamRequest, options?: CallOptions): AsyncIterable<CompletionStreamResponse>;
  /** Completions of all users. */
  getCompletions(request: GetCompletionsRequest, options?: CallOptions): AsyncIterable<CompletionStreamResponse>;
  getUpdates(request: GetUpdatesRequest, options?: CallOptions): AsyncIterable<GetUpdatesResponse>;
  getUpdatesPage(request: GetUpdatesPageRequest, options?: CallOptions): Promise<GetUpdatesPageResponse>;
  getUpdateByOffset(request: GetUpdateByOffsetRequest, options?: CallOptions): Promise<GetUpdateResponse>;
  getUpdateById(request: GetUpdateByIdRequest, options?: CallOptions): Promise<GetUpdateResponse>;
  getLedgerEnd(options?: CallOptions): Promise<GetLedgerEndResponse>;
  getActiveContracts(
    request: GetActiveContractsRequest,
    options?: CallOptions,
  ): AsyncIterable<GetActiveContractsResponse>;
  getActiveContractsPage(
    request: GetActiveContractsPageRequest,
    options?: CallOptions,
  ): Promise<GetActiveContractsPageResponse>;
  getLatestPrunedOffsets(options?: CallOptions): Promise<GetLatestPrunedOffsetsResponse>;
  getConnectedSynchronizers(
    request: GetConnectedSynchronizersRequest,
    options?: CallOptions,
  ): Promise<GetConnectedSynchronizersResponse>;
  getEventsByContractId(
    request: GetEventsByContractIdRequest,
    options?: CallOptions,
  ): Promise<GetEventsByContractIdResponse>;
  getLedgerApiVersion(options?: CallOptions): Promise<GetLedgerApiVersionResponse>;
  listPackages(options?: CallOptions): Promise<ListPackagesResponse>;
  getPackageStatus(request: GetPackageStatusRequest, options?: CallOptions): Promise<GetPackageStatusResponse>;
  getParticipantId(options?: CallOptions): Promise<GetParticipantIdResponse>;
  getParties(request: GetPartiesRequest, options?: CallOptions): Promise<GetPartiesResponse>;
  listKnownParties(options?: CallOptions): Promise<ListKnownPartiesResponse>;
};

export type LedgerApiOptions = {
  readonly participantId: string;
  readonly history: ParticipantHistory;
  readonly packages: PackageDirectory;
  /** Name and id of those that the participant is connected to. */
  readonly synchronizers: () => readonly { readonly name: string; readonly synchronizerId: string }[];
  /** What the participant has reached, per synchronizer. */
  readonly recordTimes: () => ReadonlyMap<string, bigint>;
  readonly faults: Faults;
  readonly clock: Clock;
  readonly cadence: CheckpointCadence;
  /** Every party of the network, hosted here or not. */
  readonly knownParties: () => readonly string[];
  readonly submissions: SubmissionApi;
  readonly completions: CompletionLog;
};

const LEDGER_API_VERSION = '3.5.10';

export function createLedgerApi(context: LedgerApiOptions): LedgerApi {
  const { participantId, history, packages, synchronizers, faults, clock, cadence, knownParties } = context;
  const { submissions, completions, recordTimes } = context;
  const isActiveVisible = (party: string): boolean =>
    history.isHosted(party) && !faults.isHiddenParty(party, 'activeContracts');
  const activeContracts = createActiveContracts({ history, packages, faults, isVisible: isActiveVisible });
  let requests = 0;

  /** Errors carry the id under which the node would have logged the request. */
  const withRequestId = (error: unknown): unknown => {
    if (!isCantonError(error)) return error;
    requests += 1;
    return cantonError({ ...error.refusal, requestId: sha256Hex(participantId, String(requests)).slice(0, 32) });
  };
  const answer = async <T>(call: CallName, options: CallOptions | undefined, compute: () => T): Promise<T> => {
    await faults.answering(options?.signal);
    try {
      faults.admit(call);
      return compute();
    } catch (error) {
      throw withRequestId(error);
    }
  };
  const answerWith =
    <Request, Response>(call: CallName, handler: (request: Request, options?: CallOptions) => Promise<Response>) =>
    async (request: Request, options?: CallOptions): Promise<Response> => {
      await faults.answering(options?.signal);
      try {
        faults.admit(call);
        return await handler(request, options);
      } catch (error) {
        throw withRequestId(error);
      }
    };
  const answerEach = async function* <T>(
    call: CallName,
    start: () => AsyncIterable<T>,
  ): AsyncGenerator<T, void, undefined> {
    try {
      faults.admit(call);
      yield* start();
    } catch (error) {
      throw withRequestId(error);
    }
  };
  const partyDetails = (party: string) => ({
    party,
    isLocal: history.isHosted(party),
    localMetadata: undefined,
    identityProviderId: '',
  });

  const projector = (
    format: UpdateFormat | undefined,
  ): ((update: ParticipantUpdate) => GetUpdatesResponse | undefined) => {
    if (format === undefined) throw missingField('update_format');
    const { includeTransactions, includeReassignments } = format;
    const moves = includeReassignments && resolveEventFormat(includeReassignments, packages, isVisible);
    const transactions = includeTransactions && transactionFilter(includeTransactions);
    return (stored) => {
      if (faults.isHidden(stored.update.updateId)) return undefined;
      if (isReassignment(stored)) {
        const value = moves && projectReassignment(stored, moves);
        return value && { update: { $case: 'reassignment', value } };
      }
      const value = transactions && projectTransaction(stored, transactions.filter, transactions.shape, participantId);
      return value && faults.sized({ update: { $case: 'transaction', value } });
    };
  };
  const transactionFilter = ({ eventFormat, transactionShape }: TransactionFormat) => {
    if (eventFormat === undefined) throw missingField('event_format');
    return { filter: resolveEventFormat(eventFormat, packages, isVisible), shape: shapeOf(transactionShape) };
  };
  const isVisible = (party: string): boolean => history.isHosted(party) && !faults.isHiddenParty(party, 'updates');
  const found = (stored: ParticipantUpdate | undefined, format: UpdateFormat | undefined): GetUpdateResponse => {
    const update = stored && projector(format)(stored)?.update;
    if (update !== undefined && update.$case !== 'offsetCheckpoint') return { update };
    throw cantonError({
      code: 'UPDATE_NOT_FOUND',
      category: 'resourceMissing',
      text: 'Update not found, or not visible.',
    });
  };

  const streamCompletions = (
    beginExclusive: bigint,
    isWanted: (completion: Completion) => boolean,
    client: AbortSignal | undefined,
  ): AsyncIterable<CompletionStreamResponse> => {
    requireNonNegative(beginExclusive, 'begin_exclusive');
    requireNotAfterEnd(beginExclusive, 'Begin', history);
    const checkPruning = (offset: bigint): void =>
      requireUnpruned(offset, `Command completions request from ${offset}`, history);
    checkPruning(beginExclusive);
    return streamOffsets({
      history,
      recordTimes,
      faults,
      clock,
      cadence,
      beginExclusive,
      endInclusive: undefined,
      next: (position) => completions.next(position, isWanted),
      checkpoint: (value) => ({ completionResponse: { $case: 'offsetCheckpoint', value } }),
      requireUnpruned: checkPruning,
      client,
    });
  };

  return {
    prepareSubmission: answerWith('prepareSubmission', submissions.prepareSubmission),
    executeSubmission: answerWith('executeSubmission', submissions.executeSubmission),
    executeSubmissionAndWait: answerWith('executeSubmissionAndWait', submissions.executeSubmissionAndWait),
    getPreferredPackages: answerWith('getPreferredPackages', submissions.getPreferredPackages),
    completionStream: (request, options) =>
      answerEach('completionStream', () => {
        if (request.userId === '') throw missingField('user_id');
        if (request.parties.length === 0) throw missingField('parties');
        return streamCompletions(request.beginExclusive, completionFilter(request), options?.signal);
      }),
    getCompletions: (request, options) =>
      answerEach('getCompletions', () =>
        streamCompletions(request.beginExclusive, completionFilter({ parties: request.parties }), options?.signal),
      ),
    getUpdates: (request, options) =>
      answerEach('getUpdates', () => {
        const { beginExclusive, endInclusive, descendingOrder } = request;
        const project = projector(request.updateFormat);
        const lastOffset = descendingOrder ? requireEnd(endInclusive) : undefined;
        requireRange({ beginExclusive, endInclusive }, history);
        if (lastOffset !== undefined) {
          const range = { beginExclusive, endInclusive: lastOffset };
          return streamDescending({ range, history, faults, project, client: options?.signal });
        }
        return streamUpdates({
          history,
          recordTimes,
          faults,
          clock,
          cadence,
          beginExclusive,
          endInclusive,
          project,
          requireUnpruned: (offset) => requireUnpruned(offset, `Transactions request from ${offset}`, history),
          client: options?.signal,
        });
      }),
    getUpdatesPage: (request, options) =>
      answer('getUpdatesPage', options, () => updatesPage(request, history, projector(request.updateFormat))),
    getUpdateByOffset: ({ offset, updateFormat }, options) =>
      answer('getUpdateByOffset', options, () => {
        requirePositive(offset, 'offset');
        // Look-ups know no pruning error: what is pruned, and what is yet to come, is not found.
        return found(history.atOffset(offset), updateFormat);
      }),
    getUpdateById: ({ updateId, updateFormat }, options) =>
      answer('getUpdateById', options, () => {
        if (updateId === '') throw missingField('update_id');
        return found(history.byUpdateId(updateId), updateFormat);
      }),
    getLedgerEnd: (options) =>
      answer('getLedgerEnd', options, () => ({
        offset: history.ledgerEnd(),
        synchronizerTimes: [],
      })),
    getActiveContracts: (request, options) =>
      answerEach('getActiveContracts', () => activeContracts.stream(request, options?.signal)),
    getActiveContractsPage: (request, options) =>
      answer('getActiveContractsPage', options, () => activeContracts.page(request)),
    getLatestPrunedOffsets: (options) =>
      answer('getLatestPrunedOffsets', options, () => ({
        participantPrunedUpToInclusive: history.prunedUpTo(),
        allDivulgedContractsPrunedUpToInclusive: 0n,
      })),
    getConnectedSynchronizers: ({ party }, options) =>
      answer('getConnectedSynchronizers', options, () => ({
        connectedSynchronizers:
          party !== '' && !history.isHosted(party)
            ? []
            : synchronizers().map(({ name, synchronizerId }) => ({
                synchronizerAlias: name,
                synchronizerId,
                permission: ParticipantPermission.PARTICIPANT_PERMISSION_SUBMISSION,
              })),
      })),
    getEventsByContractId: ({ contractId, eventFormat }, options) =>
      answer('getEventsByContractId', options, () => activeContracts.eventsOf(contractId, eventFormat)),
    getLedgerApiVersion: (options) =>
      answer('getLedgerApiVersion', options, () =>
        GetLedgerApiVersionResponse.fromPartial({
          version: LEDGER_API_VERSION,
          features: {
            offsetCheckpoint: { maxOffsetCheckpointEmissionDelay: durationOf(cadence.busyMs + cadence.idleMs) },
          },
        }),
      ),
    listPackages: (options) => answer('listPackages', options, () => ({ packageIds: [...packages.packageIds()] })),
    getPackageStatus: ({ packageId }, options) =>
      answer('getPackageStatus', options, () => ({
        packageStatus: packages.packageIds().includes(packageId)
          ? PackageStatus.PACKAGE_STATUS_REGISTERED
          : PackageStatus.PACKAGE_STATUS_UNSPECIFIED,
      })),
    getParticipantId: (options) => answer('getParticipantId', options, () => ({ participantId })),
    getParties: ({ parties }, options) =>
      answer('getParties', options, () => ({
        partyDetails: knownParties()
          .filter((party) => parties.includes(party))
          .map(partyDetails),
      })),
    listKnownParties: (options) =>
      answer('listKnownParties', options, () => ({
        partyDetails: knownParties().map(partyDetails),
        nextPageToken: '',
      })),
  };
}

function shapeOf(shape: TransactionShape): Shape {
  switch (shape) {
    case TransactionShape.TRANSACTION_SHAPE_ACS_DELTA:
      return 'acsDelta';
    case TransactionShape.TRANSACTION_SHAPE_LEDGER_EFFECTS:
      return 'ledgerEffects';
    default:
      throw missingField('transaction_shape');
  }
}

function durationOf(ms: number): { seconds: bigint; nanos: number } {
  return { seconds: BigInt(Math.trunc(ms / 1_000)), nanos: (ms % 1_000) * 1_000_000 };
}
