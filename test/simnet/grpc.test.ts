/** The Ledger API over real sockets: every error with its details, streams that are cancelled, cut, doubled, late or stalled. */
import { type ClientReadableStream, credentials, type ServiceError, status } from '@grpc/grpc-js';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createSeededRandom } from '../../src/env/random.ts';
import { systemClock } from '../../src/env/system.ts';
import {
  EventQueryServiceClient,
  GetEventsByContractIdRequest,
} from '../../src/gen/com/daml/ledger/api/v2/event_query_service.ts';
import { ListPackagesRequest, PackageServiceClient } from '../../src/gen/com/daml/ledger/api/v2/package_service.ts';
import {
  GetActiveContractsRequest,
  type GetActiveContractsResponse,
  GetConnectedSynchronizersRequest,
  GetLatestPrunedOffsetsRequest,
  GetLedgerEndRequest,
  StateServiceClient,
} from '../../src/gen/com/daml/ledger/api/v2/state_service.ts';
import { EventFormat, UpdateFormat } from '../../src/gen/com/daml/ledger/api/v2/transaction_filter.ts';
import {
  GetUpdateByIdRequest,
  GetUpdateByOffsetRequest,
  GetUpdatesPageRequest,
  GetUpdatesRequest,
  type GetUpdatesResponse,
  UpdateServiceClient,
} from '../../src/gen/com/daml/ledger/api/v2/update_service.ts';
import {
  GetLedgerApiVersionRequest,
  VersionServiceClient,
} from '../../src/gen/com/daml/ledger/api/v2/version_service.ts';
import { ErrorInfo, RequestInfo, RetryInfo } from '../../src/gen/google/rpc/error_details.ts';
import { Status } from '../../src/gen/google/rpc/status.ts';
import type { Network } from '../../src/simnet/network.ts';
import { type Simnet, startSimnet } from '../../src/simnet/simnet.ts';
import { formatFor, silentLogger, waitFor } from './harness.ts';

let simnet: Simnet;
let network: Network;
let updates: UpdateServiceClient;
let state: StateServiceClient;
let events: EventQueryServiceClient;
let versions: VersionServiceClient;
let packages: PackageServiceClient;

beforeEach(async () => {
  simnet = await startSimnet({ seed: 'grpc', clock: systemClock, random: createSeededRandom(2), logger: silentLogger });
  network = simnet.network;
  const address = simnet.participants[0]?.grpcAddress ?? '';
  updates = new UpdateServiceClient(address, credentials.createInsecure());
  state = new StateServiceClient(address, credentials.createInsecure());
  events = new EventQueryServiceClient(address, credentials.createInsecure());
  versions = new VersionServiceClient(address, credentials.createInsecure());
  packages = new PackageServiceClient(address, credentials.createInsecure());
  network.tap({ instrument: 'amulet', owner: 'alice', amount: '1000' });
});

afterEach(async () => {
  for (const client of [updates, state, events, versions, packages]) client.close();
  await simnet.stop();
});

const node = () => {
  const [first] = network.participants;
  if (first === undefined) throw new Error('The network has no participant.');
  return first;
};
const treasuryFormat = () => formatFor([network.party('treasury')]);
const pay = (amount = '1') => network.transfer({ instrument: 'amulet', sender: 'alice', receiver: 'treasury', amount });

function unary<Response>(
  call: (callback: (error: ServiceError | null, response: Response) => void) => unknown,
): Promise<Response> {
  return new Promise((resolve, reject) => call((error, response) => (error ? reject(error) : resolve(response))));
}

/** Reads a stream until it ends or fails. */
function drain<Message>(
  stream: ClientReadableStream<Message>,
): Promise<{ messages: Message[]; error: ServiceError | undefined }> {
  const messages: Message[] = [];
  return new Promise((resolve) => {
    stream.on('data', (message: Message) => messages.push(message));
    stream.once('error', (error) => resolve({ messages, error: error as unknown as ServiceError }));
    stream.once('end', () => resolve({ messages, error: undefined }));
  });
}

async function refusal(promise: Promise<unknown>): Promise<ServiceError> {
  try {
    await promise;
  } catch (error) {
    return error as ServiceError;
  }
  throw new Error('It was not refused.');
}

