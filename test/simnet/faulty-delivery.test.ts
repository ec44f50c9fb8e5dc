/** A participant that delivers wrongly, refuses calls, falls silent or hides a party, as a client over gRPC meets it. */
import { credentials, status } from '@grpc/grpc-js';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { timestampToMicros } from '../../src/env/clock.ts';
import {
  GetActiveContractsRequest,
  type GetActiveContractsResponse,
} from '../../src/gen/com/daml/ledger/api/v2/state_service.ts';
import {
  GetUpdatesRequest,
  GetUpdatesResponse,
  UpdateServiceClient,
} from '../../src/gen/com/daml/ledger/api/v2/update_service.ts';
import { CATEGORY } from '../../src/simnet/ledger/canton-error.ts';
import { KNOWN_CODES, knownRefusal } from '../../src/simnet/ledger/known-refusals.ts';
import { waitFor } from './harness.ts';
import { detailsOf, drain, refusal, type Served, serve, transactionIds, unary } from './ledger-client.ts';

let served: Served;

beforeEach(async () => {
  served = await serve({ checkpoints: { busyMs: 20, idleMs: 20 } });
});

afterEach(async () => {
  await served.stop();
});

const ledgerEnd = () => unary<{ offset: bigint }>((callback) => served.state.getLedgerEnd({}, callback));
const byId = (updateId: string) =>
  unary<{ update?: { value: { offset: bigint } } | undefined }>((callback) =>
    served.updates.getUpdateById({ updateId, updateFormat: served.treasuryFormat() }, callback),
  );

/** What the treasury is sent from `begin` to the ledger end, without the checkpoints that a slow machine gets between. */
const read = async (begin: bigint) => {
  const { messages, error } = await drain<GetUpdatesResponse>(
    served.getUpdates({ beginExclusive: begin, endInclusive: served.node.ledgerEnd() }),
  );
  return { messages: messages.filter(({ update }) => update?.$case !== 'offsetCheckpoint'), error };
};

/** Three payments, of which `index` counts from 0, and where they begin. */
function threePayments(): { begin: bigint; ids: readonly [string, string, string] } {
  const begin = served.node.ledgerEnd();
  const [first, second, third] = [served.pay(), served.pay(), served.pay()];
  return { begin, ids: [first.updateId, second.updateId, third.updateId] };
}

const pick = (ids: readonly string[], ...indexes: number[]) => indexes.map((index) => ids[index]);

test.each([
  { kind: 'drop', seen: [1, 2] },
  { kind: 'duplicate', seen: [0, 0, 1, 2] },
  { kind: 'swap', seen: [1, 0, 2] },
] as const)('$kind of an update strikes once, and look-ups still tell the truth', async ({ kind, seen }) => {
  const { begin, ids } = threePayments();
  served.node.faults.disturbNext({ kind });

  const disturbed = await read(begin);
  const again = await read(begin);

  expect(disturbed.error).toBeUndefined();
  expect(transactionIds(disturbed.messages)).toEqual(pick(ids, ...seen));
  expect(transactionIds(again.messages)).toEqual(ids);
  expect((await byId(ids[0])).update).toBeDefined();
});

test('another update can come at the offset of the one before', async () => {
  const { begin } = threePayments();
  served.node.faults.disturbNext({ kind: 'sameOffsetOtherId' });

  const { messages } = await read(begin);

  const [first, second] = messages.flatMap(({ update }) => (update?.$case === 'transaction' ? [update.value] : []));
  expect(second?.offset).toBe(first?.offset);
  expect(second?.updateId).not.toBe(first?.updateId);
});

test('an update of an unknown kind reaches the client as a message without an update', async () => {
  const { begin, ids } = threePayments();
  served.node.faults.disturbNext({ kind: 'unknownKind' });

  const { messages } = await read(begin);

  expect(messages.length).toBe(3);
  expect(messages[0]?.update).toBeUndefined();
  expect(Object.keys(messages[0]?._unknownFields ?? {})).toEqual(['122']);
  expect(transactionIds(messages)).toEqual(pick(ids, 1, 2));
});

test('an update can come as a topology transaction, of which nobody makes money', async () => {
  const { begin, ids } = threePayments();
  served.node.faults.disturbNext({ kind: 'topology' });

  const { messages } = await read(begin);

  expect(messages[0]?.update).toMatchObject({
    $case: 'topologyTransaction',
    value: { updateId: ids[0], events: [{ event: { $case: 'participantAuthorizationAdded' } }] },
  });
  expect(transactionIds(messages)).toEqual(pick(ids, 1, 2));
});

