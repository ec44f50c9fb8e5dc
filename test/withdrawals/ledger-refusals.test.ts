/**
 * What a participant says to a submission decides nothing: not a timing error, which may be told of a transfer that commits after all, and not a package that nobody has vetted. It is shown, tried again,
 * and the ledger alone ends the attempt.
 */
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { checkBooks } from '../../src/books/check-books.ts';
import { createLocalSigner, ed25519PrivateKey } from '../../src/custody/local-signer.ts';
import type { Logger } from '../../src/env/logger.ts';
import { systemClock } from '../../src/env/system.ts';
import { type KnownCode, knownRefusal } from '../../src/simnet/ledger/known-refusals.ts';
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

vi.setConfig({ testTimeout: 90_000 });

const LIMITS: AttemptLimits = {
  ttlMs: 60_000,
  recordTimeAgeMsMax: 600_000,
  recordTimeAheadMsMax: 600_000,
  attemptsMax: 1,
  triesMax: 8,
  tryHoldMs: 20_000,
};

const TIMING: readonly KnownCode[] = [
  'SEQUENCER_MAX_SEQUENCING_TIME_TOO_FAR',
  'NOT_SEQUENCED_TIMEOUT',
  'MEDIATOR_SAYS_TX_TIMED_OUT',
  'LOCAL_VERDICT_TIMEOUT',
  'LOCAL_VERDICT_LEDGER_TIME_OUT_OF_BOUND',
  'LOCAL_VERDICT_PREPARATION_TIME_OUT_OF_BOUND',
];
const PACKAGES: readonly KnownCode[] = ['PACKAGE_NOT_VETTED_BY_RECIPIENTS', 'PACKAGE_SELECTION_FAILED'];

let database: TestDatabase;
let simnet: TestNetwork;
let ingestion: RunningIngestion;
let withdrawals: Withdrawals;
const stopping: (() => Promise<void>)[] = [];
/** What tries came to, each of them: an attempt shows the last alone, and on a busy machine one more may have followed. */
const troubles: string[] = [];

beforeEach(async () => {
  database = await createTestDatabase();
  simnet = await startTestNetwork('refusals');
  const key = await createLocalSigner({ privateKey: ed25519PrivateKey(SIGNER_SEED) }).currentKey();
  simnet.network.registerKey('treasury', key.publicKey.export({ type: 'spki', format: 'der' }));
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
  troubles.length = 0;
  await ingestion.stop();
  await simnet.stop();
  await database.close();
});

function start(limits: AttemptLimits = LIMITS): void {
  const [treasury] = ingestion.treasuries;
  if (treasury === undefined) throw new Error('No treasury.');
  const { db } = database;
  const logger: Logger = {
    ...database.logger,
    info: (_message, { why } = {}) => void (typeof why === 'string' && troubles.push(why)),
    child: () => logger,
  };
  const payouts = startPayouts({
    db,
    treasury,
    ledgerUrl: simnet.ledgerUrl(),
    registry: registryOf(simnet),
    logger,
    limits,
  });
  stopping.push(payouts.stop);
}

const faults = () => simnet.network.participant('participant1').faults;

/** A withdrawal of 5 and a holding of 10 to pay it from. */
async function ask(key: string): Promise<void> {
  simnet.network.tap({ instrument: 'amulet', owner: 'treasury', amount: '10' });
  await withdrawals.create({
    client: 'exchange',
    idempotencyKey: key,
    account: 'alice',
    treasuryParty: simnet.network.party('treasury'),
    instrument: simnet.network.instrument('amulet'),
    receiver: simnet.network.party('bob'),
    amount: parseAmount('5'),
    memo: null,
  });
}

type Row = {
  readonly key: string;
  readonly state: string;
  readonly code: string | null;
  readonly attempts: number;
  readonly tries: number;
  readonly lastError: string | null;
  readonly isProven: boolean | null;
};

/** Every withdrawal with its newest attempt. */
async function outcomes(): Promise<readonly Row[]> {
  const { rows } = await sql<Row>`
    SELECT w.idempotency_key AS key, w.state, w.failure_code AS code, coalesce(a.number, 0) AS attempts, coalesce(a.tries, 0) AS tries,
      a.last_error AS "lastError", a.lapsed_by > a.target_record_time AS "isProven"
    FROM withdrawal w LEFT JOIN submission s ON s.withdrawal_id = w.id
    LEFT JOIN LATERAL (SELECT * FROM attempt WHERE submission_id = s.id ORDER BY number DESC LIMIT 1) a ON true
    ORDER BY w.created_at, key`.execute(database.db);
  return rows;
}

