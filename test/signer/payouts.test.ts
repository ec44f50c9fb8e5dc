/** Goal: a signer that is away, slow, strict, wrong or changing its key costs time and never money. Method: real withdrawals against a simulated network, with a signer behind its socket. */
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, onTestFinished, test } from 'vitest';
import { CustodyRefusal } from '../../src/custody/custody-refusal.ts';
import { createLocalSigner, ed25519PrivateKey } from '../../src/custody/local-signer.ts';
import { type Signer, SignerUnavailable } from '../../src/custody/signer.ts';
import { systemClock } from '../../src/env/system.ts';
import { OPEN_RULES } from '../../src/signer/signer-rules.ts';
import type { AttemptLimits } from '../../src/submissions/attempts.ts';
import { parseAmount } from '../../src/tokens/amount.ts';
import { createWithdrawals, type Withdrawals } from '../../src/withdrawals/withdrawal-requests.ts';
import { createWithdrawalSink } from '../../src/withdrawals/withdrawal-sink.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { type RunningIngestion, startIngestion } from '../support/ingestion.ts';
import { NETWORK, startTestNetwork, type TestNetwork } from '../support/network.ts';
import { SIGNER_SEED, startPayouts } from '../support/payouts.ts';
import { registryOf } from '../support/simnet-registry.ts';
import { newKey, signerScene } from './scene.ts';

const LIMITS: AttemptLimits = {
  ttlMs: 60_000,
  recordTimeAgeMsMax: 600_000,
  recordTimeAheadMsMax: 600_000,
  attemptsMax: 3,
  triesMax: 20,
  tryHoldMs: 1_000,
};

let database: TestDatabase;
let simnet: TestNetwork;
let ingestion: RunningIngestion;
let withdrawals: Withdrawals;
const stopping: (() => Promise<void>)[] = [];
const local = createLocalSigner({ privateKey: ed25519PrivateKey(SIGNER_SEED) });