const getUpdates = (request: Parameters<typeof GetUpdatesRequest.fromPartial>[0]) =>
  updates.getUpdates(GetUpdatesRequest.fromPartial({ updateFormat: treasuryFormat(), ...request }));

const streamRefusal = async (request: Parameters<typeof GetUpdatesRequest.fromPartial>[0]): Promise<ServiceError> => {
  const { error } = await drain(getUpdates(request));
  if (error === undefined) throw new Error('It was not refused.');
  return error;
};

/** The details of an error in their order, decoded. */
function detailsOf(error: ServiceError) {
  const [bytes] = error.metadata.get('grpc-status-details-bin');
  const details = Status.decode(bytes as Buffer);
  const types = details.details.map(({ typeUrl }) => typeUrl.split('.').at(-1));
  const find = (type: string): Uint8Array => details.details[types.indexOf(type)]?.value ?? new Uint8Array();
  return {
    types,
    status: details,
    info: ErrorInfo.decode(find('ErrorInfo')),
    retry: RetryInfo.decode(find('RetryInfo')),
    request: RequestInfo.decode(find('RequestInfo')),
  };
}

function transactionIds(messages: readonly GetUpdatesResponse[]): string[] {
  return messages.flatMap(({ update }) => (update?.$case === 'transaction' ? [update.value.updateId] : []));
}

test('an endless stream delivers transfers made before and after it was opened, in order', async () => {
  const first = pay();
  const call = getUpdates({});
  const seen: string[] = [];
  call.on('data', (message: GetUpdatesResponse) => seen.push(...transactionIds([message])));
  call.on('error', () => undefined);
  await waitFor(() => seen.includes(first.updateId));

  const second = pay();
  await waitFor(() => seen.includes(second.updateId));

  expect(seen.indexOf(first.updateId)).toBeLessThan(seen.indexOf(second.updateId));
  call.cancel();
});

test('a begin after the ledger end is out of range and may be retried: the symptom of a restored node', async () => {
  const error = await streamRefusal({ beginExclusive: 1_000_000n });

  const { types, info, retry, request } = detailsOf(error);
  expect(error.code).toBe(status.OUT_OF_RANGE);
  expect(error.details).toMatch(
    /^OFFSET_AFTER_LEDGER_END\(12,[0-9a-f]{8}\): Begin offset \(1000000\) is after ledger end \(\d+\)$/,
  );
  expect(types).toEqual(['ErrorInfo', 'RetryInfo', 'RequestInfo']);
  expect(info).toMatchObject({ reason: 'OFFSET_AFTER_LEDGER_END', domain: '', metadata: { category: '12' } });
  expect(retry.retryDelay?.seconds).toBe(1n);
  expect(request.requestId).toMatch(/^[0-9a-f]{32}$/);
});

test.each([
  ['end after the ledger end', { endInclusive: 1_000_000n }, status.OUT_OF_RANGE, 'OFFSET_AFTER_LEDGER_END'],
  ['end before begin', { beginExclusive: 3n, endInclusive: 2n }, status.FAILED_PRECONDITION, 'OFFSET_OUT_OF_RANGE'],
  ['negative begin', { beginExclusive: -1n }, status.INVALID_ARGUMENT, 'NEGATIVE_OFFSET'],
  ['end of zero', { endInclusive: 0n }, status.INVALID_ARGUMENT, 'NON_POSITIVE_OFFSET'],
  ['missing format', { updateFormat: undefined }, status.INVALID_ARGUMENT, 'MISSING_FIELD'],
] as const)('GetUpdates with %s is refused', async (_name, request, code, reason) => {
  const error = await streamRefusal({ ...request });

  const { info, types } = detailsOf(error);
  expect(error.code).toBe(code);
  expect(info.reason).toBe(reason);
  expect(types.includes('RetryInfo')).toBe(reason === 'OFFSET_AFTER_LEDGER_END');
});

