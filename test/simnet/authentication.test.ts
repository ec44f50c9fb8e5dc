/** Who may call a participant: tokens, their end, rights, and what becomes of open streams, over gRPC. */
import { credentials, Metadata, status } from '@grpc/grpc-js';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { PartyManagementServiceClient } from '../../src/gen/com/daml/ledger/api/v2/admin/party_management_service.ts';
import { GetUpdatesRequest } from '../../src/gen/com/daml/ledger/api/v2/update_service.ts';
import { formatFor, waitFor } from './harness.ts';

import { detailsOf, drain, refusal, type Served, serve, transactionIds, unary } from './ledger-client.ts';

let served: Served;

beforeEach(async () => {
  served = await serve({
    users: [{ id: 'ingester', readAs: ['treasury'] }],
    checkpoints: { busyMs: 20, idleMs: 20 },
  });
});

afterEach(async () => {
  await served.stop();
});

const bearer = (token: string): Metadata => {
  const metadata = new Metadata();
  metadata.set('authorization', `Bearer ${token}`);
  return metadata;
};
const tokenFor = (user: string, lifetimeMs = 60_000): string =>
  served.network.access.issueToken({ user, lifetimeMs }).token;
const ledgerEnd = (metadata: Metadata) => unary((callback) => served.state.getLedgerEnd({}, metadata, callback));
const streamAs = (token: string, parties = ['treasury']) =>
  served.updates.getUpdates(
    GetUpdatesRequest.fromPartial({
      beginExclusive: 0n,
      updateFormat: formatFor(parties.map((party) => served.network.party(party))),
    }),
    bearer(token),
  );

test('no token, a bad one, an ended one or one for nobody is UNAUTHENTICATED and says nothing', async () => {
  const other = `${tokenFor('ingester').slice(0, -4)}AAAA`;
  const audience = served.network.access.issueToken({ user: 'ingester', audience: 'https://elsewhere' }).token;
  const refusals = [
    await refusal(ledgerEnd(new Metadata())),
    await refusal(ledgerEnd(bearer('nonsense'))),
    await refusal(ledgerEnd(bearer(other))),
    await refusal(ledgerEnd(bearer(audience))),
    await refusal(ledgerEnd(bearer(tokenFor('ingester', -1_000)))),
    await refusal(ledgerEnd(bearer(tokenFor('stranger')))),
    await drain(streamAs('nonsense')).then(({ error }) => error),
  ];

  for (const error of refusals) {
    expect(error?.code).toBe(status.UNAUTHENTICATED);
    expect(error && detailsOf(error).types).toEqual(['RequestInfo']);
  }
  await expect(ledgerEnd(bearer(tokenFor('ingester')))).resolves.toBeDefined();
});

test('a user reads only as its parties, and only an administrator asks for the participant id', async () => {
  const { updateId } = served.pay();
  served.network.access.setUser({ id: 'operator', isAdmin: true });
  const parties = new PartyManagementServiceClient(served.address, credentials.createInsecure());
  const participantId = (user: string) =>
    unary<{ participantId: string }>((callback) => parties.getParticipantId({}, bearer(tokenFor(user)), callback));

  const own = streamAs(tokenFor('ingester'));
  const ids: string[] = [];
  own.on('error', () => undefined);
  own.on('data', (message) => ids.push(...transactionIds([message])));
  await waitFor(() => ids.includes(updateId));
  own.cancel();
  const foreign = await drain(streamAs(tokenFor('ingester'), ['treasury', 'alice']));
  const denied = await refusal(participantId('ingester'));
  const admitted = await participantId('operator');
  parties.close();

  expect(foreign.error?.code).toBe(status.PERMISSION_DENIED);
  expect(denied.code).toBe(status.PERMISSION_DENIED);
  expect(admitted.participantId).toBe(served.node.participantId);
});

test('a stream outlives its token until the next element, then fails with ACCESS_TOKEN_EXPIRED', async () => {
  const { messages, error } = await drain(streamAs(tokenFor('ingester', 150)));

  expect(messages.length).toBeGreaterThan(0);
  expect(error?.code).toBe(status.ABORTED);
  expect(error && detailsOf(error).info.reason).toBe('ACCESS_TOKEN_EXPIRED');
  expect(served.node.faults.openStreams()).toBe(0);
});

test('a change of rights cuts the stream with STALE_STREAM_AUTHORIZATION, to be retried at once', async () => {
  const open = drain(streamAs(tokenFor('ingester')));
  await waitFor(() => served.node.faults.openStreams() === 1);

  served.network.access.setUser({ id: 'ingester', readAs: ['treasury', 'alice'] });
  const { error } = await open;
  const wider = streamAs(tokenFor('ingester'), ['treasury', 'alice']);
  wider.on('error', () => undefined);
  await waitFor(() => served.node.faults.openStreams() === 1);
  wider.cancel();
  served.network.access.removeUser('ingester');
  const gone = await refusal(ledgerEnd(bearer(tokenFor('ingester'))));

  expect(error?.code).toBe(status.ABORTED);
  expect(error && detailsOf(error).info.reason).toBe('STALE_STREAM_AUTHORIZATION');
  expect(error && detailsOf(error).retry.retryDelay).toMatchObject({ seconds: 0n, nanos: 0 });
  expect(gone.code).toBe(status.UNAUTHENTICATED);
});

test('the token endpoint gives tokens for client credentials, with the lifetime that was set', async () => {
  const ask = (form: Record<string, string>) =>
    fetch(`${served.simnet.controlUrl}/oauth/token`, { method: 'POST', body: new URLSearchParams(form) });
  served.network.access.setTokenLifetime(30_000);

  const granted = await ask({ grant_type: 'client_credentials', client_id: 'ingester', client_secret: 's' });
  const { access_token: token, ...rest } = await granted.json();
  const refused = await ask({ grant_type: 'password', client_id: 'ingester' });

  expect(rest).toEqual({ token_type: 'Bearer', expires_in: 30 });
  await expect(ledgerEnd(bearer(token))).resolves.toBeDefined();
  expect(refused.status).toBe(400);
  expect(await refused.json()).toMatchObject({ error: 'unsupported_grant_type' });
});