test('streams beyond a limit are refused until one ends', async () => {
  served.node.faults.limitStreams(1);
  const open = served.getUpdates({ beginExclusive: 0n });
  open.on('error', () => undefined);
  open.resume();
  await waitFor(() => served.node.faults.openStreams() === 1);

  const refused = await served.streamRefusal({ beginExclusive: 0n });
  open.cancel();
  await waitFor(() => served.node.faults.openStreams() === 0);

  expect(detailsOf(refused).info.reason).toBe('MAXIMUM_NUMBER_OF_STREAMS');
  expect((await read(0n)).error).toBeUndefined();
});

test('a closed address refuses connections, and answers again at the same port when it is opened', async () => {
  const open = drain(served.getUpdates({ beginExclusive: 0n }));
  await waitFor(() => served.node.faults.openStreams() === 1);

  await served.simnet.endpoints.close('participant1');
  const cut = (await open).error;
  const { updateId } = served.pay();
  const down = await refusal(ledgerEnd());
  await served.simnet.endpoints.open('participant1');
  // A channel of its own: one that was refused waits before it tries again.
  const reconnected = new UpdateServiceClient(served.address, credentials.createInsecure(), {
    'grpc.use_local_subchannel_pool': 1,
  });
  const { messages } = await drain(
    reconnected.getUpdates(
      GetUpdatesRequest.fromPartial({
        beginExclusive: 0n,
        endInclusive: served.node.ledgerEnd(),
        updateFormat: served.treasuryFormat(),
      }),
    ),
  );
  reconnected.close();

  expect([cut?.code, down.code]).toEqual([status.UNAVAILABLE, status.UNAVAILABLE]);
  expect(transactionIds(messages)).toContain(updateId);
});

test('an undecodable update fails in the client, not in the node', async () => {
  const { begin } = threePayments();
  served.node.faults.disturbNext({ kind: 'undecodable' });

  const { messages, error } = await read(begin);

  expect(messages).toEqual([]);
  expect(error?.code).toBe(status.INTERNAL);
  expect((await read(begin)).error).toBeUndefined();
});

const MEBIBYTE = 1024 * 1024;

/** Reads an update of that size as a client that takes messages up to a limit. */
async function readPadded(messageBytes: number, limits: readonly number[]) {
  const begin = served.node.ledgerEnd();
  const { updateId } = served.pay();
  served.node.faults.padUpdate(updateId, messageBytes);
  const outcomes: (number | 'taken' | undefined)[] = [];
  for (const limit of limits) {
    const client = new UpdateServiceClient(served.address, credentials.createInsecure(), {
      'grpc.max_receive_message_length': limit,
    });
    const request = GetUpdatesRequest.fromPartial({
      beginExclusive: begin,
      endInclusive: served.node.ledgerEnd(),
      updateFormat: served.treasuryFormat(),
    });
    const { messages, error } = await drain(client.getUpdates(request));
    outcomes.push(transactionIds(messages).includes(updateId) ? 'taken' : error?.code);
    client.close();
  }
  return outcomes;
}

test('a padded update has the size it was told to have, at each reading', async () => {
  const bytes = 5 * MEBIBYTE;

  const outcomes = await readPadded(bytes, [bytes, bytes - 64, bytes]);

  expect(outcomes).toEqual(['taken', status.RESOURCE_EXHAUSTED, 'taken']);
});

test.each([
  { mebibytes: 20, outcome: 'taken' },
  { mebibytes: 127, outcome: 'taken' },
  { mebibytes: 130, outcome: status.RESOURCE_EXHAUSTED },
])('an update of $mebibytes MiB meets a client that takes 128', async ({ mebibytes, outcome }) => {
  expect(await readPadded(mebibytes * MEBIBYTE, [128 * MEBIBYTE])).toEqual([outcome]);
});

test('an update is padded as it is delivered, and stays so', async () => {
  const { begin, ids } = threePayments();
  served.node.faults.disturbNext({ kind: 'pad', messageBytes: MEBIBYTE });

  const sizes = async () =>
    (await read(begin)).messages.map((message) => GetUpdatesResponse.encode(message).finish().length > MEBIBYTE - 64);

  expect(await sizes()).toEqual([true, false, false]);
  expect(await sizes()).toEqual([true, false, false]);
  expect((await byId(ids[0])).update).toBeDefined();
});

test('a hidden update is nowhere, until it is shown again', async () => {
  const { begin, ids } = threePayments();
  served.node.faults.hideUpdate(ids[1]);

  const hidden = await read(begin);
  const lookUp = await refusal(byId(ids[1]));
  served.node.faults.clearDisturbances();

  expect(transactionIds(hidden.messages)).toEqual(pick(ids, 0, 2));
  expect(detailsOf(lookUp).info.reason).toBe('UPDATE_NOT_FOUND');
  expect(transactionIds((await read(begin)).messages)).toEqual(ids);
});

