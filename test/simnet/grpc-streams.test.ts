/** Streams over real sockets: live, cancelled, held back by a slow reader, cut, doubled, late or stalled. */
import { credentials, status } from '@grpc/grpc-js';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemClock } from '../../src/env/system.ts';
import { GetLedgerEndRequest } from '../../src/gen/com/daml/ledger/api/v2/state_service.ts';
import {
  GetUpdatesRequest,
  type GetUpdatesResponse,
  UpdateServiceClient,
} from '../../src/gen/com/daml/ledger/api/v2/update_service.ts';
import { waitFor } from './harness.ts';
import { detailsOf, drain, type Served, serve, transactionIds, unary } from './ledger-client.ts';

let served: Served;

beforeEach(async () => {
  served = await serve();
});

afterEach(async () => {
  await served.stop();
});

test('an endless stream delivers transfers made before and after it was opened, in order', async () => {
  const first = served.pay();
  const call = served.getUpdates({});
  const seen: string[] = [];
  call.on('data', (message: GetUpdatesResponse) => seen.push(...transactionIds([message])));
  call.on('error', () => undefined);
  await waitFor(() => seen.includes(first.updateId));

  const second = served.pay();
  await waitFor(() => seen.includes(second.updateId));

  expect(seen.indexOf(first.updateId)).toBeLessThan(seen.indexOf(second.updateId));
  call.cancel();
});

test('cancelling a stream, and breaking the connection, leave no stream behind', async () => {
  const calls = [served.getUpdates({}), served.getUpdates({})];
  for (const call of calls) {
    call.on('data', () => undefined);
    call.on('error', () => undefined);
  }
  const other = new UpdateServiceClient(served.address, credentials.createInsecure(), {
    'grpc.use_local_subchannel_pool': 1,
  });
  const cut = other.getUpdates(GetUpdatesRequest.fromPartial({ updateFormat: served.treasuryFormat() }));
  cut.on('data', () => undefined);
  cut.on('error', () => undefined);
  await waitFor(() => served.node.faults.openStreams() === 3);

  for (const call of calls) call.cancel();
  cut.cancel();
  other.close();

  await waitFor(() => served.node.faults.openStreams() === 0);
});

test('a reader that does not read holds the server back instead of filling its memory', async () => {
  const memo = 'x'.repeat(200_000);
  for (let index = 0; index < 60; index += 1) {
    served.network.transfer({ instrument: 'amulet', sender: 'alice', receiver: 'treasury', amount: '0.01', memo });
  }
  const endInclusive = served.node.ledgerEnd();

  // A client that takes one message and then none: before its first read, grpc-js buffers whatever comes.
  const messages: GetUpdatesResponse[] = [];
  const iterator: AsyncIterator<GetUpdatesResponse> = served.getUpdates({ endInclusive })[Symbol.asyncIterator]();
  const first = await iterator.next();
  await systemClock.sleep(300);
  const stillOpen = served.node.faults.openStreams();
  for (let step = first; step.done !== true; step = await iterator.next()) messages.push(step.value);

  // A stream that had been written out completely would be closed by now: it holds far more than any window.
  expect(stillOpen).toBe(1);
  expect(transactionIds(messages).length).toBeGreaterThan(60);
});

test('streams can be ended cleanly and failed with any error of Canton, redacted where Canton redacts', async () => {
  const clean = drain(served.getUpdates({}));
  await waitFor(() => served.node.faults.openStreams() === 1);
  expect(served.node.faults.endStreams()).toBe(1);
  expect((await clean).error).toBeUndefined();

  // One that has an end of its own and does not reach it must not look complete.
  served.node.faults.stall();
  const cut = drain(served.getUpdates({ endInclusive: served.node.ledgerEnd() }));
  await waitFor(() => served.node.faults.openStreams() === 1);
  served.node.faults.endStreams();
  served.node.faults.resume();
  expect((await cut).error?.code).toBe(status.UNAVAILABLE);

  const expired = drain(served.getUpdates({}));
  await waitFor(() => served.node.faults.openStreams() === 1);
  served.node.faults.abortStreams({
    code: 'ACCESS_TOKEN_EXPIRED',
    category: 'contention',
    text: 'access token expired',
  });
  const { error } = await expired;
  expect(error?.code).toBe(status.ABORTED);
  expect(error && detailsOf(error).info.reason).toBe('ACCESS_TOKEN_EXPIRED');

  const internal = drain(served.getUpdates({}));
  await waitFor(() => served.node.faults.openStreams() === 1);
  served.node.faults.abortStreams({ code: 'SECRET_CODE', category: 'internal', text: 'secret text' });
  const redacted = (await internal).error;
  expect(redacted?.code).toBe(status.INTERNAL);
  expect(redacted?.details).toMatch(
    /^An error occurred\. Please contact the operator and inquire about the request [0-9a-f]{32} with tid <no-tid>$/,
  );
  expect(redacted && detailsOf(redacted).types).toEqual(['RequestInfo']);
});

test('a message can be delivered twice, late, or not until the node answers again', async () => {
  const call = served.getUpdates({ beginExclusive: served.node.ledgerEnd() });
  const seen: string[] = [];
  call.on('data', (message: GetUpdatesResponse) => seen.push(...transactionIds([message])));
  call.on('error', () => undefined);
  await waitFor(() => served.node.faults.openStreams() === 1);

  served.node.faults.duplicateNext(1);
  const twice = served.pay();
  const once = served.pay();
  await waitFor(() => seen.length === 3);
  expect(seen).toEqual([twice.updateId, twice.updateId, once.updateId]);

  served.node.faults.stall();
  served.pay();
  const end = unary<unknown>((callback) => served.state.getLedgerEnd(GetLedgerEndRequest.fromPartial({}), callback));
  let isAnswered = false;
  void end.then(() => {
    isAnswered = true;
  });
  await systemClock.sleep(50);
  expect([seen.length, isAnswered]).toEqual([3, false]);
  served.node.faults.resume();
  await waitFor(() => seen.length === 4 && isAnswered);

  served.node.faults.delayDelivery(60);
  const before = performance.now();
  served.pay();
  await waitFor(() => seen.length === 5);
  expect(performance.now() - before).toBeGreaterThan(55);
  call.cancel();
});