test('a filter on a package, or on a template, that the node does not know is refused as not found', async () => {
  const withInterface = (packageId: string, entityName: string) =>
    UpdateFormat.fromPartial({
      includeTransactions: {
        transactionShape: 2,
        eventFormat: {
          filtersByParty: {
            [network.party('treasury')]: {
              cumulative: [
                {
                  identifierFilter: {
                    $case: 'interfaceFilter',
                    value: {
                      interfaceId: { packageId, moduleName: 'Splice.Api.Token.HoldingV2', entityName },
                      includeInterfaceView: true,
                    },
                  },
                },
              ],
            },
          },
        },
      },
    });

  const unknownName = await streamRefusal({ updateFormat: withInterface('#splice-api-token-holding-v2', 'Holding') });
  const unknownEntity = await streamRefusal({ updateFormat: withInterface('#splice-api-token-holding-v1', 'Nothing') });
  const unknownId = await streamRefusal({ updateFormat: withInterface('00'.repeat(32), 'Holding') });

  expect([unknownName, unknownEntity, unknownId].map(({ code }) => code)).toEqual([
    status.NOT_FOUND,
    status.NOT_FOUND,
    status.NOT_FOUND,
  ]);
  expect(detailsOf(unknownName).info.reason).toBe('PACKAGE_NAMES_NOT_FOUND');
  expect(detailsOf(unknownEntity).info.reason).toBe('TEMPLATES_OR_INTERFACES_NOT_FOUND');
  expect(detailsOf(unknownId).info.reason).toBe('TEMPLATES_OR_INTERFACES_NOT_FOUND');
});

test('begin equal to end completes at once, empty; a finite range completes with its updates', async () => {
  const begin = node().ledgerEnd();
  const { updateId } = pay();

  const empty = await drain(getUpdates({ beginExclusive: begin, endInclusive: begin }));
  const one = await drain(getUpdates({ beginExclusive: begin, endInclusive: node().ledgerEnd() }));

  expect(empty).toEqual({ messages: [], error: undefined });
  expect(one.error).toBeUndefined();
  expect(transactionIds(one.messages)).toEqual([updateId]);
});

test('pruned history is refused with the earliest offset one can read from, on streams old and new', async () => {
  for (let index = 0; index < 3; index += 1) pay();
  const pruned = node().ledgerEnd();
  const { updateId } = pay();

  node().prune(pruned);
  const error = await streamRefusal({ beginExclusive: 1n });
  const begin = BigInt(detailsOf(error).info.metadata['earliest_offset'] ?? '0');
  const rest = await drain(getUpdates({ beginExclusive: begin, endInclusive: node().ledgerEnd() }));
  const offsets = await unary<{ participantPrunedUpToInclusive: bigint }>((callback) =>
    state.getLatestPrunedOffsets(GetLatestPrunedOffsetsRequest.fromPartial({}), callback),
  );
  const acs = await drain<GetActiveContractsResponse>(
    state.getActiveContracts(
      GetActiveContractsRequest.fromPartial({
        activeAtOffset: 1n,
        eventFormat: treasuryFormat().includeTransactions?.eventFormat,
      }),
    ),
  );

  expect(error.code).toBe(status.FAILED_PRECONDITION);
  expect(detailsOf(error).info.reason).toBe('PARTICIPANT_PRUNED_DATA_ACCESSED');
  expect(begin).toBe(pruned);
  expect(transactionIds(rest.messages)).toEqual([updateId]);
  expect(offsets.participantPrunedUpToInclusive).toBe(pruned);
  expect(acs.error && detailsOf(acs.error).info.reason).toBe('PARTICIPANT_PRUNED_DATA_ACCESSED');
});

test('an update is found by id and by offset, and not found by those who may not see it, before it is there, or once pruned', async () => {
  const { updateId, offsets } = pay();
  const offset = offsets['participant1'] ?? 0n;
  const byId = (parties: string[], id = updateId) =>
    unary<{ update?: unknown }>((callback) =>
      updates.getUpdateById(
        GetUpdateByIdRequest.fromPartial({ updateId: id, updateFormat: formatFor(parties) }),
        callback,
      ),
    );
  const byOffset = (at: bigint) =>
    unary<{ update?: { $case: string; value: { updateId: string } } | undefined }>((callback) =>
      updates.getUpdateByOffset(
        GetUpdateByOffsetRequest.fromPartial({ offset: at, updateFormat: treasuryFormat() }),
        callback as never,
      ),
    );

  const found = await byOffset(offset);
  const refusals = [
    await refusal(byId([network.party('bob')])),
    await refusal(byId([network.party('treasury')], `1220${'0'.repeat(64)}`)),
    await refusal(byOffset(offset + 100n)),
  ];
  const zero = await refusal(byOffset(0n));
  node().prune(offset);
  refusals.push(await refusal(byId([network.party('treasury')])), await refusal(byOffset(offset)));

  expect(found.update?.value.updateId).toBe(updateId);
  for (const error of refusals) {
    expect(error.code).toBe(status.NOT_FOUND);
    expect(detailsOf(error).info.reason).toBe('UPDATE_NOT_FOUND');
  }
  expect(detailsOf(zero).info.reason).toBe('NON_POSITIVE_OFFSET');
});

