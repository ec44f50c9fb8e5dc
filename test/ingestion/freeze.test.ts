/** Freezes: while one stands, nothing of what it covers is reserved or signed; when it is lifted, all goes on. */
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createLocalSigner, ed25519PrivateKey } from '../../src/custody/local-signer.ts';
import type { Signer } from '../../src/custody/signer.ts';
import type { FailpointName } from '../../src/env/failpoint.ts';
import { systemClock } from '../../src/env/system.ts';
import { type FreezeScope, liftFreeze, openFreeze } from '../../src/ingestion/freezes.ts';
import { type AttemptLimits, lapseAttempts } from '../../src/submissions/attempts.ts';
import { parseAmount } from '../../src/tokens/amount.ts';
import { openAttempts } from '../../src/withdrawals/attempt-funding.ts';
import { WITHDRAWALS } from '../../src/withdrawals/attempts.ts';
import { createWithdrawals, type Withdrawals } from '../../src/withdrawals/withdrawal-requests.ts';
import { createWithdrawalSink } from '../../src/withdrawals/withdrawal-sink.ts';
import { startApi, type TestApi } from '../support/api.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { type RunningIngestion, startIngestion } from '../support/ingestion.ts';
import { NETWORK, startTestNetwork, type TestNetwork } from '../support/network.ts';
import { SIGNER_SEED, startPayouts } from '../support/payouts.ts';
import { registryOf } from '../support/simnet-registry.ts';

const LIMITS: AttemptLimits = {
  ttlMs: 20_000,
  recordTimeAgeMsMax: 600_000,
  recordTimeAheadMsMax: 600_000,
  attemptsMax: 2,
  triesMax: 6,
  tryHoldMs: 1_000,
};

let database: TestDatabase;
let simnet: TestNetwork;
let ingestion: RunningIngestion;
let withdrawals: Withdrawals;
let treasuryId: number;
let amulet: number;

beforeEach(async () => {
  database = await createTestDatabase();
  simnet = await startTestNetwork('freezes');
  const key = await createLocalSigner({ privateKey: ed25519PrivateKey(SIGNER_SEED) }).currentKey();
  simnet.network.registerKey('treasury', key.publicKey.export({ type: 'spki', format: 'der' }));
  simnet.network.preapprove({ instrument: 'amulet', receiver: 'bob' });
  ingestion = await startIngestion({
    connectionString: database.connectionString,
    ledgerUrl: simnet.ledgerUrl(),
    catalog: simnet.catalog,
    sinks: [createWithdrawalSink({ clock: systemClock, logger: database.logger })],
  });
  treasuryId = ingestion.treasuries[0]?.id ?? 0;
  withdrawals = createWithdrawals({ db: database.db, clock: systemClock, network: NETWORK, idKey: new Uint8Array(32) });
  const { id } = simnet.network.instrument('amulet');
  const row = database.db.selectFrom('instrument').select('id').where('instrument_id', '=', id);
  amulet = (await row.executeTakeFirstOrThrow()).id;
  simnet.network.tap({ instrument: 'amulet', owner: 'treasury', amount: '10' });
  await eventually(async () => {
    ingestion.throwIfFailed();
    const { count } = await database.db
      .selectFrom('holding')
      .select((row) => row.fn.countAll<bigint>().as('count'))
      .executeTakeFirstOrThrow();
    expect(count).toBe(1n);
  });
});

afterEach(async () => {
  await ingestion.stop();
  await simnet.stop();
  await database.close();
});

const ask = () =>
  withdrawals.create({
    client: 'exchange',
    idempotencyKey: 'key-1',
    account: 'alice',
    treasuryParty: simnet.network.party('treasury'),
    instrument: simnet.network.instrument('amulet'),
    receiver: simnet.network.party('bob'),
    amount: parseAmount('5'),
    memo: null,
  });

const freeze = (scope: FreezeScope) =>
  openFreeze(database.db, {
    ...scope,
    reason: 'OPERATOR',
    detail: 'A test froze it.',
    cause: 'test',
    openedBy: 'test',
    nowMicros: systemClock.nowMicros(),
  });

async function lift(): Promise<void> {
  const { id } = await database.db
    .selectFrom('money_freeze')
    .select('id')
    .where('lifted_at', 'is', null)
    .executeTakeFirstOrThrow();
  const lifted = { id, by: 'test', detail: 'It was a test.', nowMicros: systemClock.nowMicros() };
  expect(await liftFreeze(database.db, lifted)).toBe(true);
  expect(await liftFreeze(database.db, lifted)).toBe(false);
}

const fund = () => openAttempts(database.db, treasuryId, LIMITS, systemClock.nowMicros());

test('nothing is reserved for what a freeze covers, whatever its scope, until it is lifted', async () => {
  await ask();
  const scopes: FreezeScope[] = [
    { treasuryId: null, instrumentKey: null },
    { treasuryId, instrumentKey: null },
    { treasuryId: null, instrumentKey: amulet },
    { treasuryId, instrumentKey: amulet },
  ];

  for (const scope of scopes) {
    expect(await freeze(scope)).toBe(true);
    expect(await fund()).toBe(0);
    await lift();
  }

  expect(await fund()).toBe(1);
});

test('a freeze of another instrument or treasury stops nobody', async () => {
  await ask();
  const other = await database.db
    .selectFrom('instrument')
    .select('id')
    .where('id', '!=', amulet)
    .executeTakeFirstOrThrow();
  const { id: stranger } = await database.db
    .insertInto('treasury_party')
    .values({ network_id: ingestion.treasuries[0]?.networkId ?? 0, party: 'other::1220', name: 'other' })
    .returning('id')
    .executeTakeFirstOrThrow();
  await freeze({ treasuryId: null, instrumentKey: other.id });
  await freeze({ treasuryId: stranger, instrumentKey: null });

  expect(await fund()).toBe(1);
});

