/**
 * However often an attempt is tried, by however many lives of a process: with the same inputs and one last record time. What is looked at is what a participant was really asked to prepare and to execute,
 * beside the rows it follows from.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createLocalSigner, ed25519PrivateKey } from '../../src/custody/local-signer.ts';
import { systemClock } from '../../src/env/system.ts';
import { registerCatalog } from '../../src/ingestion/catalog.ts';
import type { PrepareRequest, Submitter } from '../../src/ledger/submission-client.ts';
import type { AttemptLimits } from '../../src/submissions/attempts.ts';
import { parseAmount } from '../../src/tokens/amount.ts';
import { createWithdrawals } from '../../src/withdrawals/withdrawal-requests.ts';
import { createWithdrawalSink } from '../../src/withdrawals/withdrawal-sink.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { type RunningIngestion, startIngestion } from '../support/ingestion.ts';
import { NETWORK, startTestNetwork, type TestNetwork } from '../support/network.ts';
import { SIGNER_SEED, startPayouts } from '../support/payouts.ts';
import { registryOf } from '../support/simnet-registry.ts';
import { rounds } from '../support/tier.ts';

const LIMITS: AttemptLimits = {
  ttlMs: 10_000,
  recordTimeAgeMsMax: 600_000,
  recordTimeAheadMsMax: 600_000,
  attemptsMax: 20,
  triesMax: 20,
  tryHoldMs: 300,
};

let database: TestDatabase;
let simnet: TestNetwork;
const stops: (() => Promise<void>)[] = [];

beforeEach(async () => {
  database = await createTestDatabase();
  simnet = await startTestNetwork('retries');
  const key = await createLocalSigner({ privateKey: ed25519PrivateKey(SIGNER_SEED) }).currentKey();
  simnet.network.registerKey('treasury', key.publicKey.export({ type: 'spki', format: 'der' }));
  simnet.network.preapprove({ instrument: 'amulet', receiver: 'bob' });
  for (let count = 0; count < 6; count += 1)
    simnet.network.tap({ instrument: 'amulet', owner: 'treasury', amount: '2' });
  await registerCatalog(database.db, simnet.catalog);
});

afterEach(async () => {
  for (const stop of stops.splice(0).toReversed()) await stop();
  await simnet.stop();
  await database.close();
});

async function ask(key: string, amount: string): Promise<void> {
  await createWithdrawals({
    db: database.db,
    clock: systemClock,
    network: NETWORK,
    idKey: new Uint8Array(32),
  }).create({
    client: 'exchange',
    idempotencyKey: key,
    account: 'alice',
    treasuryParty: simnet.network.party('treasury'),
    instrument: simnet.network.instrument('amulet'),
    receiver: simnet.network.party('bob'),
    amount: parseAmount(amount),
    memo: null,
  });
}

async function ingest(): Promise<RunningIngestion> {
  const ingestion = await startIngestion({
    connectionString: database.connectionString,
    ledgerUrl: simnet.ledgerUrl(),
    catalog: simnet.catalog,
    sinks: [createWithdrawalSink({ clock: systemClock, logger: database.logger })],
  });
  stops.push(ingestion.stop);
  return ingestion;
}

type Asked = { readonly commandId: string; readonly maxRecordTime: bigint; readonly inputs: readonly string[] };

/** A participant that is written down: everything it is asked, and when. */
function watched(asked: Asked[], executedAt: bigint[]) {
  return (submitter: Submitter): Submitter => ({
    ...submitter,
    prepare: async (request) => {
      const { commandId, maxRecordTime } = request;
      asked.push({ commandId, maxRecordTime, inputs: inputsOf(request) });
      return await submitter.prepare(request);
    },
    execute: async (request) => {
      executedAt.push(systemClock.nowMicros());
      await submitter.execute(request);
    },
  });
}

/** The contract ids below `inputHoldingCids` of the choice’s argument. */
function inputsOf({ argument }: PrepareRequest): readonly string[] {
  const found: string[] = [];
  const visit = (value: unknown, isInput: boolean): void => {
    if (typeof value !== 'object' || value === null) return;
    if ('$case' in value && value.$case === 'contractId' && 'value' in value && isInput)
      found.push(String(value.value));
    const isBelow = isInput || ('label' in value && value.label === 'inputHoldingCids');
    for (const part of Object.values(value)) visit(part, isBelow);
  };
  visit(argument, false);
  return found.sort();
}

function pay(ingestion: RunningIngestion, asked: Asked[], executedAt: bigint[], limits = LIMITS) {
  const [treasury] = ingestion.treasuries;
  if (treasury === undefined) throw new Error('No treasury.');
  const payouts = startPayouts({
    db: database.db,
    treasury,
    ledgerUrl: simnet.ledgerUrl(),
    registry: registryOf(simnet),
    logger: database.logger,
    limits,
    wrapSubmitter: watched(asked, executedAt),
  });
  stops.push(payouts.stop);
  return payouts;
}