test('the event query tells creation and archival to stakeholders, and nothing to others or once pruned', async () => {
  const { receiverHoldingCids } = pay('5');
  const [contractId = ''] = receiverHoldingCids;
  const query = (party: string) =>
    unary<{ created?: unknown; archived?: { archivedEvent?: { contractId: string } | undefined } | undefined }>(
      (callback) =>
        events.getEventsByContractId(
          GetEventsByContractIdRequest.fromPartial({
            contractId,
            eventFormat: formatFor([network.party(party)]).includeTransactions?.eventFormat,
          }),
          callback as never,
        ),
    );

  const live = await query('treasury');
  const foreign = await refusal(query('alice'));
  network.merge({ instrument: 'amulet', owner: 'treasury' });
  const archived = await query('treasury');
  node().prune(node().ledgerEnd());
  const forgotten = await refusal(query('treasury'));

  expect(live.created).toBeDefined();
  expect(live.archived).toBeUndefined();
  expect(archived.archived?.archivedEvent?.contractId).toBe(contractId);
  for (const error of [foreign, forgotten]) expect(detailsOf(error).info.reason).toBe('CONTRACT_EVENTS_NOT_FOUND');
});

test('active contracts are those at the offset asked for; zero is empty; beyond the end is refused', async () => {
  pay('5');
  const early = node().ledgerEnd();
  pay('6');
  const late = node().ledgerEnd();
  const eventFormat = formatFor([network.party('treasury')], { wildcard: false, interfaces: ['Holding'] })
    .includeTransactions?.eventFormat;
  const active = (activeAtOffset: bigint) =>
    drain<GetActiveContractsResponse>(
      state.getActiveContracts(GetActiveContractsRequest.fromPartial({ activeAtOffset, eventFormat })),
    );

  const counts = (await Promise.all([0n, early, late].map(active))).map(({ messages }) => messages.length);
  const beyond = await active(late + 1_000n);

  expect(counts).toEqual([0, 1, 2]);
  expect(beyond.error && detailsOf(beyond.error).info.reason).toBe('OFFSET_AFTER_LEDGER_END');
});

test('cancelling a stream, and breaking the connection, leave no stream behind', async () => {
  const calls = [getUpdates({}), getUpdates({})];
  for (const call of calls) {
    call.on('data', () => undefined);
    call.on('error', () => undefined);
  }
  const other = new UpdateServiceClient(simnet.participants[0]?.grpcAddress ?? '', credentials.createInsecure(), {
    'grpc.use_local_subchannel_pool': 1,
  });
  const cut = other.getUpdates(GetUpdatesRequest.fromPartial({ updateFormat: treasuryFormat() }));
  cut.on('data', () => undefined);
  cut.on('error', () => undefined);
  await waitFor(() => node().faults.openStreams() === 3);

  for (const call of calls) call.cancel();
  cut.cancel();
  other.close();

  await waitFor(() => node().faults.openStreams() === 0);
});

test('a reader that does not read holds the server back instead of filling its memory', async () => {
  const memo = 'x'.repeat(200_000);
  for (let index = 0; index < 60; index += 1) {
    network.transfer({ instrument: 'amulet', sender: 'alice', receiver: 'treasury', amount: '0.01', memo });
  }
  const endInclusive = node().ledgerEnd();

  const call = getUpdates({ endInclusive });
  call.pause();
  await systemClock.sleep(300);
  const stillOpen = node().faults.openStreams();
  const all = drain(call);
  call.resume();
  const { messages, error } = await all;

  // A stream that had been written out completely would be closed by now: it holds far more than any window.
  expect(stillOpen).toBe(1);
  expect(error).toBeUndefined();
  expect(transactionIds(messages).length).toBeGreaterThan(60);
});

