/** Several synchronizers, and contracts that move between them, as readers over gRPC see it. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { timestampToMicros } from '../../src/env/clock.ts';
import {
  GetActiveContractsRequest,
  type GetActiveContractsResponse,
  type GetConnectedSynchronizersResponse,
} from '../../src/gen/com/daml/ledger/api/v2/state_service.ts';
import { UpdateFormat } from '../../src/gen/com/daml/ledger/api/v2/transaction_filter.ts';
import { GetUpdatesRequest, type GetUpdatesResponse } from '../../src/gen/com/daml/ledger/api/v2/update_service.ts';
import { holdingsOf } from '../../src/simnet/network-commands.ts';
import { waitFor } from './harness.ts';
import { drain, type Served, serve, unary } from './ledger-client.ts';

let served: Served;

beforeEach(async () => {
  served = await serve({ checkpoints: { busyMs: 20, idleMs: 20 } });
  served.network.addSynchronizer('private');
  served.pay('5');
});

afterEach(async () => {
  await served.stop();
});

const holding = () => {
  const { ledger, party, instrument } = served.network;
  const [found] = holdingsOf(ledger.contracts, party('treasury'), instrument('amulet'));
  if (found === undefined) throw new Error('The treasury has nothing.');
  return found.contractId;
};
const eventFormat = () => served.treasuryFormat().includeTransactions?.eventFormat;
const read = async (begin: bigint, updateFormat: UpdateFormat) => {
  const { messages } = await drain<GetUpdatesResponse>(
    served.updates.getUpdates(
      GetUpdatesRequest.fromPartial({ beginExclusive: begin, endInclusive: served.node.ledgerEnd(), updateFormat }),
    ),
  );
  // A slow machine gets checkpoints between them.
  return messages.flatMap(({ update }) =>
    update === undefined || update.$case === 'offsetCheckpoint' ? [] : [update],
  );
};
const entryAt = async (offset: bigint, contractId: string) => {
  const { messages } = await drain<GetActiveContractsResponse>(
    served.state.getActiveContracts(
      GetActiveContractsRequest.fromPartial({ activeAtOffset: offset, eventFormat: eventFormat() }),
    ),
  );
  return messages
    .map(({ contractEntry }) => contractEntry)
    .find((entry) => entry?.$case !== 'incompleteAssigned' && entry?.value.createdEvent?.contractId === contractId);
};

test('a contract leaves one synchronizer and comes to the other, and its snapshot follows', async () => {
  const contractId = holding();
  const begin = served.node.ledgerEnd();
  const global = served.network.synchronizerId;
  const target = served.network.synchronizerNamed('private').synchronizerId;
  const both = UpdateFormat.fromPartial({ ...served.treasuryFormat(), includeReassignments: eventFormat() });

  const left = served.network.unassign({ contractId, target: 'private' });
  const between = served.node.ledgerEnd();
  const arrived = served.network.assign(left);
  const updates = await read(begin, both);

  expect(updates).toMatchObject([
    {
      $case: 'reassignment',
      value: {
        updateId: left.updateId,
        synchronizerId: global,
        events: [
          {
            event: {
              $case: 'unassigned',
              value: {
                contractId,
                source: global,
                target,
                reassignmentId: left.reassignmentId,
                reassignmentCounter: 1n,
              },
            },
          },
        ],
      },
    },
    {
      $case: 'reassignment',
      value: {
        updateId: arrived.updateId,
        synchronizerId: target,
        events: [
          {
            event: {
              $case: 'assigned',
              value: { reassignmentId: left.reassignmentId, reassignmentCounter: 1n, createdEvent: { contractId } },
            },
          },
        ],
      },
    },
  ]);
  expect(await read(begin, served.treasuryFormat())).toEqual([]);
  expect(await entryAt(begin, contractId)).toMatchObject({
    value: { synchronizerId: global, reassignmentCounter: 0n },
  });
  expect(await entryAt(between, contractId)).toMatchObject({
    $case: 'incompleteUnassigned',
    value: { unassignedEvent: { target } },
  });
  expect(await entryAt(served.node.ledgerEnd(), contractId)).toMatchObject({
    $case: 'activeContract',
    value: { synchronizerId: target, reassignmentCounter: 1n },
  });
});

test('what is under way or elsewhere cannot be spent; what came back can', () => {
  const contractId = holding();
  const spend = () =>
    served.network.transfer({ instrument: 'amulet', sender: 'treasury', receiver: 'alice', amount: '5' });
  const refused = expect.objectContaining({ code: 'NO_SYNCHRONIZER_FOR_SUBMISSION' });

  const left = served.network.unassign({ contractId, target: 'private' });
  expect(spend).toThrow(refused);
  served.network.assign(left);
  expect(spend).toThrow(refused);
  expect(() => served.network.assign(left)).toThrow(expect.objectContaining({ code: 'SIMNET_UNKNOWN_REASSIGNMENT' }));
  served.network.reassign({ contractId, target: 'global', submitter: 'treasury' });

  expect(spend().kind).toBe('pending');
});

test('checkpoints tell the record time of each synchronizer, and their clocks run apart', async () => {
  const ahead = served.network.synchronizerNamed('private');
  ahead.jumpTime(3_600_000_000n);
  const times: Map<string, bigint>[] = [];
  const call = served.getUpdates({ beginExclusive: served.node.ledgerEnd() });
  call.on('error', () => undefined);
  call.on('data', ({ update }: GetUpdatesResponse) => {
    if (update?.$case !== 'offsetCheckpoint') return;
    times.push(
      new Map(
        update.value.synchronizerTimes.map(({ synchronizerId, recordTime }) => [
          synchronizerId,
          timestampToMicros(recordTime ?? { seconds: 0n, nanos: 0 }),
        ]),
      ),
    );
  });
  await waitFor(() => times.length > 0);
  call.cancel();
  const connected = await unary<GetConnectedSynchronizersResponse>((callback) =>
    served.state.getConnectedSynchronizers({ party: '', participantId: '', identityProviderId: '' }, callback),
  );

  const [seen] = times;
  const distance = (seen?.get(ahead.synchronizerId) ?? 0n) - (seen?.get(served.network.synchronizerId) ?? 0n);
  expect(distance).toBeGreaterThan(3_599_000_000n);
  expect(connected.connectedSynchronizers.map(({ synchronizerAlias }) => synchronizerAlias)).toEqual([
    'global',
    'private',
  ]);
});

test('a restore takes reassignments back and replays them', async () => {
  const contractId = holding();
  const begin = served.node.ledgerEnd();
  served.network.reassign({ contractId, target: 'private' });
  const after = await entryAt(served.node.ledgerEnd(), contractId);

  served.node.restore({ to: begin, catchUp: 'held' });
  const restored = await entryAt(served.node.ledgerEnd(), contractId);
  served.node.intake.release();

  expect(restored).toMatchObject({ value: { synchronizerId: served.network.synchronizerId } });
  expect(await entryAt(served.node.ledgerEnd(), contractId)).toEqual(after);
});
