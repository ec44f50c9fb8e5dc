/** One endpoint when the network between is at fault. Row ids of the failure catalogue stand in the names. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createSecret } from '../../src/config/secret.ts';
import { systemClock } from '../../src/env/system.ts';
import { StateServiceService } from '../../src/gen/com/daml/ledger/api/v2/state_service.ts';
import { updateFormatFor } from '../../src/ingestion/update-format.ts';
import { createCallLimit } from '../../src/ledger/call-limit.ts';
import { CHANNEL_TIMING, type Channel, type ChannelOptions, openChannel } from '../../src/ledger/channel.ts';
import { createLedgerClient, type Ledger } from '../../src/ledger/ledger-client.ts';
import { eventually } from '../support/eventually.ts';
import { startTestNetwork, type TestNetwork } from '../support/network.ts';
import { createTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';

let simnet: TestNetwork;
let proxy: TcpProxy;
const opened: Channel[] = [];

beforeEach(async () => {
  simnet = await startTestNetwork('channel');
  const [host = '', port = ''] = simnet.ledgerUrl().replace('http://', '').split(':');
  proxy = await createTcpProxy({ host, port: Number(port) });
});

afterEach(async () => {
  for (const channel of opened.splice(0)) channel.close();
  await proxy.close();
  await simnet.stop();
});

function open(options: Partial<ChannelOptions> = {}): { readonly channel: Channel; readonly ledger: Ledger } {
  const channel = openChannel({ url: `http://127.0.0.1:${proxy.port}`, ...options });
  opened.push(channel);
  return { channel, ledger: createLedgerClient(channel) };
}

const ledgerEndOf = (channel: Channel) => channel.call(StateServiceService.getLedgerEnd, {});

async function millisecondsOf(work: Promise<unknown>): Promise<number> {
  const startedAt = systemClock.nowMicros();
  await work.catch(() => undefined);
  return Number((systemClock.nowMicros() - startedAt) / 1_000n);
}

/** Reads until the stream ends. */
async function follow(ledger: Ledger, signal = new AbortController().signal): Promise<number> {
  let count = 0;
  const format = updateFormatFor(simnet.network.party('treasury'));
  for await (const { message } of ledger.updates({ beginExclusive: 0n, format, signal })) {
    if (message.update?.$case !== 'offsetCheckpoint') count += 1;
  }
  return count;
}

test('A1: a node that refuses connections is asked exactly as often as we ask, and found as soon as it is back', async () => {
  const { channel } = open();
  await ledgerEndOf(channel);
  await proxy.refuse();

  for (let count = 0; count < 5; count += 1) {
    await expect(ledgerEndOf(channel)).rejects.toMatchObject({ retryable: true, code: 'GRPC_UNAVAILABLE' });
  }
  const before = proxy.accepted();
  await proxy.admit();

  expect(await millisecondsOf(ledgerEndOf(channel))).toBeLessThan(500);
  expect(proxy.accepted()).toBe(before + 1);
});

test('A5: a node that accepts and never speaks costs a bounded wait and leaves no connection behind', async () => {
  const { channel, ledger } = open({ timing: { connectTimeoutMs: 300 } });
  proxy.hold();

  const waited = await millisecondsOf(
    expect(ledgerEndOf(channel)).rejects.toMatchObject({ code: 'CONNECT_TIMEOUT', retryable: true }),
  );
  await expect(follow(ledger)).rejects.toMatchObject({ code: 'CONNECT_TIMEOUT' });
  // Many at once wait for one connection.
  const calls = await Promise.allSettled(Array.from({ length: 10 }, () => ledgerEndOf(channel)));
  expect(calls.map((call) => call.status === 'rejected' && call.reason.code)).toEqual(
    calls.map(() => 'CONNECT_TIMEOUT'),
  );

  expect(waited).toBeLessThan(2_000);
  expect(proxy.accepted()).toBe(3);
  await eventually(() => expect(proxy.connections()).toBe(0));
  proxy.unhold();
  await ledgerEndOf(channel);
  expect(CHANNEL_TIMING.connectTimeoutMs).toBeLessThanOrEqual(15_000);
});

test('A5: waiting for a connection ends with whoever waits', async () => {
  const { ledger } = open({ timing: { connectTimeoutMs: 10_000 } });
  proxy.hold();
  const leaving = new AbortController();
  const following = follow(ledger, leaving.signal);
  await eventually(() => expect(proxy.connections()).toBe(1));

  leaving.abort();

  expect(await millisecondsOf(following)).toBeLessThan(1_000);
});

