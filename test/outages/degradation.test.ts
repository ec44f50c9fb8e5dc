/**
 * What is served, accepted and done while something that Sluice stands on is away: one test for each row of the table in docs/freshness.md. One whole service, with a proxy before
 * everything it speaks to; each test takes something away, looks, and gives it back. The database has a file of its own (last-known.test.ts).
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import { type Service, startService } from '../../src/cli/service.ts';
import { loadConfig } from '../../src/config/config.ts';
import type { Clock } from '../../src/env/clock.ts';
import { noFailpoints } from '../../src/env/failpoint.ts';
import { createSystemLogger, systemClock, systemRandom } from '../../src/env/system.ts';
import { OPEN_RULES } from '../../src/signer/signer-rules.ts';
import type { SignerServer } from '../../src/signer/signer-server.ts';
import { startSigner } from '../../src/signer/signer-service.ts';
import { newKey } from '../signer/scene.ts';
import { post } from '../support/api.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { NETWORK, startTestNetwork, type TestNetwork } from '../support/network.ts';
import { SCREENING_SECRET, type ScreeningServer, startScreeningServer } from '../support/screening-server.ts';
import { createTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const PATIENT = { deadlineMs: 40_000, intervalMs: 100 };

let database: TestDatabase;
let simnet: TestNetwork;
let screening: ScreeningServer;
let service: Service;
const proxies: TcpProxy[] = [];
let endpoints: readonly [TcpProxy, TcpProxy];
const registries = new Map<string, TcpProxy>();
let skew = 0n;
const clock: Clock = { ...systemClock, nowMicros: () => systemClock.nowMicros() + skew };

const key = newKey();
let signerPlace: string;
let signing: SignerServer | null = null;

async function startSigning(): Promise<void> {
  signing = await startSigner({
    key,
    logPath: join(signerPlace, 'signer.log'),
    beginning: 'FIRST',
    rules: OPEN_RULES,
    listening: { kind: 'UNIX', path: join(signerPlace, 'signer.sock'), mode: 0o600 },
    clock: systemClock,
    logger: createSystemLogger('silent'),
  });
}

async function before(url: string): Promise<TcpProxy> {
  const { hostname, port } = new URL(url);
  const proxy = await createTcpProxy({ host: hostname, port: Number(port) });
  proxies.push(proxy);
  return proxy;
}

const through = (proxy: TcpProxy): string => `http://127.0.0.1:${proxy.port}`;

beforeAll(async () => {
  database = await createTestDatabase();
  simnet = await startTestNetwork('degradation', { checkpoints: { busyMs: 50, idleMs: 200 } });
  screening = await startScreeningServer('allow');
  signerPlace = mkdtempSync(join(tmpdir(), 'sluice-degradation-'));
  await startSigning();
  simnet.network.registerKey('treasury', key.shown.publicKey.export({ type: 'spki', format: 'der' }));
  for (const instrument of ['amulet', 'usd']) {
    simnet.network.preapprove({ instrument, receiver: 'bob' });
    for (let count = 0; count < 4; count += 1) simnet.network.tap({ instrument, owner: 'treasury', amount: '50' });
    simnet.network.tap({ instrument, owner: 'alice', amount: '1000' });
  }
  endpoints = [await before(simnet.ledgerUrl()), await before(simnet.ledgerUrl())];
  for (const { admin, url } of simnet.registries) registries.set(admin, await before(url));
  const { databaseUrl, ...config } = loadConfig({
    DATABASE_URL: database.connectionString,
    SLUICE_LEDGER_URL: endpoints.map(through).join(','),
    SLUICE_LEDGER_PARTICIPANTS: 'participant::1220,participant::1220',
    SLUICE_RECONNECT_DELAY_MS: '500',
    SLUICE_NETWORK: NETWORK,
    SLUICE_TREASURY_PARTIES: simnet.network.party('treasury'),
    SLUICE_INSTRUMENTS: simnet.catalog.instruments.map(({ name, admin, id }) => `${name}=${admin}/${id}`).join(','),
    SLUICE_REGISTRIES: [...registries].map(([admin, proxy]) => `${admin}=${through(proxy)}`).join(','),
    SLUICE_REGISTRY_PRIVATE: 'allow',
    SLUICE_WITHDRAWAL_KEY: '07'.repeat(32),
    SLUICE_SIGNER_URL: `unix:${join(signerPlace, 'signer.sock')}`,
    SLUICE_SIGNER_KEYS: key.shown.fingerprint,
    SLUICE_SCREENING_URL: screening.url,
    SLUICE_SCREENING_SECRET: Buffer.from(SCREENING_SECRET).toString('hex'),
    SLUICE_SCREENING_TRIES: '100',
    SLUICE_PORT: '0',
  });
  const env = { clock, random: systemRandom, logger: createSystemLogger('silent'), failpoint: noFailpoints };
  service = await startService({ config, connectionString: databaseUrl?.reveal() ?? '', env });
  await ask('mutation { createDepositAccount(input: { account: "alice", memo: "alice-memo" }) { __typename } }');
});

afterAll(async () => {
  await service?.stop();
  await signing?.close();
  for (const proxy of proxies) await proxy.close();
  await screening.stop();
  await simnet.stop();
  await database.close();
  rmSync(signerPlace, { recursive: true, force: true });
});

async function ask(query: string, variables: Record<string, unknown> = {}) {
  const answer = await post(service.url ?? '', { query, variables });
  expect(answer.errors).toBeUndefined();
  return answer.data;
}

let paid = 0;

/** One is paid in. @returns the number of payments until now. */
function payIn(): number {
  simnet.network.transfer({
    instrument: 'amulet',
    sender: 'alice',
    receiver: 'treasury',
    amount: '1',
    memo: 'alice-memo',
  });
  paid += 1;
  return paid;
}

