/** Offset checkpoints under a virtual clock: when they come, what they promise, and what a stream does when it is pruned under its feet. */
import { expect, test } from 'vitest';
import { timestampToMicros } from '../../src/env/clock.ts';
import { GetUpdatesRequest, type GetUpdatesResponse } from '../../src/gen/com/daml/ledger/api/v2/update_service.ts';
import { isCantonError } from '../../src/simnet/ledger/canton-error.ts';
import type { Network } from '../../src/simnet/network.ts';
import { formatFor, startNetwork, type VirtualClock } from './harness.ts';

type Reader = { readonly messages: GetUpdatesResponse[]; readonly ended: Promise<unknown>; stop(): void };

/** Reads the first participant as the treasury from `beginExclusive` on, in the background. */
function read(network: Network, beginExclusive: bigint, participant = 'participant1'): Reader {
  const controller = new AbortController();
  const messages: GetUpdatesResponse[] = [];
  const request = GetUpdatesRequest.fromPartial({
    beginExclusive,
    updateFormat: formatFor([network.party('treasury')]),
  });
  const run = async (): Promise<unknown> => {
    try {
      for await (const message of network
        .participant(participant)
        .api.getUpdates(request, { signal: controller.signal })) {
        messages.push(message);
      }
      return undefined;
    } catch (error) {
      return error;
    }
  };
  return { messages, ended: run(), stop: () => controller.abort() };
}

const kinds = ({ messages }: Reader): (string | undefined)[] => messages.map(({ update }) => update?.$case);
const checkpoints = ({ messages }: Reader) =>
  messages.flatMap(({ update }) => (update?.$case === 'offsetCheckpoint' ? [update.value] : []));
const recordTimeOf = (checkpoint: ReturnType<typeof checkpoints>[number] | undefined): bigint =>
  timestampToMicros(checkpoint?.synchronizerTimes[0]?.recordTime ?? { seconds: 0n, nanos: 0 });

const settle = (clock: VirtualClock): Promise<void> => clock.advance(0);

test("an idle stream gets a checkpoint at its very beginning's offset, once per idle interval", async () => {
  const { network, clock } = startNetwork();
  const begin = network.participant('participant1').ledgerEnd();
  const reader = read(network, begin);
  await settle(clock);

  await clock.advance(59_000);
  expect(kinds(reader)).toEqual([]);
  await clock.advance(1_002);
  await clock.advance(60_002);
  reader.stop();
  await reader.ended;

  expect(checkpoints(reader).map(({ offset }) => offset)).toEqual([begin, begin]);
  expect(recordTimeOf(checkpoints(reader)[1])).toBeGreaterThan(recordTimeOf(checkpoints(reader)[0]));
  expect(checkpoints(reader)[0]?.synchronizerTimes[0]?.synchronizerId).toBe(network.synchronizerId);
});

test('a busy stream gets one after the busy interval, at the offset of what was delivered', async () => {
  const { network, clock } = startNetwork({ checkpoints: { busyMs: 1_000, idleMs: 5_000 } });
  network.tap({ instrument: 'amulet', owner: 'alice', amount: '10' });
  const reader = read(network, network.participant('participant1').ledgerEnd());
  await settle(clock);

  await clock.advance(400);
  network.transfer({ instrument: 'amulet', sender: 'alice', receiver: 'treasury', amount: '1' });
  await clock.advance(400);
  await clock.advance(400);
  reader.stop();
  await reader.ended;

  expect(kinds(reader)).toEqual(['transaction', 'offsetCheckpoint']);
  expect(checkpoints(reader)[0]?.offset).toBe(network.participant('participant1').ledgerEnd());
});

test('updates that the reader may not see show only as a later checkpoint', async () => {
  const { network, clock } = startNetwork();
  const begin = network.participant('participant1').ledgerEnd();
  const reader = read(network, begin);
  await settle(clock);

  network.tap({ instrument: 'amulet', owner: 'alice', amount: '10' });
  await clock.advance(15_002);
  reader.stop();
  await reader.ended;

  expect(kinds(reader)).toEqual(['offsetCheckpoint']);
  expect(checkpoints(reader)[0]?.offset).toBe(network.participant('participant1').ledgerEnd());
  expect(network.participant('participant1').ledgerEnd()).toBeGreaterThan(begin);
});

test('no update after a checkpoint has a record time at or before it, even when the clock stands still', async () => {
  const { network, clock } = startNetwork();
  network.tap({ instrument: 'amulet', owner: 'alice', amount: '10' });
  const reader = read(network, network.participant('participant1').ledgerEnd());
  await settle(clock);
  await clock.advance(60_002);

  network.transfer({ instrument: 'amulet', sender: 'alice', receiver: 'treasury', amount: '1' });
  network.transfer({ instrument: 'amulet', sender: 'alice', receiver: 'treasury', amount: '1' });
  await settle(clock);
  reader.stop();
  await reader.ended;

  const times = reader.messages.flatMap(({ update }) =>
    update?.$case === 'transaction' ? [timestampToMicros(update.value.recordTime ?? { seconds: 0n, nanos: 0 })] : [],
  );
  const promised = recordTimeOf(checkpoints(reader)[0]);
  expect(times).toEqual([promised + 1n, promised + 2n]);
});

test('a reader in a backlog is promised no more than the record time of what it has', async () => {
  const { network, clock } = startNetwork({ checkpoints: { busyMs: 0, idleMs: 60_000 } });
  network.tap({ instrument: 'amulet', owner: 'alice', amount: '10' });
  const begin = network.participant('participant1').ledgerEnd();
  for (let index = 0; index < 3; index += 1) {
    await clock.advance(1_000);
    network.transfer({ instrument: 'amulet', sender: 'alice', receiver: 'treasury', amount: '1' });
  }

  const reader = read(network, begin);
  await settle(clock);
  reader.stop();
  await reader.ended;

  expect(kinds(reader)).toEqual([
    'transaction',
    'offsetCheckpoint',
    'transaction',
    'offsetCheckpoint',
    'transaction',
    'offsetCheckpoint',
  ]);
  const [first, second] = reader.messages.flatMap(({ update }) =>
    update?.$case === 'transaction' ? [update.value] : [],
  );
  const promised = recordTimeOf(checkpoints(reader)[0]);
  expect(checkpoints(reader)[0]?.offset).toBe(first?.offset);
  expect(promised).toBe(timestampToMicros(first?.recordTime ?? { seconds: 0n, nanos: 0 }));
  expect(promised).toBeLessThan(timestampToMicros(second?.recordTime ?? { seconds: 0n, nanos: 0 }));
});

test('a stream whose position is pruned away fails in its midst', async () => {
  const { network, clock } = startNetwork();
  const node = network.participant('participant1');
  network.tap({ instrument: 'amulet', owner: 'alice', amount: '10' });
  const reader = read(network, node.ledgerEnd());
  await settle(clock);
  node.faults.stall();
  for (let index = 0; index < 2; index += 1)
    network.transfer({ instrument: 'amulet', sender: 'alice', receiver: 'treasury', amount: '1' });

  node.prune(node.ledgerEnd());
  node.faults.resume();
  const error = await reader.ended;

  expect(isCantonError(error) && error.code).toBe('PARTICIPANT_PRUNED_DATA_ACCESSED');
  expect(node.faults.openStreams()).toBe(0);
});