test('streams can be ended cleanly and failed with any error of Canton, redacted where Canton redacts', async () => {
  const clean = drain(getUpdates({}));
  await waitFor(() => node().faults.openStreams() === 1);
  expect(node().faults.endStreams()).toBe(1);
  expect((await clean).error).toBeUndefined();

  const expired = drain(getUpdates({}));
  await waitFor(() => node().faults.openStreams() === 1);
  node().faults.abortStreams({ code: 'ACCESS_TOKEN_EXPIRED', category: 'contention', text: 'access token expired' });
  const { error } = await expired;
  expect(error?.code).toBe(status.ABORTED);
  expect(error && detailsOf(error).info.reason).toBe('ACCESS_TOKEN_EXPIRED');

  const internal = drain(getUpdates({}));
  await waitFor(() => node().faults.openStreams() === 1);
  node().faults.abortStreams({ code: 'SECRET_CODE', category: 'internal', text: 'secret text' });
  const redacted = (await internal).error;
  expect(redacted?.code).toBe(status.INTERNAL);
  expect(redacted?.details).toMatch(
    /^An error occurred\. Please contact the operator and inquire about the request [0-9a-f]{32} with tid <no-tid>$/,
  );
  expect(redacted && detailsOf(redacted).types).toEqual(['RequestInfo']);
});

test('a message can be delivered twice, late, or not until the node answers again', async () => {
  const call = getUpdates({ beginExclusive: node().ledgerEnd() });
  const seen: string[] = [];
  call.on('data', (message: GetUpdatesResponse) => seen.push(...transactionIds([message])));
  call.on('error', () => undefined);
  await waitFor(() => node().faults.openStreams() === 1);

  node().faults.duplicateNext(1);
  const twice = pay();
  const once = pay();
  await waitFor(() => seen.length === 3);
  expect(seen).toEqual([twice.updateId, twice.updateId, once.updateId]);

  node().faults.stall();
  pay();
  const end = unary<unknown>((callback) => state.getLedgerEnd(GetLedgerEndRequest.fromPartial({}), callback));
  let isAnswered = false;
  void end.then(() => {
    isAnswered = true;
  });
  await systemClock.sleep(50);
  expect([seen.length, isAnswered]).toEqual([3, false]);
  node().faults.resume();
  await waitFor(() => seen.length === 4 && isAnswered);

  node().faults.delayDelivery(60);
  const before = performance.now();
  pay();
  await waitFor(() => seen.length === 5);
  expect(performance.now() - before).toBeGreaterThan(55);
  call.cancel();
});

test('version, packages and synchronizers are told; methods beyond are UNIMPLEMENTED', async () => {
  const version = await unary<{
    version: string;
    features?:
      | { offsetCheckpoint?: { maxOffsetCheckpointEmissionDelay?: { seconds: bigint } | undefined } | undefined }
      | undefined;
  }>((callback) => versions.getLedgerApiVersion(GetLedgerApiVersionRequest.fromPartial({}), callback));
  const listed = await unary<{ packageIds: string[] }>((callback) =>
    packages.listPackages(ListPackagesRequest.fromPartial({}), callback),
  );
  const connected = await unary<{ connectedSynchronizers: { synchronizerId: string }[] }>((callback) =>
    state.getConnectedSynchronizers(GetConnectedSynchronizersRequest.fromPartial({}), callback),
  );
  const page = await refusal(
    unary((callback) => updates.getUpdatesPage(GetUpdatesPageRequest.fromPartial({}), callback)),
  );

  expect(version.version).toMatch(/^3\.5\./);
  expect(version.features?.offsetCheckpoint?.maxOffsetCheckpointEmissionDelay?.seconds).toBe(75n);
  expect(listed.packageIds).toContain('718a0f77e505a8de22f188bd4c87fe74101274e9d4cb1bfac7d09aec7158d35b');
  expect(connected.connectedSynchronizers.map(({ synchronizerId }) => synchronizerId)).toEqual([
    network.synchronizerId,
  ]);
  expect(page.code).toBe(status.UNIMPLEMENTED);
});

test('a format that names nobody is refused', async () => {
  const error = await streamRefusal({
    updateFormat: UpdateFormat.fromPartial({
      includeTransactions: { transactionShape: 2, eventFormat: EventFormat.fromPartial({}) },
    }),
  });

  expect(error.code).toBe(status.INVALID_ARGUMENT);
});