test('E5, E6: every try of an attempt, also after restarts, names the same inputs and the same last record time; the next attempt keeps one', {
  timeout: 90_000,
}, async () => {
  const ingestion = await ingest();
  const { submissions } = simnet.network.participant('participant1').faults;
  submissions.set({ dropExecutes: { share: 1 } });
  const asked: Asked[] = [];
  const executedAt: bigint[] = [];
  await ask('retried', '5');
  const triesOf = (number: number) => asked.filter(({ commandId }) => commandId.endsWith(`-${number}`));

  // Three lives, in each of which it is tried at least once; meanwhile other holdings come in that would serve as well.
  for (let life = 1; life <= 3; life += 1) {
    const payouts = pay(ingestion, asked, executedAt);
    await eventually(() => expect(executedAt.length).toBeGreaterThanOrEqual(life), { deadlineMs: 20_000 });
    simnet.network.tap({ instrument: 'amulet', owner: 'treasury', amount: '50' });
    await payouts.stop();
  }
  pay(ingestion, asked, executedAt);
  await eventually(() => expect(triesOf(2).length).toBeGreaterThan(0), { deadlineMs: 40_000 });
  submissions.clear();
  await eventually(
    async () => {
      const { state } = await database.db.selectFrom('withdrawal').select('state').executeTakeFirstOrThrow();
      expect(state).toBe('COMPLETED');
    },
    { deadlineMs: 60_000 },
  );

  const attempts = await database.db.selectFrom('attempt').selectAll().orderBy('number').execute();
  expect(attempts.length).toBeGreaterThanOrEqual(2);
  expect(triesOf(1).length).toBeGreaterThanOrEqual(3);
  for (const attempt of attempts) {
    const reserved = await database.db
      .selectFrom('reservation')
      .select('contract_id')
      .where('number', '=', attempt.number)
      .orderBy('contract_id')
      .execute();
    const inputs = reserved.map(({ contract_id }) => contract_id);
    expect(inputs.length).toBeGreaterThan(0);
    for (const tried of triesOf(attempt.number)) {
      expect(tried).toEqual({
        commandId: expect.any(String),
        maxRecordTime: attempt.target_record_time,
        inputs,
      });
    }
  }
  const [first, second] = [triesOf(1)[0], triesOf(2)[0]];
  expect(first?.inputs.some((input) => second?.inputs.includes(input))).toBe(true);
  expect(simnet.network.balance({ instrument: 'amulet', owner: 'bob' })).toBe('5.0000000000');
});

test('E18: an attempt is sent no more often than its limit, with pauses that grow, and then waits for its proof', {
  timeout: 60_000,
}, async () => {
  const ingestion = await ingest();
  simnet.network.participant('participant1').faults.submissions.set({ dropExecutes: { share: 1 } });
  const executedAt: bigint[] = [];
  await ask('wasteful', '1');
  // Held for as long as the service holds one: two payers take turns.
  // Another try would begin 2 s after the first, at most, and 6 s after it the third: before the attempt is over.
  const [triesMax, ttlMs] = [rounds(2, 3), rounds(9_000, 20_000)];
  const limits = { ...LIMITS, triesMax, tryHoldMs: 20_000, ttlMs, attemptsMax: 1 };
  pay(ingestion, [], executedAt, limits);
  pay(ingestion, [], executedAt, limits);
  await eventually(
    async () => {
      const row = await database.db.selectFrom('withdrawal').select('state').executeTakeFirstOrThrow();
      expect(row.state).toBe('FAILED');
    },
    { deadlineMs: 50_000 },
  );

  const [attempt] = await database.db.selectFrom('attempt').selectAll().execute();
  expect(attempt).toMatchObject({ state: 'LAPSED', tries: triesMax });
  expect(executedAt).toHaveLength(triesMax);
  for (const [index, at] of executedAt.entries()) {
    const before = executedAt[index - 1];
    // Never below half of what the pause grows from: 2 s, then twice as much each time.
    if (before !== undefined) expect(at - before).toBeGreaterThan(1_000_000n);
  }
});

const CHILD = `${import.meta.dirname}/../support/payout-child.ts`;

test('E5, E6: a process killed between any two steps of a try leaves an attempt whose inputs and last record time the next one keeps', {
  timeout: 120_000,
}, async () => {
  simnet.network.participant('participant1').faults.submissions.set({ dropExecutes: { share: 1 } });
  await ask('killed', '5');
  const limits = { ...LIMITS, ttlMs: 60_000 };
  const child = (killAt: string): ChildProcess => {
    const settings = {
      ingestion: {
        connectionString: database.connectionString,
        ledgerUrl: simnet.ledgerUrl(),
        catalog: simnet.catalog,
        settings: { leaseTtlMs: 300 },
      },
      registries: simnet.registries.map(({ admin, url }) => ({
        admin,
        instrumentId: null,
        source: { strategy: 'rotate', urls: [url] },
      })),
      limits,
    };
    const started = spawn(process.execPath, [CHILD], {
      env: { ...process.env, KILL_AT: `${killAt}:1`, PAYOUTS: JSON.stringify(settings) },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    stops.push(async () => {
      if (started.exitCode === null && started.signalCode === null) {
        started.kill('SIGKILL');
        await once(started, 'exit');
      }
    });
    return started;
  };
  const attempts = async () =>
    (
      await sql<{ number: number; target: bigint; inputs: string[]; transfer: unknown }>`
        SELECT a.number::int AS number, a.target_record_time AS target, a.transfer_object AS transfer,
          array_agg(r.contract_id ORDER BY r.contract_id) AS inputs
        FROM attempt a JOIN reservation r ON r.submission_id = a.submission_id AND r.number = a.number
        GROUP BY a.submission_id, a.number ORDER BY a.number`.execute(database.db)
    ).rows;

  const seen: unknown[] = [];
  for (const point of ['afterFunding', 'afterSignatureRequested', 'beforeExecute', 'afterExecute']) {
    const payer = child(`withdrawals.${point}`);
    const [, signal] = await once(payer, 'exit');
    expect(signal, point).toBe('SIGKILL');
    // Its turn comes again at once, as after the pause.
    await database.db.updateTable('attempt').set({ next_try_at: 0n }).where('state', '=', 'OPEN').execute();
    seen.push(await attempts());
  }

  expect(seen[0]).toHaveLength(1);
  for (const later of seen) expect(later).toEqual(seen[0]);
});