test.each([true, false])(
  'a hidden party has no activity and no error; active contracts hidden too: %s',
  async (alsoActive) => {
    const treasury = served.network.party('treasury');
    const active = async () =>
      (
        await drain<GetActiveContractsResponse>(
          served.state.getActiveContracts(
            GetActiveContractsRequest.fromPartial({
              activeAtOffset: served.node.ledgerEnd(),
              eventFormat: served.treasuryFormat().includeTransactions?.eventFormat,
            }),
          ),
        )
      ).messages.length;
    const seenLive: GetUpdatesResponse[] = [];
    const live = served.getUpdates({ beginExclusive: served.node.ledgerEnd() });
    live.on('error', () => undefined);
    live.on('data', (message: GetUpdatesResponse) => seenLive.push(message));
    await waitFor(() => seenLive.length > 0);

    served.node.faults.hideParty(treasury, alsoActive);
    const { begin, ids } = threePayments();
    const checkpoints = seenLive.length;
    await waitFor(() => seenLive.length > checkpoints + 2);
    const whileHidden = { ids: transactionIds((await read(begin)).messages), active: await active() };
    served.node.faults.showParty(treasury);
    const later = served.pay();
    await waitFor(() => transactionIds(seenLive).includes(later.updateId));
    live.cancel();

    expect(whileHidden.ids).toEqual([]);
    expect(whileHidden.active > 0).toBe(!alsoActive);
    expect(transactionIds(seenLive)).toEqual([later.updateId]);
    expect(transactionIds((await read(begin)).messages)).toEqual([...ids, later.updateId]);
  },
);

test.each(KNOWN_CODES)(
  '%s refuses calls and streams as often as it was told, in the form of its category',
  async (code) => {
    const known = knownRefusal(code);
    const category = CATEGORY[known.category];
    served.node.faults.rejectCalls({ refusal: known, next: 2, calls: ['getLedgerEnd', 'getUpdates'] });

    const errors = [await refusal(ledgerEnd()), await served.streamRefusal({ beginExclusive: 0n })];

    for (const error of errors) {
      expect(error.code).toBe(category.grpcCode);
      if (!('redacted' in category)) {
        expect(detailsOf(error).info).toMatchObject({ reason: code, metadata: { category: String(category.number) } });
        expect(detailsOf(error).types.includes('RetryInfo')).toBe('retryAfterMs' in category);
      }
    }
    await expect(ledgerEnd()).resolves.toBeDefined();
  },
);

test('silent streams send nothing at all while calls and pings are answered', async () => {
  const messages: GetUpdatesResponse[] = [];
  const call = served.getUpdates({ beginExclusive: served.node.ledgerEnd() });
  call.on('error', () => undefined);
  call.on('data', (message: GetUpdatesResponse) => messages.push(message));
  await waitFor(() => messages.length > 1);

  served.node.faults.silenceStreams();
  const { updateId } = served.pay();
  const before = messages.length;
  for (let index = 0; index < 10; index += 1) expect((await byId(updateId)).update).toBeDefined();
  await new Promise((resolve) => setTimeout(resolve, 200)); // Ten times the checkpoint cadence.
  const after = messages.length;
  served.node.faults.resume();
  await waitFor(() => transactionIds(messages).includes(updateId));
  call.cancel();

  expect(after - before).toBeLessThanOrEqual(1); // One may have been on its way.
});

test('a held participant sends checkpoints whose record time stands still, and catches up when released', async () => {
  const times: bigint[] = [];
  const messages: GetUpdatesResponse[] = [];
  const call = served.getUpdates({ beginExclusive: served.node.ledgerEnd() });
  call.on('error', () => undefined);
  call.on('data', (message: GetUpdatesResponse) => {
    messages.push(message);
    const [time] = message.update?.$case === 'offsetCheckpoint' ? message.update.value.synchronizerTimes : [];
    if (time?.recordTime !== undefined) times.push(timestampToMicros(time.recordTime));
  });
  await waitFor(() => times.length > 1);

  served.node.intake.hold();
  const { updateId } = served.pay();
  const begin = times.length + 1;
  await waitFor(() => times.length > begin + 4);
  const held = times.slice(begin);
  served.node.intake.release();
  await waitFor(() => transactionIds(messages).includes(updateId));
  await waitFor(() => (times.at(-1) ?? 0n) > (held[0] ?? 0n));
  call.cancel();

  expect(new Set(held).size).toBe(1);
});
