/**
 * Exactly once, whatever happens to the process: killed at every step of the money path and at random moments, frozen and woken up too late, run twice at a time, while the participant loses half of all
 * answers. The payees' holdings on the simulated ledger are the truth: one per withdrawal, of exactly its amount.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { checkBooks } from '../../src/books/check-books.ts';
import { createLocalSigner, ed25519PrivateKey } from '../../src/custody/local-signer.ts';
import { FAILPOINTS } from '../../src/env/failpoint.ts';
import { createSeededRandom } from '../../src/env/random.ts';
import { systemClock } from '../../src/env/system.ts';
import { registerCatalog } from '../../src/ingestion/catalog.ts';
import { holdingsOf } from '../../src/simnet/network-commands.ts';
import type { AttemptLimits } from '../../src/submissions/attempts.ts';
import { amountOf, formatAmount, parseAmount } from '../../src/tokens/amount.ts';
import { createWithdrawals, type Withdrawals } from '../../src/withdrawals/withdrawal-requests.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { NETWORK, startTestNetwork, type TestNetwork } from '../support/network.ts';
import { SIGNER_SEED } from '../support/payouts.ts';
import { rounds } from '../support/tier.ts';

const POINTS = FAILPOINTS.filter((name) => name.startsWith('withdrawals.') && name !== 'withdrawals.afterLapse');
const KILLS = rounds(POINTS.length + 2, 50);
const WITHDRAWALS = rounds(40, 200);
const LIMITS: AttemptLimits = {
  ttlMs: 8_000,
  recordTimeAgeMsMax: 600_000,
  recordTimeAheadMsMax: 600_000,
  attemptsMax: 100,
  triesMax: 20,
  tryHoldMs: 500,
};

let database: TestDatabase;
let simnet: TestNetwork;
let withdrawals: Withdrawals;
const children = new Set<ChildProcess>();

beforeEach(async () => {
  database = await createTestDatabase();
  simnet = await startTestNetwork('payout-kill');
  const key = await createLocalSigner({ privateKey: ed25519PrivateKey(SIGNER_SEED) }).currentKey();
  simnet.network.registerKey('treasury', key.publicKey.export({ type: 'spki', format: 'der' }));
  simnet.network.preapprove({ instrument: 'amulet', receiver: 'bob' });
  await registerCatalog(database.db, simnet.catalog);
  withdrawals = createWithdrawals({ db: database.db, clock: systemClock, network: NETWORK, idKey: new Uint8Array(32) });
});

afterEach(async () => {
  for (const child of children) {
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  }
  children.clear();
  await simnet.stop();
  await database.close();
});

function spawnPayer(environment: Record<string, string> = {}, limits: AttemptLimits = LIMITS) {
  const payouts = {
    ingestion: {
      connectionString: database.connectionString,
      ledgerUrl: simnet.ledgerUrl(),
      catalog: simnet.catalog,
      settings: { leaseTtlMs: 300 },
      // As the service has it: one that is frozen in the middle of a batch must not keep the others waiting.
      idleInTransactionTimeoutMs: 2_000,
    },
    registries: simnet.registries.map(({ admin, url }) => ({
      admin,
      instrumentId: null,
      source: { strategy: 'rotate', urls: [url] },
    })),
    limits,
  };
  const child = spawn(process.execPath, [`${import.meta.dirname}/../support/payout-child.ts`], {
    env: { ...process.env, ...environment, PAYOUTS: JSON.stringify(payouts) },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.add(child);
  const phases: string[] = [];
  let errors = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => phases.push(...chunk.trim().split('\n')));
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    errors += chunk;
  });
  const exited = once(child, 'exit').then(([code, signal]) => {
    children.delete(child);
    return { code, signal, errors };
  });
  return { child, phases, exited };
}

async function ask(index: number): Promise<string> {
  // Amounts that differ in the last decimal tell the payments apart.
  const amount = amountOf(parseAmount('1') + BigInt(index));
  await withdrawals.create({
    client: 'exchange',
    idempotencyKey: `key-${index}`,
    account: 'alice',
    treasuryParty: simnet.network.party('treasury'),
    instrument: simnet.network.instrument('amulet'),
    receiver: simnet.network.party('bob'),
    amount,
    memo: null,
  });
  return formatAmount(amount);
}

const fund = (count: number) => {
  for (let index = 0; index < count; index += 1)
    simnet.network.tap({ instrument: 'amulet', owner: 'treasury', amount: '50' });
};

/** What the payee holds on the network itself, one holding per payment. */
const payments = () =>
  holdingsOf(simnet.network.ledger.contracts, simnet.network.party('bob'), simnet.network.instrument('amulet'))
    .map(({ amountUnits }) => formatAmount(amountUnits))
    .sort();