test('a second freeze of the same scope and reason is the first one; one of another scope is not', async () => {
  expect(await freeze({ treasuryId, instrumentKey: null })).toBe(true);
  expect(await freeze({ treasuryId, instrumentKey: null })).toBe(false);
  expect(await freeze({ treasuryId: null, instrumentKey: null })).toBe(true);
});

test.each([
  'withdrawals.afterFunding',
  'withdrawals.afterPrepare',
  'withdrawals.afterSignatureRequested',
  'withdrawals.afterSigning',
] as const)('a freeze committed at %s stops the transfer there, and it goes on when lifted', async (point) => {
  let signatures = 0;
  let executions = 0;
  let isFrozen = false;
  const local = createLocalSigner({ privateKey: ed25519PrivateKey(SIGNER_SEED) });
  const signer: Signer = {
    currentKey: () => local.currentKey(),
    sign: async (request) => {
      if (isFrozen) signatures += 1;
      return local.sign(request);
    },
  };
  const failpoint = async (name: FailpointName) => {
    if (name === 'withdrawals.beforeExecute' && isFrozen) executions += 1;
    if (name !== point || isFrozen) return;
    await freeze({ treasuryId, instrumentKey: null });
    isFrozen = true;
  };
  const [treasury] = ingestion.treasuries;
  if (treasury === undefined) throw new Error('No treasury.');
  const payouts = startPayouts({
    db: database.db,
    treasury,
    ledgerUrl: simnet.ledgerUrl(),
    registry: registryOf(simnet),
    logger: database.logger,
    limits: LIMITS,
    signer,
    failpoint,
  });

  try {
    const { id } = await ask();
    const attempt = () => database.db.selectFrom('attempt').select(['last_error', 'state']).executeTakeFirstOrThrow();
    await eventually(async () => expect((await attempt()).last_error).toMatch(/OPERATOR: A test froze it/), {
      deadlineMs: 15_000,
    });
    expect({ signatures, executions }).toEqual({ signatures: 0, executions: 0 });
    await lift();
    await sql`UPDATE attempt SET next_try_at = 0`.execute(database.db);
    await eventually(
      async () => {
        payouts.throwIfFailed();
        const { state } = await database.db
          .selectFrom('withdrawal')
          .select('state')
          .where('id', '=', id)
          .executeTakeFirstOrThrow();
        expect(state).toBe('COMPLETED');
      },
      { deadlineMs: 20_000 },
    );
    expect(simnet.network.balance({ instrument: 'amulet', owner: 'bob' })).toBe('5.0000000000');
  } finally {
    await payouts.stop();
  }
});

test('while something was seen that could not be read, an attempt that was not seen is not proven dead', async () => {
  await ask();
  expect(await fund()).toBe(1);
  await ingestion.stop();
  const { target_record_time: target } = await database.db
    .selectFrom('attempt')
    .select('target_record_time')
    .executeTakeFirstOrThrow();
  await sql`UPDATE synchronizer_time SET record_time = ${target + 1n}`.execute(database.db);
  const lapse = () => lapseAttempts(database.db, WITHDRAWALS, treasuryId, LIMITS, systemClock.nowMicros());
  const doubt = { reason: 'QUARANTINE' as const, detail: 'x', cause: 'update:x', openedBy: 'test', nowMicros: 1n };
  await openFreeze(database.db, { treasuryId, instrumentKey: amulet, ...doubt });

  expect(await lapse()).toBe(0);

  await lift();
  // An operator's freeze says nothing of what was seen.
  await freeze({ treasuryId, instrumentKey: null });
  expect(await lapse()).toBe(1);
});

test('the API shows freezes, and on a withdrawal the ones that keep it waiting', async () => {
  const { id } = await ask();
  await freeze({ treasuryId, instrumentKey: amulet });
  const api: TestApi = await startApi(database);
  try {
    const ASKED = `{
      freezes(isOpen: true) { edges { node { freezeId reason detail cause openedBy liftedAt treasury { party } instrument { instrumentId } } } }
      withdrawals { edges { node { withdrawalId state frozenBy { reason detail } } } }
    }`;
    const { data, errors } = await api.query(ASKED);
    expect(errors).toBeUndefined();
    expect(data.freezes.edges.map(({ node }: { node: unknown }) => node)).toEqual([
      {
        freezeId: expect.any(String),
        reason: 'OPERATOR',
        detail: 'A test froze it.',
        cause: 'test',
        openedBy: 'test',
        liftedAt: null,
        treasury: { party: simnet.network.party('treasury') },
        instrument: { instrumentId: 'Amulet' },
      },
    ]);
    expect(data.withdrawals.edges).toEqual([
      {
        node: {
          withdrawalId: id,
          state: 'QUEUED',
          frozenBy: [{ reason: 'OPERATOR', detail: 'A test froze it.' }],
        },
      },
    ]);

    await lift();
    const after = await api.query(ASKED);
    expect(after.data.freezes.edges).toEqual([]);
    expect(after.data.withdrawals.edges[0].node.frozenBy).toEqual([]);
    const past = await api.query('{ freezes(isOpen: false) { edges { node { liftedBy liftDetail } } } }');
    expect(past.data.freezes.edges).toEqual([{ node: { liftedBy: 'test', liftDetail: 'It was a test.' } }]);
  } finally {
    await api.stop();
  }
});