const become = (state: string, count: number, deadlineMs = 60_000) =>
  eventually(async () => expect((await outcomes()).map((row) => row.state)).toEqual(Array(count).fill(state)), {
    deadlineMs,
    intervalMs: 100,
  });

async function expectPaidOnceEach(count: number): Promise<void> {
  expect(simnet.network.balance({ instrument: 'amulet', owner: 'bob' })).toBe(`${5 * count}.0000000000`);
  expect(await checkBooks(database.db)).toEqual([]);
}

test('B6: a submission that is refused over its timing is tried again in the same attempt, whatever the code', async () => {
  for (const code of TIMING) {
    faults().rejectCalls({ next: 1, refusal: knownRefusal(code), calls: ['executeSubmission', 'prepareSubmission'] });
  }
  for (const code of TIMING) await ask(code);
  start();
  await become('COMPLETED', TIMING.length);

  const rows = await outcomes();
  expect(rows.map(({ attempts }) => attempts)).toEqual(TIMING.map(() => 1));
  for (const code of TIMING) expect(troubles.join('\n')).toContain(knownRefusal(code).text);
  for (const { lastError } of rows) expect(troubles).toContain(lastError);
  await expectPaidOnceEach(TIMING.length);
});

test('B6: a transfer that the network refuses over its timing, after the participant took it, is tried again until it commits', async () => {
  start();
  for (const [index, code] of TIMING.entries()) {
    faults().submissions.set({ rejectVerdicts: { next: 1, refusal: knownRefusal(code) } });
    await ask(code);
    // To its end, not only to the second try: that one would meet the refusal meant for the next withdrawal.
    await become('COMPLETED', index + 1);
  }

  for (const { attempts, tries } of await outcomes()) {
    expect(attempts).toBe(1);
    expect(tries).toBeGreaterThanOrEqual(2);
  }
  await expectPaidOnceEach(TIMING.length);
});

test.each(['UNAUTHENTICATED', 'PERMISSION_DENIED'] as const)(
  'a participant that lets us do nothing (%s) fails no withdrawal, however long: nothing of it was ever signed',
  async (code) => {
    faults().rejectCalls({ share: 1, refusal: knownRefusal(code), calls: ['prepareSubmission'] });
    await ask('rights');
    start({ ...LIMITS, ttlMs: 4_000 });
    await eventually(
      async () => {
        const [row] = await outcomes();
        expect(row?.state).not.toBe('FAILED');
        expect(row?.attempts).toBeGreaterThan(LIMITS.attemptsMax + 1);
      },
      { deadlineMs: 40_000 },
    );

    faults().acceptCalls();

    await become('COMPLETED', 1);
    await expectPaidOnceEach(1);
  },
);

test('B10: while the receiver’s node has not vetted a package the withdrawal waits and says so; vetted in time it is paid, else it fails by proof', async () => {
  for (const code of PACKAGES) {
    faults().rejectCalls({ next: 1, refusal: knownRefusal(code), calls: ['prepareSubmission'] });
    await ask(`vetted in time: ${code}`);
  }
  start();
  await become('COMPLETED', PACKAGES.length);
  await expectPaidOnceEach(PACKAGES.length);
  for (const stop of stopping.splice(0)) await stop();

  const [code = 'PACKAGE_SELECTION_FAILED'] = PACKAGES;
  faults().rejectCalls({ share: 1, refusal: knownRefusal(code), calls: ['prepareSubmission'] });
  await ask('never vetted');
  start({ ...LIMITS, ttlMs: 4_000 });
  await eventually(
    async () =>
      expect((await outcomes()).at(-1)).toMatchObject({
        state: 'IN_FLIGHT',
        lastError: expect.stringContaining(knownRefusal(code).text),
      }),
    { deadlineMs: 30_000 },
  );
  await eventually(async () => expect((await outcomes()).at(-1)?.state).toBe('FAILED'), { deadlineMs: 60_000 });

  expect((await outcomes()).at(-1)).toMatchObject({ code: 'NOT_COMMITTED', isProven: true });
  await expectPaidOnceEach(PACKAGES.length);
  const { rows } = await sql<{ balance: string }>`
    SELECT sum(b.balance)::text AS balance FROM account_balance b JOIN account a ON a.id = b.account_id WHERE a.kind = 'CUSTOMER'`.execute(
    database.db,
  );
  expect(rows[0]?.balance).toBe(`-${5 * PACKAGES.length}.0000000000`); // The one that failed is back.
});