async function states(): Promise<Record<string, number>> {
  const { rows } = await sql<{
    state: string;
    count: number;
  }>`SELECT state, count(*)::int AS count FROM withdrawal GROUP BY 1`.execute(database.db);
  return Object.fromEntries(rows.map(({ state, count }) => [state, count]));
}

test(`${WITHDRAWALS} withdrawals survive ${KILLS} kills with half of all answers lost: each is paid once`, {
  timeout: 400_000,
}, async () => {
  fund(25);
  simnet.network.participant('participant1').faults.submissions.set({
    losePrepareAnswers: { share: 0.5 },
    loseExecuteAnswers: { share: 0.5 },
  });
  const random = createSeededRandom(11);
  const struck = new Map<string, number>();
  const asked: string[] = [];

  const missed = () => POINTS.filter((point) => !struck.has(`at ${point}`));
  // On a busy machine a point may not be reached in time: then once more, at its first hit.
  for (let kill = 0; kill < KILLS || (missed().length > 0 && kill < 2 * KILLS); kill += 1) {
    while (asked.length < ((kill + 1) * WITHDRAWALS) / KILLS) asked.push(await ask(asked.length));
    const point = kill < KILLS ? POINTS[kill % (POINTS.length + 2)] : missed()[0];
    const hit = kill < KILLS ? 1 + Math.floor(random.next() * 2) : 1;
    const payer = spawnPayer(point === undefined ? {} : { KILL_AT: `${point}:${hit}` });
    const isOver = new AbortController();
    // Struck at a random moment of work, or, where its point is not reached (no failure, no work left), after a while.
    const afterMs = point === undefined ? random.next() * 400 : kill < KILLS ? 6_000 : 20_000;
    await Promise.race([
      payer.exited,
      eventually(() => expect(payer.phases.length).toBeGreaterThan(0), { deadlineMs: 15_000 }),
    ]);
    await Promise.race([payer.exited, systemClock.sleep(afterMs, isOver.signal)]);
    isOver.abort();
    const wasStruck = payer.child.signalCode !== null;
    if (!wasStruck) payer.child.kill('SIGKILL');
    const { signal, errors } = await payer.exited;
    expect(signal, errors).toBe('SIGKILL');
    const where = wasStruck ? `at ${point}` : `random, after ${payer.phases.at(-1)}`;
    struck.set(where, (struck.get(where) ?? 0) + 1);
  }
  console.log(`Where the SIGKILLs fell:\n${[...struck].map(([where, count]) => `  ${count} ${where}`).join('\n')}`);

  spawnPayer();
  await eventually(async () => expect(await states()).toEqual({ COMPLETED: asked.length }), {
    deadlineMs: 120_000,
    intervalMs: 500,
  });
  expect(payments()).toEqual(asked.sort());
  expect(await checkBooks(database.db)).toEqual([]);
  const open = await database.db.selectFrom('reservation').select('contract_id').where('is_open', '=', true).execute();
  expect(open).toEqual([]);
  for (const point of POINTS) expect(struck.get(`at ${point}`) ?? 0, point).toBeGreaterThan(0);
});

test.each(['withdrawals.afterSigning', 'withdrawals.beforeExecute'] as const)(
  'D3: a payer frozen %s that wakes up after its target pays nothing twice, beside one that worked on',
  { timeout: 180_000 },
  async (point) => {
    fund(3);
    const short = { ...LIMITS, ttlMs: 5_000 };
    const amount = await ask(1);
    const zombie = spawnPayer({ STOP_AT: `${point}:1` }, short);
    await eventually(() => expect(zombie.phases).toContain(point), { deadlineMs: 40_000 });
    const other = spawnPayer({}, short);
    await eventually(
      async () => {
        expect(other.child.exitCode).toBeNull();
        expect(await states()).toEqual({ COMPLETED: 1 });
      },
      { deadlineMs: 60_000 },
    );
    const first = await database.db.selectFrom('attempt').selectAll().where('number', '=', 1).executeTakeFirstOrThrow();
    await eventually(
      async () => {
        const time = await database.db.selectFrom('synchronizer_time').select('record_time').executeTakeFirstOrThrow();
        expect(time.record_time).toBeGreaterThan(first.target_record_time);
      },
      { deadlineMs: 40_000 },
    );

    zombie.child.kill('SIGCONT');
    // It goes on where it was: give it the time to do its worst, then ask for one more withdrawal, which shows that everything before has been dealt with. It may be that nothing is left for it to do.
    await systemClock.sleep(2_000);
    const second = await ask(2);
    await eventually(async () => expect(await states()).toEqual({ COMPLETED: 2 }), { deadlineMs: 60_000 });

    expect(payments()).toEqual([amount, second].sort());
    expect(await checkBooks(database.db)).toEqual([]);
    expect(other.child.exitCode).toBeNull();
  },
);
