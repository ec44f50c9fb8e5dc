/** The network as a process: control endpoint, customers, and nothing left behind when it stops. */
import { credentials } from '@grpc/grpc-js';
import { afterEach, expect, test } from 'vitest';
import { createSeededRandom } from '../../src/env/random.ts';
import { systemClock } from '../../src/env/system.ts';
import { PartyManagementServiceClient } from '../../src/gen/com/daml/ledger/api/v2/admin/party_management_service.ts';
import { GetUpdatesRequest, UpdateServiceClient } from '../../src/gen/com/daml/ledger/api/v2/update_service.ts';
import type { CustomerActivity } from '../../src/simnet/customers.ts';
import { type Simnet, type SimnetOptions, startSimnet } from '../../src/simnet/simnet.ts';
import { createControlClient } from '../../src/simnet/wire/control-client.ts';
import { formatFor, silentLogger, waitFor } from './harness.ts';

let simnet: Simnet | undefined;

afterEach(async () => {
  await simnet?.stop();
  simnet = undefined;
});

async function start(options: Partial<SimnetOptions> = {}): Promise<Simnet> {
  simnet = await startSimnet({
    seed: 'process',
    clock: systemClock,
    random: createSeededRandom(3),
    logger: silentLogger,
    ...options,
  });
  return simnet;
}