test('A4: a stream over a dead network is noticed by its pings, and what the dead connection held is not used', async () => {
  const { ledger } = open({ timing: { keepaliveMs: 200, keepaliveTimeoutMs: 200 } });
  const following = follow(ledger);
  following.catch(() => undefined);
  await eventually(() => expect(simnet.network.participant('participant1').faults.openStreams()).toBe(1));

  proxy.silence();
  simnet.network.tap({ instrument: 'amulet', owner: 'treasury', amount: '1' });
  const noticed = await millisecondsOf(expect(following).rejects.toMatchObject({ retryable: true }));
  proxy.speak();

  expect(noticed).toBeLessThan(3_000);
  await eventually(() => expect(proxy.connections()).toBe(0));
  expect(CHANNEL_TIMING.keepaliveMs + CHANNEL_TIMING.keepaliveTimeoutMs).toBeLessThan(30_000);
  // The Ledger API of Canton takes pings of less distance for an attack.
  expect(CHANNEL_TIMING.keepaliveMs).toBeGreaterThan(10_000);
});

test('A4: a call that is not answered ends at its deadline, and the next one goes over a new connection', async () => {
  const { channel } = open({ timing: { callDeadlineMs: 300 } });
  await ledgerEndOf(channel);
  proxy.silence();
  await expect(ledgerEndOf(channel)).rejects.toMatchObject({ code: 'GRPC_DEADLINE_EXCEEDED', retryable: true });
  const before = proxy.accepted();

  proxy.speak();
  await ledgerEndOf(channel);

  expect(proxy.accepted()).toBe(before + 1);
});

test('A3: a stream that comes in pieces of a few bytes is read as it is; one cut in the middle of a frame is an error', async () => {
  proxy.chop(7);
  for (let count = 0; count < 5; count += 1)
    simnet.network.tap({ instrument: 'amulet', owner: 'treasury', amount: '1' });
  const { faults } = simnet.network.participant('participant1');
  const { ledger } = open();
  const following = follow(ledger);
  await eventually(() => expect(faults.openStreams()).toBe(1));
  await systemClock.sleep(300);
  faults.endStreams();
  // One update made the treasury's preapproval for each instrument.
  expect(await following).toBeGreaterThanOrEqual(5);

  const cut = follow(ledger);
  cut.catch(() => undefined);
  await eventually(() => expect(faults.openStreams()).toBe(1));
  proxy.cut();
  await expect(cut).rejects.toMatchObject({ retryable: true });
});

test('A9: five hundred streams that were opened and left leave none open, and no connection but one', async () => {
  const { ledger } = open();
  const { faults } = simnet.network.participant('participant1');
  for (let count = 0; count < 500; count += 1) {
    const leaving = new AbortController();
    const following = follow(ledger, leaving.signal);
    if (count % 100 === 0) await eventually(() => expect(faults.openStreams()).toBeGreaterThan(0));
    leaving.abort();
    await following;
  }

  await eventually(() => expect(faults.openStreams()).toBe(0));
  expect(proxy.connections()).toBe(1);
});

test('calls in flight and calls per second stay within their limits, as the participant sees it', async () => {
  const limit = createCallLimit({ clock: systemClock, inFlightMax: 4, perSecondMax: 40 });
  const { channel } = open({ limit });
  const { api } = simnet.network.participant('participant1');
  const { getLedgerEnd } = api;
  const begun: bigint[] = [];
  let inFlight = 0;
  let inFlightMax = 0;
  Object.assign(api, {
    getLedgerEnd: async (options: Parameters<typeof getLedgerEnd>[0]) => {
      begun.push(systemClock.nowMicros());
      inFlight += 1;
      inFlightMax = Math.max(inFlightMax, inFlight);
      await systemClock.sleep(20);
      inFlight -= 1;
      return await getLedgerEnd(options);
    },
  });

  await Promise.all(Array.from({ length: 100 }, () => ledgerEndOf(channel)));

  expect(begun).toHaveLength(100);
  expect(inFlightMax).toBe(4);
  // A busy machine delivers a little late and then several at once, hence not quite a second.
  const busiest = Math.max(...begun.map((start) => begun.filter((at) => at >= start && at < start + 700_000n).length));
  expect(busiest).toBeLessThanOrEqual(40);
});

test('a token goes with every call, and is told when it is refused', async () => {
  const refused: string[] = [];
  let token = createSecret('first');
  const { channel } = open({
    tokens: { token: async () => token, refused: (it) => refused.push(it.reveal()) },
  });
  const { access } = simnet.network;
  access.setUser({ id: 'sluice' });
  access.demandTokens(true);

  await expect(ledgerEndOf(channel)).rejects.toMatchObject({ code: 'GRPC_UNAUTHENTICATED', retryable: true });
  expect(refused).toEqual(['first']);
  token = createSecret(access.issueToken({ user: 'sluice' }).token);
  await ledgerEndOf(channel);
  expect(refused).toEqual(['first']);
});
