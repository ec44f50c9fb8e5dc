/** What tries write together: each gets the answer that it would have got alone, whoever else is in the statement, halted, held by others, or refused by the database. */
import { sql } from 'kysely';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createDatabase, type Database, type Transaction } from '../../src/db/connection.ts';
import { checkLogHistory, createLogMemory } from '../../src/db/log-history.ts';
import { systemRandom } from '../../src/env/system.ts';
import { type AttemptLimits, type OpenAttempt, takeDueAttempts } from '../../src/submissions/attempts.ts';
import { haltMoney } from '../../src/submissions/halts.ts';
import { createTryStore } from '../../src/submissions/try-store.ts';
import { parseAmount } from '../../src/tokens/amount.ts';
import { openAttempts } from '../../src/withdrawals/attempt-funding.ts';
import { WITHDRAWALS } from '../../src/withdrawals/attempts.ts';
import { createWithdrawals } from '../../src/withdrawals/withdrawal-requests.ts';
import { createVirtualClock, type VirtualClock } from '../support/clock.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { AMULET_ADMIN, createRows, DAY, type Rows } from '../support/rows.ts';

const LIMITS: AttemptLimits = {
  ttlMs: 60_000,
  recordTimeAgeMsMax: 600_000,
  recordTimeAheadMsMax: 600_000,
  attemptsMax: 2,
  triesMax: 1_000,
  tryHoldMs: 0,
};

let database: TestDatabase;
let rows: Rows;
let treasury: number;
let clock: VirtualClock;

beforeEach(async () => {
  database = await createTestDatabase();
  rows = createRows(database.db);
  treasury = await rows.treasury();
  await rows.stream({});
  await rows.update('1220ff');
  clock = createVirtualClock(DAY);
});

afterEach(async () => {
  await database.close();
});

/** So many of each instrument, in the order of their submissions. */
async function openOf(counts: Readonly<Record<string, number>>): Promise<readonly OpenAttempt[]> {
  const withdrawals = createWithdrawals({ db: database.db, clock, network: 'testnet', idKey: new Uint8Array(32) });
  for (const [instrumentId, count] of Object.entries(counts)) {
    for (let index = 0; index < count; index += 1) {
      await rows.holding(`${instrumentId}-${index}`, '5', { instrumentId });
      await withdrawals.create({
        client: 'exchange',
        idempotencyKey: `${instrumentId}-${index}`,
        account: 'alice',
        treasuryParty: 'treasury::1220bb',
        instrument: { admin: AMULET_ADMIN, id: instrumentId },
        receiver: `bob::1220${'ab'.repeat(32)}`,
        amount: parseAmount('5'),
        memo: null,
      });
    }
  }
  await openAttempts(database.db, treasury, LIMITS, clock.nowMicros());
  const due = await takeDueAttempts(database.db, WITHDRAWALS, treasury, LIMITS, {
    nowMicros: clock.nowMicros(),
    countMax: 100,
  });
  expect(due).toHaveLength(Object.values(counts).reduce((sum, count) => sum + count, 0));
  return due;
}

const requestOf = (byte: number, nowMicros = DAY) =>
  ({ hash: new Uint8Array(32).fill(byte), scheme: 'V3', nowMicros }) as const;

async function rowsOf(): Promise<Record<string, { requests: number; tries: number; hashes: string[] }>> {
  const { rows: found } = await sql<{ id: string; requests: number; tries: number; hashes: string[] }>`
    SELECT a.submission_id AS id, coalesce(a.sign_requests, 0)::int AS requests, a.tries::int AS tries,
      ARRAY(SELECT encode(h.hash, 'hex') FROM signed_hash h WHERE h.submission_id = a.submission_id ORDER BY 1) AS hashes
    FROM attempt a`.execute(database.db);
  return Object.fromEntries(found.map(({ id, ...row }) => [id, row]));
}

const halt = async (instrumentId: string) =>
  await haltMoney(
    database.db,
    { treasury: null, instrument: { admin: AMULET_ADMIN, id: instrumentId } },
    { by: 'mia', why: 'A key may be gone.', nowMicros: DAY },
  );

/** Somebody else works on an attempt, until he is told to leave it as it was. */
async function holding({ submissionId }: OpenAttempt): Promise<() => Promise<void>> {
  let leave = (): void => undefined;
  const left = new Promise<void>((resolve) => {
    leave = resolve;
  });
  const held = Promise.withResolvers<Transaction>();
  const transaction = database.db
    .transaction()
    .execute(async (tx) => {
      await sql`SELECT FROM attempt WHERE submission_id = ${submissionId} FOR UPDATE`.execute(tx);
      held.resolve(tx);
      await left;
      throw new Error('left');
    })
    .catch(() => undefined);
  await held.promise;
  return async () => {
    leave();
    await transaction;
  };
}

const waiting = async (): Promise<number> => {
  const { rows: found } = await sql<{ count: number }>`
    SELECT count(*)::int AS count FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`.execute(
    database.db,
  );
  return found[0]?.count ?? 0;
};