async function seen(): Promise<number> {
  const { transfers } = await ask('{ transfers(first: 100) { nodes { memo } } }');
  return transfers.nodes.filter(({ memo }: { memo: string | null }) => memo === 'alice-memo').length;
}

async function credited(): Promise<number> {
  const { accounts } = await ask('{ accounts { nodes { customer balances { amount instrument { name } } } } }');
  const [alice] = accounts.nodes.filter(({ customer }: { customer: string | null }) => customer === 'alice');
  const balance = alice?.balances.find((each: { instrument: { name: string } }) => each.instrument.name === 'amulet');
  // A withdrawal of hers debits her as well.
  return Number(balance?.amount ?? 0) + withdrawn;
}

let withdrawn = 0;
let requests = 0;

async function withdraw(instrument: 'amulet' | 'usd' = 'amulet'): Promise<string> {
  requests += 1;
  if (instrument === 'amulet') withdrawn += 1;
  const { admin, id } = simnet.network.instrument(instrument);
  const input = {
    idempotencyKey: `key-${requests}`,
    account: 'alice',
    instrumentAdmin: admin,
    instrumentId: id,
    receiver: simnet.network.party('bob'),
    amount: '1',
  };
  const { createWithdrawal } = await ask(
    `mutation ($input: CreateWithdrawalInput!) { createWithdrawal(input: $input) {
      __typename ... on CreateWithdrawalPayload { withdrawal { withdrawalId } } ... on Error { code message } } }`,
    { input },
  );
  expect(createWithdrawal).toMatchObject({ __typename: 'CreateWithdrawalPayload' });
  return createWithdrawal.withdrawal.withdrawalId;
}

async function stateOf(withdrawalId: string): Promise<string> {
  const { withdrawal } = await ask('query ($id: String!) { withdrawal(withdrawalId: $id) { state } }', {
    id: withdrawalId,
  });
  return withdrawal.state;
}

const until = async (withdrawalId: string, state: string) =>
  await eventually(async () => expect(await stateOf(withdrawalId)).toBe(state), PATIENT);