const post = (path: string, body: unknown): Promise<Response> =>
  fetch(`${simnet?.controlUrl}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });

test('the control endpoint says what there is', async () => {
  const { network, participants, controlUrl } = await start({ customers: { count: 2, intervalMs: 1 } });

  const described = await (await fetch(`${controlUrl}/simnet`)).json();

  expect(described).toMatchObject({
    synchronizerId: network.synchronizerId,
    participants: participants.map(({ name, participantId, grpcAddress }) => ({ name, participantId, grpcAddress })),
    parties: { treasury: network.party('treasury'), DSO: network.party('DSO') },
    treasuries: [network.party('treasury')],
    instruments: [
      { name: 'amulet', admin: network.party('DSO'), id: 'Amulet' },
      { name: 'usd', admin: network.party('usd-registrar'), id: 'USDX' },
      { name: 'note', admin: network.party('note-issuer'), id: 'NOTE-A' },
    ],
    customers: [{ name: 'customer-1', memo: expect.stringMatching(/^acct-/) }, { name: 'customer-2' }],
  });
});

test('operations work over HTTP, and their refusals keep code and text', async () => {
  const { network } = await start();

  const tapped = await post('/tap', { instrument: 'amulet', owner: 'alice', amount: '10' });
  const paid = await post('/transfer', {
    instrument: 'amulet',
    sender: 'alice',
    receiver: 'treasury',
    amount: '4',
    memo: 'm',
  });
  const refused = await post('/transfer', {
    instrument: 'amulet',
    sender: 'alice',
    receiver: 'treasury',
    amount: '400',
  });
  const malformed = await post('/transfer', {
    instrument: 'amulet',
    sender: 'alice',
    receiver: 'treasury',
    amount: '1e3',
  });
  const unknown = await post('/transfer', {
    instrument: 'amulet',
    sender: 'nobody',
    receiver: 'treasury',
    amount: '1',
  });
  const missing = await post('/no-such-operation', {});
  const form = await fetch(`${simnet?.controlUrl}/tap`, { method: 'POST', body: 'amount=1' });

  expect(tapped.status).toBe(200);
  expect(await paid.json()).toMatchObject({ kind: 'completed', updateId: expect.stringMatching(/^1220[0-9a-f]{64}$/) });
  expect(refused.status).toBe(409);
  expect(await refused.json()).toMatchObject({
    error: { code: 'DAML_FAILURE', message: expect.stringContaining('insufficient-funds') },
  });
  expect([malformed.status, unknown.status, missing.status, form.status]).toEqual([400, 400, 404, 400]);
  expect(await malformed.json()).toMatchObject({ error: { code: 'SIMNET_BAD_REQUEST' } });
  expect(network.balance({ instrument: 'amulet', owner: 'treasury' })).toBe('4.0000000000');
});

test('offers are made, accepted and participants misbehave over HTTP', async () => {
  const { network } = await start();
  await post('/tap', { instrument: 'usd', owner: 'alice', amount: '10' });
  const offered = (await (
    await post('/transfer', { instrument: 'usd', sender: 'alice', receiver: 'bob', amount: '4', kind: 'offer' })
  ).json()) as { instructionCid: string };

  const accepted = await post('/accept', { instructionCid: offered.instructionCid });
  const pruned = await post('/participants/participant1/prune', { offset: '3' });
  const ended = await post('/participants/participant1/end-streams', {});

  expect(await accepted.json()).toMatchObject({ kind: 'completed' });
  expect(await pruned.json()).toEqual({ prunedUpTo: '3' });
  expect(await ended.json()).toEqual({ streams: 0 });
  expect(network.balance({ instrument: 'usd', owner: 'bob' })).toBe('4.0000000000');
});

test('customers deposit until their limit, tell what they did, and the treasury owns what they say', async () => {
  const done: CustomerActivity[] = [];
  const { network, startCustomers } = await start({
    customers: { count: 3, intervalMs: 0, activitiesMax: 200, onActivity: (activity) => done.push(activity) },
  });

  startCustomers();
  await waitFor(() => done.length >= 195);

  expect(new Set(done.map(({ kind }) => kind))).toEqual(new Set(['direct', 'offer', 'accept', 'withdraw']));
  expect(new Set(done.map(({ isMemoKnown }) => isMemoKnown))).toEqual(new Set([true, false]));
  for (const { name } of network.tokens) {
    const received = done
      .filter(({ kind, instrument }) => instrument === name && (kind === 'direct' || kind === 'accept'))
      .reduce((sum, { amount }) => sum + BigInt(amount.replace('.', '')), 0n);
    expect(BigInt(network.balance({ instrument: name, owner: 'treasury' }).replace('.', '')), name).toBe(received);
  }
});

test('customers stop when the network stops', async () => {
  const done: CustomerActivity[] = [];
  const { startCustomers, stop } = await start({
    customers: { count: 2, intervalMs: 1, onActivity: (activity) => done.push(activity) },
  });
  startCustomers();
  await waitFor(() => done.length > 3);

  await stop();
  const count = done.length;
  await systemClock.sleep(50);

  expect(done.length).toBe(count);
});

test('stopping ends open streams with UNAVAILABLE and frees the ports', async () => {
  const { network, participants, controlUrl, stop } = await start();
  const [first] = participants;
  const client = new UpdateServiceClient(first?.grpcAddress ?? '', credentials.createInsecure());
  const call = client.getUpdates(
    GetUpdatesRequest.fromPartial({ updateFormat: formatFor([network.party('treasury')]) }),
  );
  call.on('data', () => undefined);
  const ended = new Promise<{ code: number }>((resolve) =>
    call.once('error', (error) => resolve(error as unknown as { code: number })),
  );
  await waitFor(() => network.participants[0]?.faults.openStreams() === 1);

  await stop();

  expect((await ended).code).toBe(14);
  client.close();
  await expect(fetch(`${controlUrl}/simnet`)).rejects.toThrow();
  const port = Number(first?.grpcAddress.split(':')[1]);
  const again = await start({ grpcPorts: [port] });
  expect(again.participants[0]?.grpcAddress).toBe(first?.grpcAddress);
});

test('a port that is taken is an error, and nothing stays open', async () => {
  const { participants } = await start();
  const port = Number(participants[0]?.grpcAddress.split(':')[1]);

  await expect(
    startSimnet({
      seed: 'other',
      clock: systemClock,
      random: createSeededRandom(3),
      logger: silentLogger,
      grpcPorts: [0, port],
    }),
  ).rejects.toThrow();
});

test('each participant answers with its own id', async () => {
  const { participants } = await start();
  const ids = await Promise.all(
    participants.map(async ({ grpcAddress }) => {
      const client = new PartyManagementServiceClient(grpcAddress, credentials.createInsecure());
      const id = await new Promise<string>((resolve, reject) =>
        client.getParticipantId({}, (error, response) => (error ? reject(error) : resolve(response.participantId))),
      );
      client.close();
      return id;
    }),
  );
  expect(ids).toEqual(participants.map(({ participantId }) => participantId));
  expect(new Set(ids).size).toBe(2);
});

test('keys, delays and faults of submissions and registries are set over HTTP', async () => {
  const { network, controlUrl, registries } = await start();
  const described = await (await fetch(`${controlUrl}/simnet`)).json();
  const publicKey = Buffer.from(Array.from({ length: 32 }, (_, index) => index)).toString('base64');

  const party = await (await post('/party', { hint: 'external', on: ['participant1'], publicKey })).json();
  const registered = await (await post('/register-key', { party: 'treasury', publicKey })).json();
  const accepted = [
    await post('/revoke-key', { party: 'treasury', fingerprint: registered.fingerprint }),
    await post('/delays', { sequencingMs: 100, verdictMs: 100 }),
    await post('/participants/participant1/submission-faults', {
      loseExecuteAnswers: { share: 0.5 },
      lieInPrepare: { next: 1, lie: { kind: 'maxRecordTime', micros: null } },
      lieInCompletions: { share: 0, lie: 'missing' },
    }),
    await post('/participants/participant1/submission-faults', {}),
    await post('/upgrade-synchronizer', {}),
    await post('/registry-fault', {
      admin: registries[0]?.admin,
      fault: { next: 1, fault: { kind: 'status', status: 503 } },
    }),
  ];
  const refused = [
    await post('/participants/participant1/submission-faults', { loseExecuteAnswers: { share: 2 } }),
    await post('/register-key', { party: 'treasury', publicKey: 'AAAA' }),
    await post('/registry-fault', { admin: 'nobody', fault: null }),
  ];

  expect(described.registries).toEqual(registries.map(({ admin, url }) => ({ admin, url })));
  expect(registries.map(({ admin }) => admin)).toEqual(
    ['DSO', 'usd-registrar', 'note-issuer'].map((hint) => network.party(hint)),
  );
  expect(party).toEqual({ party: `external::${registered.fingerprint}` });
  expect(accepted.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200, 200]);
  expect(refused.map(({ status }) => status)).toEqual([400, 400, 404]);
  const info = `${registries[0]?.url}/registry/metadata/v1/info`;
  expect([(await fetch(info)).status, (await fetch(info)).status]).toEqual([503, 200]);
});

test('participants are held, restored, pruned and exchanged over HTTP', async () => {
  const { network, controlUrl } = await start();
  const node = (action: string, body: unknown) => post(`/participants/participant1/${action}`, body);
  await post('/tap', { instrument: 'amulet', owner: 'alice', amount: '10' });
  const backup = network.participant('participant1').ledgerEnd();
  const pay = { instrument: 'amulet', sender: 'alice', receiver: 'treasury', amount: '1' };
  await post('/transfer', pay);
  await post('/transfer', pay);

  const restored = await (await node('restore', { to: String(backup), catchUp: 'held' })).json();
  const stepped = await (await node('step', { count: 1 })).json();
  const described = await (await fetch(`${controlUrl}/simnet`)).json();
  const released = await (await node('release', {})).json();
  const held = await (await node('hold', {})).json();
  await post('/transfer', pay);
  const paced = await (await node('release', { everyMs: 0 })).json();
  await waitFor(() => network.participant('participant1').intake.behind() === 0);
  const end = network.participant('participant1').ledgerEnd();
  const skipped = await (await node('skip-offsets', { count: '7' })).json();
  const exchanged = await post('/switch-endpoint', { endpoint: 'participant1', participant: 'participant2' });
  const after = await (await fetch(`${controlUrl}/simnet`)).json();
  const refused = [
    await node('restore', { to: '999999' }),
    await node('restore', { updatesBack: -1 }),
    await post('/switch-endpoint', { endpoint: 'participant1', participant: 'nobody' }),
  ];

  expect(restored).toEqual({ ledgerEnd: String(backup), behind: 2 });
  expect(stepped).toEqual({ processed: 1, behind: 1 });
  expect(described.participants[0]).toMatchObject({ behind: 1, servedBy: 'participant1' });
  expect([released, held, paced]).toEqual([{ behind: 0 }, { behind: 0 }, { behind: 1 }]);
  expect(skipped).toEqual({ ledgerEnd: String(end + 7n) });
  expect(exchanged.status).toBe(200);
  expect(after.participants[0].servedBy).toBe('participant2');
  expect(refused.map(({ status }) => status)).toEqual([400, 400, 400]);
});

test('the client of the control endpoint performs operations, and fails as they do', async () => {
  const { network, controlUrl } = await start();
  const control = createControlClient({ url: controlUrl, fetch });

  await control.perform('tap', { instrument: 'amulet', owner: 'treasury', amount: '2' });
  const restored = await control.perform('participant1/restore', { updatesBack: 1, catchUp: 'held' });
  const described = await control.describe();

  expect(network.balance({ instrument: 'amulet', owner: 'treasury' })).toBe('2.0000000000');
  expect(restored).toMatchObject({ behind: 1 });
  expect(described).toMatchObject({ operations: expect.arrayContaining(['transfer', '<participant>/restore']) });
  await expect(control.perform('participant1/restore', { to: '999' })).rejects.toMatchObject({
    code: 'SIMNET_CANNOT_GO_BACK',
  });
  await expect(control.perform('nonsense', {})).rejects.toMatchObject({ code: 'SIMNET_NOT_FOUND' });
  await simnet?.stop();
  await expect(control.describe()).rejects.toMatchObject({ code: 'SIMNET_UNREACHABLE' });
});