describe('several at once', () => {
  test('each is written down with its own hash, and those of what is halted are not', async () => {
    const attempts = await openOf({ Amulet: 3, Bond: 2 });
    await halt('Bond');
    const store = createTryStore(database.db, WITHDRAWALS);

    const answers = await Promise.all(
      attempts.map(async (attempt, index) => await store.recordSignatureRequest(attempt, requestOf(index + 1))),
    );

    const isAmulet = attempts.map(({ instrument }) => instrument.id === 'Amulet');
    expect(answers).toEqual(isAmulet);
    const found = await rowsOf();
    for (const [index, { submissionId }] of attempts.entries()) {
      const hash = Buffer.from(requestOf(index + 1).hash).toString('hex');
      expect(found[submissionId]).toMatchObject(
        isAmulet[index] === true ? { requests: 1, hashes: [hash] } : { requests: 0, hashes: [] },
      );
    }
    expect(await Promise.all(attempts.map(async (attempt) => await store.recordTry(attempt, DAY)))).toEqual(isAmulet);
    const codes = await Promise.all(
      attempts.map(async ({ submissionId }) => await store.demandFree(submissionId).catch(({ code }) => code)),
    );
    expect(codes).toEqual(isAmulet.map((is) => (is ? undefined : 'HALTED')));
  });

  test('one that the database refuses is in nobody’s way', async () => {
    const attempts = await openOf({ Amulet: 4 });
    const store = createTryStore(database.db, WITHDRAWALS);

    const answers = await Promise.allSettled(
      attempts.map(
        async (attempt, index) =>
          await store.recordSignatureRequest(attempt, requestOf(index + 1, index === 2 ? 2n ** 63n : DAY)),
      ),
    );

    expect(answers.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'fulfilled']);
    expect(answers.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))).toEqual([true, true, true]);
  });

  test('E22: two tries of one attempt are two, with a hash each', async () => {
    const [attempt] = await openOf({ Amulet: 1 });
    if (attempt === undefined) throw new Error('None is open.');
    const store = createTryStore(database.db, WITHDRAWALS);

    const answers = await Promise.all([
      store.recordSignatureRequest(attempt, requestOf(1)),
      store.recordSignatureRequest(attempt, requestOf(2)),
      store.recordTry(attempt, DAY),
      store.recordTry(attempt, DAY),
    ]);

    expect(answers).toEqual([true, true, true, true]);
    expect((await rowsOf())[attempt.submissionId]).toMatchObject({ requests: 2, tries: 2, hashes: { length: 2 } });
  });

  test('E22: of two processes that try the same in crossing orders nobody stops nobody, and all is counted', async () => {
    const attempts = await openOf({ Amulet: 8 });
    const other = createDatabase({
      connectionString: database.connectionString,
      applicationName: 'other',
      poolSizeMax: 10,
      logger: database.logger,
    });
    const ROUNDS = 15;
    const work = async (db: Database, order: readonly OpenAttempt[], byte: number): Promise<void> => {
      const store = createTryStore(db, WITHDRAWALS);
      for (let round = 0; round < ROUNDS; round += 1) {
        const one = async (attempt: OpenAttempt) => [
          await store.recordSignatureRequest(attempt, requestOf(byte)),
          await store.recordTry(attempt, DAY),
        ];
        expect((await Promise.all(order.map(one))).flat()).toEqual(order.flatMap(() => [true, true]));
      }
    };

    await Promise.all([work(database.db, attempts, 1), work(other.db, [...attempts].reverse(), 2)]);
    await other.close();

    for (const { requests, tries } of Object.values(await rowsOf())) {
      expect({ requests, tries }).toEqual({ requests: 2 * ROUNDS, tries: 2 * ROUNDS });
    }
  });
});

describe('C12: a database that goes back in time while a try waits for its turn', () => {
  test('gets no signature written down, and all that waited are told', async () => {
    const [one, ...others] = await openOf({ Amulet: 4 });
    if (one === undefined) throw new Error('None is open.');
    const log = createLogMemory();
    const { logger } = database;
    await checkLogHistory(database.db, { memory: log, random: systemRandom, logger, nowMicros: DAY });
    const store = createTryStore(database.db, WITHDRAWALS, log);
    const [held] = others;
    // The same hash, not committed: the first statement waits for it.
    const rival = await database.db.startTransaction().execute();
    await sql`INSERT INTO signed_hash (hash, submission_id, number, scheme, requested_at)
      VALUES (${Buffer.from(requestOf(1).hash)}, ${held?.submissionId}, 1, 3, 0)`.execute(rival);

    const first = store.recordSignatureRequest(one, requestOf(1));
    await eventually(async () => expect(await waiting()).toBe(1));
    const late = others.map(
      async (attempt, index) =>
        await store.recordSignatureRequest(attempt, requestOf(index + 2)).catch(({ code }) => code),
    );
    const known = log.known();
    if (known === null) throw new Error('Nothing was seen.');
    log.note({ ...known, position: known.position + 1n });
    await rival.rollback().execute();

    expect(await first).toBe(true);
    expect(await Promise.all(late)).toEqual(others.map(() => 'DB_IN_DOUBT'));
    expect(
      Object.values(await rowsOf())
        .map(({ requests }) => requests)
        .sort(),
    ).toEqual([0, 0, 0, 1]);
  });
});

describe('S9: a halt that is committed while a try waits for whoever works on its attempt', () => {
  const kinds = {
    'a signature': async (store: ReturnType<typeof createTryStore>, attempt: OpenAttempt) =>
      await store.recordSignatureRequest(attempt, requestOf(7)),
    'what is sent': async (store: ReturnType<typeof createTryStore>, attempt: OpenAttempt) =>
      await store.recordTry(attempt, DAY),
  };

  test.for(Object.entries(kinds))('holds for %s, and the others did not wait', async ([, ask]) => {
    const [one, ...others] = await openOf({ Amulet: 3 });
    if (one === undefined) throw new Error('None is open.');
    const store = createTryStore(database.db, WITHDRAWALS);
    const leave = await holding(one);

    const late = ask(store, one);
    expect(await Promise.all(others.map(async (attempt) => await ask(store, attempt)))).toEqual([true, true]);
    await eventually(async () => expect(await waiting()).toBe(1));
    await halt('Amulet');
    await leave();

    expect(await late).toBe(false);
    expect((await rowsOf())[one.submissionId]).toMatchObject({ requests: 0, tries: 0, hashes: [] });
  });
});
