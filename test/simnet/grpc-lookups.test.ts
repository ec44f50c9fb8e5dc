/** Look-ups and refusals over real sockets: every error with its details, as Canton encodes them. */
import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { GetEventsByContractIdRequest } from '../../src/gen/com/daml/ledger/api/v2/event_query_service.ts';
import { ListPackagesRequest } from '../../src/gen/com/daml/ledger/api/v2/package_service.ts';
import {
  GetActiveContractsRequest,
  type GetActiveContractsResponse,
  GetConnectedSynchronizersRequest,
  GetLatestPrunedOffsetsRequest,
} from '../../src/gen/com/daml/ledger/api/v2/state_service.ts';
import { EventFormat, UpdateFormat } from '../../src/gen/com/daml/ledger/api/v2/transaction_filter.ts';
import {
  GetUpdateByHashRequest,
  GetUpdateByIdRequest,
  GetUpdateByOffsetRequest,
} from '../../src/gen/com/daml/ledger/api/v2/update_service.ts';
import { GetLedgerApiVersionRequest } from '../../src/gen/com/daml/ledger/api/v2/version_service.ts';
import { formatFor } from './harness.ts';
import { detailsOf, drain, refusal, type Served, serve, transactionIds, unary } from './ledger-client.ts';

let served: Served;

beforeEach(async () => {
  served = await serve();
});

afterEach(async () => {
  await served.stop();
});