beforeEach(async () => {
  database = await createTestDatabase();
  simnet = await startTestNetwork('signers');
  register((await local.currentKey()).publicKey.export({ type: 'spki', format: 'der' }));
  simnet.network.preapprove({ instrument: 'amulet', receiver: 'bob' });
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

const register = (spki: Uint8Array): string => simnet.network.registerKey('treasury', spki);

function start(signer: Signer, limits: Partial<AttemptLimits> = {}): { readonly executed: () => number } {
  const [treasury] = ingestion.treasuries;
  if (treasury === undefined) throw new Error('No treasury.');
  let executed = 0;
  const payouts = startPayouts({
    db: database.db,
    treasury,
    ledgerUrl: simnet.ledgerUrl(),
    registry: registryOf(simnet),
    logger: database.logger,
    limits: { ...LIMITS, ...limits },
    signer,
    wrapSubmitter: (submitter) => ({
      ...submitter,
      execute: async (request) => {
        executed += 1;
        await submitter.execute(request);
      },
    }),
  });
  stopping.push(payouts.stop);
  return { executed: () => executed };
}

function fund(count: number): void {
  for (let index = 0; index < count; index += 1)
    simnet.network.tap({ instrument: 'amulet', owner: 'treasury', amount: '10' });
}

const ask = (key: string) =>
  withdrawals.create({
    client: 'exchange',
    idempotencyKey: key,
    account: 'alice',
    treasuryParty: simnet.network.party('treasury'),
    instrument: simnet.network.instrument('amulet'),
    receiver: simnet.network.party('bob'),
    amount: parseAmount('5'),
    memo: null,
  });

async function states(): Promise<Record<string, number>> {
  const { rows } = await sql<{ state: string; count: number }>`
    SELECT state, count(*)::int AS count FROM withdrawal GROUP BY 1`.execute(database.db);
  return Object.fromEntries(rows.map(({ state, count }) => [state, count]));
}

const become = (wanted: Record<string, number>, deadlineMs = 30_000) =>
  eventually(async () => expect(await states()).toEqual(wanted), { deadlineMs });
const attempts = () => database.db.selectFrom('attempt').selectAll().orderBy('number').execute();
const troubled = (why: RegExp) =>
  eventually(async () => expect((await attempts()).at(-1)?.last_error).toMatch(why), { deadlineMs: 20_000 });
const troubledBy = (why: RegExp) =>
  eventually(
    async () =>
      expect((await attempts()).map(({ last_error }) => last_error ?? '')).toContainEqual(expect.stringMatching(why)),
    { deadlineMs: 20_000 },
  );
const paidToBob = () => simnet.network.balance({ instrument: 'amulet', owner: 'bob' });

/** Sends the automations on their next try at once. */
const hurry = () => sql`UPDATE attempt SET next_try_at = 0 WHERE state = 'OPEN'`.execute(database.db);

test('S1: withdrawals wait for a signer that is down, without a local key and without using up tries', {
  timeout: 60_000,
}, async () => {
  fund(2);
  const scene = signerScene({ rules: OPEN_RULES });
  register(scene.keys[0]!.shown.publicKey.export({ type: 'spki', format: 'der' }));
  const payer = start(scene.client);
  await ask('one');
  await ask('two');
  await troubled(/signer did not answer/i);

  expect(payer.executed()).toBe(0);
  expect((await attempts()).map(({ state, tries }) => [state, tries])).toEqual([
    ['OPEN', 0],
    ['OPEN', 0],
  ]);
  await scene.start();
  await hurry();
  await become({ COMPLETED: 2 });
  expect(await paidToBob()).toBe('10.0000000000');
});

test('S3: a refusal by policy at the first attempt fails the withdrawal early, with its reason, and frees its inputs', async () => {
  fund(1);
  const refusing: Signer = {
    ...local,
    sign: async () => {
      throw new CustodyRefusal('SIGNING_LIMIT', 'More than the signer allows.', 'intent.amount');
    },
  };
  start(refusing);
  await ask('refused');
  await become({ FAILED: 1 });

  const row = await database.db.selectFrom('withdrawal').selectAll().executeTakeFirstOrThrow();
  expect(row).toMatchObject({ failure_code: 'SIGNING_LIMIT' });
  expect(
    (await attempts()).map(({ state, sign_requests, sign_refusals }) => [state, sign_requests, sign_refusals]),
  ).toEqual([['GIVEN_UP', 1, 1]]);
  const open = await database.db.selectFrom('reservation').selectAll().where('is_open', '=', true).execute();
  expect(open).toEqual([]);
  expect(await paidToBob()).toBe('0.0000000000');
});

test('S3: a refusal at the third attempt waits for its target: two signatures are out', {
  timeout: 90_000,
}, async () => {
  fund(1);
  const asked = new Set<number>();
  simnet.network.participant('participant1').faults.submissions.set({ dropExecutes: { share: 1 } });
  start(
    {
      ...local,
      sign: async (request, signal) => {
        asked.add(request.attempt);
        if (request.attempt < 3) return await local.sign(request, signal);
        throw new CustodyRefusal('SIGNING_POLICY', 'Not this one.', 'intent');
      },
    },
    { ttlMs: 2_500 },
  );
  await ask('refused-late');
  await become({ FAILED: 1 }, 60_000);

  expect(asked).toEqual(new Set([1, 2, 3]));
  expect((await attempts()).map(({ state }) => state)).toEqual(['LAPSED', 'LAPSED', 'LAPSED']);
});

test('S3: a refusal does not end an attempt while the answer to another request of it is unknown', {
  timeout: 60_000,
}, async () => {
  fund(1);
  let asked = 0;
  start({
    ...local,
    sign: async () => {
      asked += 1;
      if (asked === 1) throw new SignerUnavailable('SIGNER_UNAVAILABLE', 'The answer was lost.');
      throw new CustodyRefusal('SIGNING_POLICY', 'Not this one.', 'intent');
    },
  });
  await ask('unknown');
  await troubled(/answer was lost/);
  await hurry();
  await troubled(/Not this one/);

  expect(
    (await attempts()).map(({ state, sign_requests, sign_refusals }) => [state, sign_requests, sign_refusals]),
  ).toEqual([['OPEN', 2, 1]]);
  expect(await states()).toEqual({ IN_FLIGHT: 1 });
});

test('S5: a signature that comes after the target is not sent, and a later attempt pays once', {
  timeout: 60_000,
}, async () => {
  fund(1);
  const payer = start(
    {
      ...local,
      sign: async (request, signal) => {
        const signature = await local.sign(request, signal);
        if (request.attempt > 1) return signature;
        await eventually(
          async () => {
            const times = await database.db.selectFrom('synchronizer_time').selectAll().execute();
            expect(times.some(({ record_time }) => record_time > request.intent.maxRecordTime)).toBe(true);
          },
          { deadlineMs: 30_000 },
        );
        return signature;
      },
    },
    { ttlMs: 4_000, attemptsMax: 1 },
  );
  await ask('late');
  await become({ COMPLETED: 1 }, 40_000);

  const tried = (await attempts()).map(({ state, tries }) => [state, tries > 0]);
  expect(tried[0]).toEqual(['LAPSED', false]);
  expect(tried.at(-1)).toEqual(['SETTLED', true]);
  expect(payer.executed()).toBe(tried.filter(([, isSent]) => isSent === true).length);
  expect(await paidToBob()).toBe('5.0000000000');
});

test('S6: a signature that is wrong is never sent, and the withdrawal waits for a right one', {
  timeout: 60_000,
}, async () => {
  fund(1);
  const lies = [
    (bytes: Uint8Array) => ({ signature: bytes.map((byte) => byte ^ 1) }),
    () => ({ signedBy: `1220${'0'.repeat(64)}` }),
    () => ({ format: 'DER' as const }),
    () => ({ hash: new Uint8Array(32) }),
  ];
  let signed = 0;
  const payer = start({
    ...local,
    sign: async (request, signal) => {
      const honest = await local.sign(request, signal);
      const lie = lies[signed];
      signed += 1;
      return lie === undefined ? honest : { ...honest, ...lie(honest.signature) };
    },
  });
  await ask('lied-to');
  for (let tries = 1; tries <= lies.length; tries += 1) {
    await eventually(() => expect(signed).toBe(tries), { deadlineMs: 20_000 });
    await troubled(/signature\./);
    expect(payer.executed()).toBe(0);
    await hurry();
  }
  await become({ COMPLETED: 1 });
  expect(await paidToBob()).toBe('5.0000000000');
});

test('S7: a node that claims another hash than its transaction has gets no signature', {
  timeout: 60_000,
}, async () => {
  fund(1);
  let asked = 0;
  start({
    ...local,
    sign: async (request, signal) => {
      asked += 1;
      return await local.sign(request, signal);
    },
  });
  simnet.network
    .participant('participant1')
    .faults.submissions.set({ lieInPrepare: { share: 1, lie: { kind: 'hash' } } });
  await ask('hash');
  await troubled(/claims another hash/);
  expect(asked).toBe(0);
  expect(await database.db.selectFrom('signed_hash').selectAll().execute()).toEqual([]);

  simnet.network
    .participant('participant1')
    .faults.submissions.set({ lieInPrepare: { share: 0, lie: { kind: 'hash' } } });
  await hurry();
  await become({ COMPLETED: 1 });
});

test('S8: the key is rotated under load: what the ledger refuses is signed again with the new one, and paid once', {
  timeout: 90_000,
}, async () => {
  fund(8);
  const scene = signerScene({ rules: OPEN_RULES });
  const spki = (index: number) => scene.keys[index]!.shown.publicKey.export({ type: 'spki', format: 'der' });
  const old = register(spki(0));
  await scene.start();
  start(scene.client, { triesMax: 1_000 });
  for (let index = 0; index < 4; index += 1) await ask(`before-${index}`);
  await eventually(async () => expect((await states())['COMPLETED']).toBeGreaterThan(0), { deadlineMs: 20_000 });

  // The ledger no longer takes the old key; the signer does not know yet.
  simnet.network.revokeKey('treasury', old);
  const busy = setInterval(() => void hurry().catch(() => undefined), 1_000);
  onTestFinished(() => clearInterval(busy));
  for (let index = 0; index < 4; index += 1) await ask(`during-${index}`);
  await troubledBy(/not registered|INVALID_EXTERNAL_SIGNATURE/);

  await scene.stop();
  await scene.start({ key: newKey() });
  register(spki(1));
  await become({ COMPLETED: 8 }, 45_000);
  clearInterval(busy);
  expect(await paidToBob()).toBe('40.0000000000');
  expect((await attempts()).every(({ number, state }) => number === 1 && state === 'SETTLED')).toBe(true);
});