const freshness = async () => (await ask('{ freshness { state ageMs recordTime } }')).freshness;
const signatures = async () => (await database.db.selectFrom('signed_hash').selectAll().execute()).length;
const untilSeen = async (count: number) => await eventually(async () => expect(await seen()).toBe(count), PATIENT);
const untilCredited = async (count: number) =>
  await eventually(async () => expect(await credited()).toBe(count), PATIENT);

/** It is not paid, though nothing of ours hurries or hinders it: as long as several tries take. */
async function staysUnpaid(withdrawalId: string): Promise<void> {
  await systemClock.sleep(1_500);
  expect(['QUEUED', 'IN_FLIGHT']).toContain(await stateOf(withdrawalId));
}

test('one participant endpoint down: reads are fresh and payments go on by the next endpoint', async () => {
  await untilSeen(payIn());
  await endpoints[0].refuse();
  onTestFinished(async () => await endpoints[0].admit());

  await untilSeen(payIn());
  expect(await freshness()).toMatchObject({ state: 'IDLE' });
  await until(await withdraw(), 'COMPLETED');
  await untilCredited(paid);
});

test('all participants down: reads are served and tell their age, requests queue, nothing is signed, and all goes on afterwards', async () => {
  await untilSeen(payIn());
  const before = await freshness();
  for (const endpoint of endpoints) await endpoint.refuse();
  const unseen = payIn();
  const awaySince = performance.now();

  const withdrawalId = await withdraw();
  const signed = await signatures();
  await staysUnpaid(withdrawalId);
  expect(await seen()).toBe(unseen - 1);
  const outageMs = performance.now() - awaySince;
  const during = await freshness();
  expect(during.ageMs).toBeGreaterThanOrEqual(outageMs);
  expect(BigInt(Date.parse(during.recordTime))).toBeGreaterThanOrEqual(BigInt(Date.parse(before.recordTime)));
  // Past the limit: as long as a participant may be silent.
  skew = 100_000_000n;
  const later = await freshness();
  expect(later.state).toBe('STALLED');
  expect(later.ageMs).toBeGreaterThanOrEqual(100_000);
  expect(await signatures()).toBe(signed);
  skew = 0n;

  for (const endpoint of endpoints) await endpoint.admit();
  await untilSeen(unseen);
  await until(withdrawalId, 'COMPLETED');
  expect((await freshness()).state).toBe('IDLE');
});

test('registry down: reads are fresh, its instrument waits, and the others go on', async () => {
  const down = registries.get(simnet.network.instrument('amulet').admin);
  await down?.refuse();

  const waiting = await withdraw('amulet');
  await until(await withdraw('usd'), 'COMPLETED');
  await untilSeen(payIn());
  expect(await freshness()).toMatchObject({ state: 'IDLE' });
  await staysUnpaid(waiting);

  await down?.admit();
  await until(waiting, 'COMPLETED');
});

test('signer down: reads are fresh, requests queue, and none is skipped', async () => {
  await signing?.close();
  const received = simnet.network.balance({ instrument: 'amulet', owner: 'bob' });

  const waiting = [await withdraw(), await withdraw()];
  await untilSeen(payIn());
  expect(await freshness()).toMatchObject({ state: 'IDLE' });
  for (const withdrawalId of waiting) await staysUnpaid(withdrawalId);
  expect(simnet.network.balance({ instrument: 'amulet', owner: 'bob' })).toBe(received);

  await startSigning();
  for (const withdrawalId of waiting) await until(withdrawalId, 'COMPLETED');
});

test.each(['hang', 'status500', 'unsigned'] as const)(
  'screening service down (%s): reads are fresh, and a deposit is held until it says yes',
  async (behaviour) => {
    await untilCredited(paid);
    const credit = paid;
    screening.behave(behaviour);

    await untilSeen(payIn());
    expect(await freshness()).toMatchObject({ state: 'IDLE' });
    await systemClock.sleep(600);
    expect(await credited()).toBe(credit);

    screening.behave('allow');
    await untilCredited(paid);
  },
);