test('a begin after the ledger end is out of range and may be retried: the symptom of a restored node', async () => {
  const error = await served.streamRefusal({ beginExclusive: 1_000_000n });

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
  const error = await served.streamRefusal({ ...request });

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
            [served.network.party('treasury')]: {
              cumulative: [
                {
                  identifierFilter: {
                    $case: 'interfaceFilter',
                    value: {
                      interfaceId: { packageId, moduleName: 'Splice.Api.Token.HoldingV9', entityName },
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

  const unknownName = await served.streamRefusal({
    updateFormat: withInterface('#splice-api-token-holding-v9', 'Holding'),
  });
  const unknownEntity = await served.streamRefusal({
    updateFormat: withInterface('#splice-api-token-holding-v1', 'Nothing'),
  });
  const unknownId = await served.streamRefusal({ updateFormat: withInterface('00'.repeat(32), 'Holding') });

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
  const begin = served.node.ledgerEnd();
  const { updateId } = served.pay();

  const empty = await drain(served.getUpdates({ beginExclusive: begin, endInclusive: begin }));
  const one = await drain(served.getUpdates({ beginExclusive: begin, endInclusive: served.node.ledgerEnd() }));

  expect(empty).toEqual({ messages: [], error: undefined });
  expect(one.error).toBeUndefined();
  expect(transactionIds(one.messages)).toEqual([updateId]);
});

test('pruned history is refused with the earliest offset one can read from, on streams old and new', async () => {
  for (let index = 0; index < 3; index += 1) served.pay();
  const pruned = served.node.ledgerEnd();
  const { updateId } = served.pay();

  served.node.prune(pruned);
  const error = await served.streamRefusal({ beginExclusive: 1n });
  const begin = BigInt(detailsOf(error).info.metadata['earliest_offset'] ?? '0');
  const rest = await drain(served.getUpdates({ beginExclusive: begin, endInclusive: served.node.ledgerEnd() }));
  const offsets = await unary<{ participantPrunedUpToInclusive: bigint }>((callback) =>
    served.state.getLatestPrunedOffsets(GetLatestPrunedOffsetsRequest.fromPartial({}), callback),
  );
  const acs = await drain<GetActiveContractsResponse>(
    served.state.getActiveContracts(
      GetActiveContractsRequest.fromPartial({
        activeAtOffset: 1n,
        eventFormat: served.treasuryFormat().includeTransactions?.eventFormat,
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
  const { updateId, offsets } = served.pay();
  const offset = offsets['participant1'] ?? 0n;
  const byId = (parties: string[], id = updateId) =>
    unary<{ update?: unknown }>((callback) =>
      served.updates.getUpdateById(
        GetUpdateByIdRequest.fromPartial({ updateId: id, updateFormat: formatFor(parties) }),
        callback,
      ),
    );
  const byOffset = (at: bigint) =>
    unary<{ update?: { $case: string; value: { updateId: string } } | undefined }>((callback) =>
      served.updates.getUpdateByOffset(
        GetUpdateByOffsetRequest.fromPartial({ offset: at, updateFormat: served.treasuryFormat() }),
        callback as never,
      ),
    );

  const found = await byOffset(offset);
  const refusals = [
    await refusal(byId([served.network.party('bob')])),
    await refusal(byId([served.network.party('treasury')], `1220${'0'.repeat(64)}`)),
    await refusal(byOffset(offset + 100n)),
  ];
  const zero = await refusal(byOffset(0n));
  served.node.prune(offset);
  refusals.push(await refusal(byId([served.network.party('treasury')])), await refusal(byOffset(offset)));

  expect(found.update?.value.updateId).toBe(updateId);
  for (const error of refusals) {
    expect(error.code).toBe(status.NOT_FOUND);
    expect(detailsOf(error).info.reason).toBe('UPDATE_NOT_FOUND');
  }
  expect(detailsOf(zero).info.reason).toBe('NON_POSITIVE_OFFSET');
});

test('the event query tells creation and archival to stakeholders, and nothing to others or once pruned', async () => {
  const { receiverHoldingCids } = served.pay('5');
  const [contractId = ''] = receiverHoldingCids;
  const query = (party: string) =>
    unary<{ created?: unknown; archived?: { archivedEvent?: { contractId: string } | undefined } | undefined }>(
      (callback) =>
        served.events.getEventsByContractId(
          GetEventsByContractIdRequest.fromPartial({
            contractId,
            eventFormat: formatFor([served.network.party(party)]).includeTransactions?.eventFormat,
          }),
          callback as never,
        ),
    );

  const live = await query('treasury');
  const foreign = await refusal(query('alice'));
  served.network.merge({ instrument: 'amulet', owner: 'treasury' });
  const archived = await query('treasury');
  served.node.prune(served.node.ledgerEnd());
  const forgotten = await refusal(query('treasury'));

  expect(live.created).toBeDefined();
  expect(live.archived).toBeUndefined();
  expect(archived.archived?.archivedEvent?.contractId).toBe(contractId);
  for (const error of [foreign, forgotten]) expect(detailsOf(error).info.reason).toBe('CONTRACT_EVENTS_NOT_FOUND');
});

test('active contracts are those at the offset asked for; zero is empty; beyond the end is refused', async () => {
  served.pay('5');
  const early = served.node.ledgerEnd();
  served.pay('6');
  const late = served.node.ledgerEnd();
  const eventFormat = formatFor([served.network.party('treasury')], { wildcard: false, interfaces: ['Holding'] })
    .includeTransactions?.eventFormat;
  const active = (activeAtOffset: bigint) =>
    drain<GetActiveContractsResponse>(
      served.state.getActiveContracts(GetActiveContractsRequest.fromPartial({ activeAtOffset, eventFormat })),
    );

  const counts = (await Promise.all([0n, early, late].map(active))).map(({ messages }) => messages.length);
  const beyond = await active(late + 1_000n);

  expect(counts).toEqual([0, 1, 2]);
  expect(beyond.error && detailsOf(beyond.error).info.reason).toBe('OFFSET_AFTER_LEDGER_END');
});

test('version, packages and synchronizers are told; methods beyond are UNIMPLEMENTED', async () => {
  const version = await unary<{
    version: string;
    features?:
      | { offsetCheckpoint?: { maxOffsetCheckpointEmissionDelay?: { seconds: bigint } | undefined } | undefined }
      | undefined;
  }>((callback) => served.versions.getLedgerApiVersion(GetLedgerApiVersionRequest.fromPartial({}), callback));
  const listed = await unary<{ packageIds: string[] }>((callback) =>
    served.packages.listPackages(ListPackagesRequest.fromPartial({}), callback),
  );
  const connected = await unary<{ connectedSynchronizers: { synchronizerId: string }[] }>((callback) =>
    served.state.getConnectedSynchronizers(GetConnectedSynchronizersRequest.fromPartial({}), callback),
  );
  const byHash = await refusal(
    unary((callback) => served.updates.getUpdateByHash(GetUpdateByHashRequest.fromPartial({}), callback)),
  );

  expect(version.version).toMatch(/^3\.5\./);
  expect(version.features?.offsetCheckpoint?.maxOffsetCheckpointEmissionDelay?.seconds).toBe(75n);
  expect(listed.packageIds).toContain('718a0f77e505a8de22f188bd4c87fe74101274e9d4cb1bfac7d09aec7158d35b');
  expect(connected.connectedSynchronizers.map(({ synchronizerId }) => synchronizerId)).toEqual([
    served.network.synchronizerId,
  ]);
  expect(byHash.code).toBe(status.UNIMPLEMENTED);
});

test('a format that names nobody is refused', async () => {
  const error = await served.streamRefusal({
    updateFormat: UpdateFormat.fromPartial({
      includeTransactions: { transactionShape: 2, eventFormat: EventFormat.fromPartial({}) },
    }),
  });

  expect(error.code).toBe(status.INVALID_ARGUMENT);
});
