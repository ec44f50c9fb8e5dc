/** Withdrawals paid through registries over HTTP that fail, lag and lie: they wait, they go on, they are paid once, and only the token concerned waits. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { checkBooks } from '../../src/books/check-books.ts';
import type { ReadSource } from '../../src/config/read-source.ts';
import { createLocalSigner, ed25519PrivateKey } from '../../src/custody/local-signer.ts';
import { systemClock, systemRandom } from '../../src/env/system.ts';
import type { Submitter } from '../../src/ledger/submission-client.ts';
import { createRegistries, type Registries } from '../../src/scan/registries.ts';
import type { RunningInstance } from '../../src/simnet/registry/token-services.ts';
import type { AttemptLimits } from '../../src/submissions/attempts.ts';
import { parseAmount } from '../../src/tokens/amount.ts';
import { createWithdrawals, type Withdrawals } from '../../src/withdrawals/withdrawal-requests.ts';
import { createWithdrawalSink } from '../../src/withdrawals/withdrawal-sink.ts';
import { silentLogger } from '../simnet/harness.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { type RunningIngestion, startIngestion } from '../support/ingestion.ts';
import { NETWORK, startTestNetwork, type TestNetwork } from '../support/network.ts';
import { SIGNER_SEED, startPayouts } from '../support/payouts.ts';

const LIMITS: AttemptLimits = {
  ttlMs: 60_000,
  recordTimeAgeMsMax: 600_000,
  recordTimeAheadMsMax: 600_000,
  attemptsMax: 2,
  triesMax: 50,
  tryHoldMs: 300,
};

let database: TestDatabase;
let simnet: TestNetwork;
let ingestion: RunningIngestion;
let withdrawals: Withdrawals;
const stopping: (() => Promise<void>)[] = [];

beforeEach(async () => {
  database = await createTestDatabase();
  simnet = await startTestNetwork('registry payouts', { registryInstances: 4 });
  const key = await createLocalSigner({ privateKey: ed25519PrivateKey(SIGNER_SEED) }).currentKey();
  simnet.network.registerKey('treasury', key.publicKey.export({ type: 'spki', format: 'der' }));
  for (const instrument of ['amulet', 'usd']) {
    simnet.network.preapprove({ instrument, receiver: 'bob' });
    simnet.network.tap({ instrument, owner: 'treasury', amount: '10' });
  }
  ingestion = await startIngestion({
    connectionString: database.connectionString,
    ledgerUrl: simnet.ledgerUrl(),
    catalog: simnet.catalog,
    sinks: [createWithdrawalSink({ clock: systemClock, logger: database.logger })],
  });
  withdrawals = createWithdrawals({ db: database.db, clock: systemClock, network: NETWORK, idKey: new Uint8Array(32) });
});

afterEach(async () => {
  for (const stop of stopping.splice(0)) await stop();
  await ingestion.stop();
  await simnet.stop();
  await database.close();
});

function instancesOf(instrument: string): readonly RunningInstance[] {
  const { admin } = simnet.network.instrument(instrument);
  return simnet.registries.find((registry) => registry.admin === admin)!.instances;
}

function start(
  sourceOf: (instances: readonly string[]) => ReadSource,
  wrapSubmitter?: (submitter: Submitter) => Submitter,
): Registries {
  const registries = createRegistries({
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
    sourceOf: (admin) =>
      sourceOf(simnet.registries.find((each) => each.admin === admin)!.instances.map(({ url }) => url)),
    scan: null,
    validator: null,
    isPrivateAllowed: true,
    callsPerSecondMax: 100,
    timeoutMs: 1_000,
  });
  const payouts = startPayouts({
    db: database.db,
    treasury: ingestion.treasuries[0]!,
    ledgerUrl: simnet.ledgerUrl(),
    registry: registries,
    logger: database.logger,
    limits: LIMITS,
    ...(wrapSubmitter && { wrapSubmitter }),
  });
  stopping.push(payouts.stop);
  return registries;
}

const ask = (instrument: string) =>
  withdrawals.create({
    client: 'exchange',
    idempotencyKey: instrument,
    account: 'alice',
    treasuryParty: simnet.network.party('treasury'),
    instrument: simnet.network.instrument(instrument),
    receiver: simnet.network.party('bob'),
    amount: parseAmount('5'),
    memo: null,
  });

const stateOf = async (id: string) =>
  (await database.db.selectFrom('withdrawal').select('state').where('id', '=', id).executeTakeFirstOrThrow()).state;
const completed = async (id: string) =>
  await eventually(async () => expect(await stateOf(id)).toBe('COMPLETED'), { deadlineMs: 30_000 });
const balanceOfBob = (instrument: string) => simnet.network.balance({ instrument, owner: 'bob' });
const alone = ([url]: readonly string[]): ReadSource => ({ strategy: 'rotate', urls: [url!] });
const quorum = (urls: readonly string[]): ReadSource => ({ strategy: 'quorum', urls, faultsMax: 1 });

test('F5: a context that went stale between prepare and execute is asked for anew', { timeout: 60_000 }, async () => {
  let prepared = 0;
  start(alone, (submitter) => ({
    ...submitter,
    prepare: async (request) => {
      const answer = await submitter.prepare(request);
      prepared += 1;
      if (prepared === 1) simnet.network.rollRound({ instrument: 'amulet' });
      return answer;
    },
  }));
  const { id } = await ask('amulet');

  await completed(id);

  expect(prepared).toBe(2);
  expect(balanceOfBob('amulet')).toBe('5.0000000000');
  expect(await checkBooks(database.db)).toEqual([]);
});

test('F5: a registry that lags behind the round holds a withdrawal up, and does not end it', {
  timeout: 60_000,
}, async () => {
  const [registry] = instancesOf('amulet');
  registry!.faults.set({ share: 1, fault: { kind: 'lie', lie: 'stale' } });
  let prepares = 0;
  start(alone, (submitter) => ({
    ...submitter,
    prepare: async (request) => {
      prepares += 1;
      // Asked once while the round was still good, and then again and again with the same answer.
      if (prepares === 1) simnet.network.rollRound({ instrument: 'amulet' });
      return await submitter.prepare(request);
    },
  }));
  const { id } = await ask('amulet');
  await eventually(() => expect(prepares).toBeGreaterThan(2), { deadlineMs: 20_000 });
  expect(await stateOf(id)).toBe('IN_FLIGHT');
  const attempts = await database.db.selectFrom('attempt').select(['sign_requested_at', 'state']).execute();
  expect(attempts).toEqual([{ sign_requested_at: null, state: 'OPEN' }]);

  registry!.faults.clear();

  await completed(id);
  expect(balanceOfBob('amulet')).toBe('5.0000000000');
});

test('F1: a registry that hangs holds up its own token alone', { timeout: 60_000 }, async () => {
  const [dead] = instancesOf('usd');
  dead!.faults.set({ share: 1, fault: { kind: 'hang' } });
  const registries = start(alone);
  const usd = await ask('usd');
  await eventually(() => expect(registries.health().some(({ asked }) => asked > 0n)).toBe(true));

  const amulet = await ask('amulet');
  await completed(amulet.id);

  expect(await stateOf(usd.id)).toBe('IN_FLIGHT');
  dead!.faults.clear();
  await completed(usd.id);
  expect([balanceOfBob('amulet'), balanceOfBob('usd')]).toEqual(['5.0000000000', '5.0000000000']);
});

test('F2, F3: by a quorum of four a liar and a dead one cost nothing but a line in the log, one at a time', {
  timeout: 60_000,
}, async () => {
  instancesOf('amulet')[0]!.faults.set({ share: 1, fault: { kind: 'lie', lie: 'contextContract' } });
  await instancesOf('usd')[3]!.close();
  const registries = start(quorum);

  const ids = [(await ask('amulet')).id, (await ask('usd')).id];
  for (const id of ids) await completed(id);

  expect([balanceOfBob('amulet'), balanceOfBob('usd')]).toEqual(['5.0000000000', '5.0000000000']);
  await eventually(() =>
    expect(registries.health().find(({ url }) => url === instancesOf('amulet')[0]!.url)?.dissented).toBeGreaterThan(0n),
  );
});

test('F3: where two of four lie nothing is paid, and nothing is lost', { timeout: 60_000 }, async () => {
  const [one, other] = instancesOf('amulet');
  for (const { faults } of [one!, other!]) faults.set({ share: 1, fault: { kind: 'lie', lie: 'factory' } });
  start(quorum);
  const { id } = await ask('amulet');
  await eventually(
    async () => {
      const attempt = await database.db.selectFrom('attempt').select('last_error').executeTakeFirst();
      expect(attempt?.last_error).toBe('Too few instances gave the same answer.');
    },
    { deadlineMs: 20_000 },
  );
  expect(balanceOfBob('amulet')).toBe('0.0000000000');

  one!.faults.clear();

  await completed(id);
  expect(balanceOfBob('amulet')).toBe('5.0000000000');
});
