/**
 * A treasury's history over changes of the offset space: restored validators, other participants, forks. Whatever happens, nothing is lost, nothing is doubled,
 * and where that cannot be had the stream stands still. Row ids of the failure catalogue stand in the names.
 */
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { checkBooks } from '../../src/books/check-books.ts';
import type { Clock } from '../../src/env/clock.ts';
import { createSeededRandom } from '../../src/env/random.ts';
import { systemClock } from '../../src/env/system.ts';
import { compareWithRebuild } from '../../src/ingestion/rebuild.ts';
import type { Ledger } from '../../src/ledger/ledger-client.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { type IngestionOptions, type RunningIngestion, registerMemos, startIngestion } from '../support/ingestion.ts';
import { NETWORK, startTestNetwork, type TestNetwork } from '../support/network.ts';
import { rounds } from '../support/tier.ts';

/** More of them: RESTORES=1000 npx vitest run test/ingestion/anchor.test.ts */
const RESTORES = Number(process.env['RESTORES'] ?? rounds(8, 200));

let database: TestDatabase;
let simnet: TestNetwork;
let paid = 0;
const running: RunningIngestion[] = [];

beforeEach(async () => {
  database = await createTestDatabase();
  simnet = await startTestNetwork('anchor', { checkpoints: { busyMs: 50, idleMs: 100 } });
  paid = 0;
  await registerMemos(database.db, NETWORK, { 'alice-memo': 'alice' });
});

afterEach(async () => {
  await stopAll();
  await simnet.stop();
  await database.close();
});

async function start(options: Partial<IngestionOptions> = {}): Promise<RunningIngestion> {
  const ingestion = await startIngestion({
    connectionString: database.connectionString,
    ledgerUrl: simnet.ledgerUrl(),
    catalog: simnet.catalog,
    settings: { leaseTtlMs: 600, silenceMsMax: 2_000, reconnect: { attemptsMax: 20, delayMsMin: 5, delayMsMax: 50 } },
    ...options,
  });
  running.push(ingestion);
  return ingestion;
}

async function stopAll(): Promise<void> {
  for (const ingestion of running.splice(0)) await ingestion.stop();
}

function payIn(amount = 1): void {
  simnet.network.tap({ instrument: 'amulet', owner: 'alice', amount: String(amount) });
  simnet.network.transfer({
    instrument: 'amulet',
    sender: 'alice',
    receiver: 'treasury',
    amount: String(amount),
    memo: 'alice-memo',
  });
  paid += amount;
}

const stream = () => database.db.selectFrom('ingestion_stream').selectAll().executeTakeFirstOrThrow();
const epochs = () => database.db.selectFrom('stream_epoch').selectAll().orderBy('epoch').execute();
const node = (name = 'participant1') => simnet.network.participant(name);

async function credited(): Promise<string | null> {
  const { rows } = await sql<{ total: string | null }>`
    SELECT sum(b.balance)::text AS total FROM account_balance b JOIN account a ON a.id = b.account_id WHERE a.kind = 'CUSTOMER'`.execute(
    database.db,
  );
  return rows[0]?.total ?? null;
}

const allCredited = (deadlineMs = 10_000) =>
  eventually(
    async () => {
      for (const ingestion of running) ingestion.throwIfFailed();
      expect(await credited()).toBe(`${paid}.0000000000`);
    },
    { deadlineMs },
  );

const halted = (code: string) =>
  eventually(async () => {
    expect(await stream()).toMatchObject({ status: 'HALTED', status_reason: expect.stringContaining(code) });
  });

/** Books, tables and the network's own truth agree, and every deposit was announced once. */
async function expectNothingLostOrDoubled(): Promise<void> {
  const treasuries = running[0]?.treasuries ?? [];
  for (const treasury of treasuries) {
    expect((await compareWithRebuild(database.db, treasury)).differences).toEqual([]);
  }
  expect(await checkBooks(database.db)).toEqual([]);
  expect(await database.db.selectFrom('quarantine').selectAll().execute()).toEqual([]);
  const { rows } = await sql<{ held: string; credits: bigint; events: bigint }>`
    SELECT (SELECT sum(amount::numeric)::text FROM holding WHERE archived_update_id IS NULL) AS held,
           (SELECT count(*) FROM transfer WHERE direction = 'IN' AND kind = 'DIRECT' AND status = 'COMPLETED') AS credits,
           (SELECT count(*) FROM event_outbox WHERE type = 'deposit.credited') AS events`.execute(database.db);
  expect(rows[0]?.held).toBe(simnet.network.balance({ instrument: 'amulet', owner: 'treasury' }));
  expect(rows[0]?.events).toBe(rows[0]?.credits);
}

test('A13: a node restored to before our position is not waited out: the place is found by update id, what comes again counts once', async () => {
  await start();
  for (let count = 0; count < 10; count += 1) payIn();
  await allCredited();
  const before = await stream();

  node().restore({ updatesBack: 8, catchUp: 'held' });
  // The moment at which waiting for the ledger end to pass our offset would begin.
  await eventually(async () => expect((await stream()).status_reason).toContain('behind our newest update'));
  payIn(7);
  node().intake.release({ everyMs: 5 });

  await allCredited();
  await expectNothingLostOrDoubled();
  expect(await stream()).toMatchObject({ epoch: before.epoch + 1, status: 'RUNNING' });
  expect((await epochs()).at(-1)).toMatchObject({
    reason: 'OFFSETS_CHANGED',
    previous_offset: before.ledger_offset,
    anchor_update_id: before.verified_update_id,
  });
});

test('A14: a restored node that is ahead of us, with other updates at our offsets, is noticed before anything is read', async () => {
  const reads: bigint[] = [];
  await start();
  for (let count = 0; count < 10; count += 1) payIn();
  await allCredited();
  await stopAll();

  for (let count = 0; count < 10; count += 1) payIn();
  node().restore({ updatesBack: 35, catchUp: 'atOnce' });
  const before = await stream();
  expect(node().ledgerEnd()).toBeGreaterThan(before.ledger_offset);
  await start({
    wrapLedger: (ledger) => ({
      ...ledger,
      updates: (options) => {
        reads.push(options.beginExclusive);
        return ledger.updates(options);
      },
    }),
  });

  await allCredited();
  await expectNothingLostOrDoubled();
  const [, second] = await epochs();
  expect(reads[0]).toBe(second?.resumed_offset);
});

test('A13: a position that checkpoints moved past the last update does not hide an update that the restored node puts below it', async () => {
  await start();
  for (let count = 0; count < 5; count += 1) payIn();
  await allCredited();
  const { verified_offset: verified } = await stream();
  // Others use up offsets: the position moves on by checkpoints alone.
  node().skipOffsets(1_000n);
  await eventually(async () => expect((await stream()).ledger_offset).toBeGreaterThan((verified ?? 0n) + 900n));
  const { ledger_offset: passed } = await stream();

  // The same numbering for what we have, small steps for what follows: the next update gets an offset that has passed.
  node().restore({ updatesBack: 2, numbering: 'same', offsetSteps: { min: 1, max: 1 } });
  payIn(7);
  expect(node().ledgerEnd()).toBeLessThan(passed);

  await allCredited();
  await expectNothingLostOrDoubled();
});

test('A17: the party is read from another participant and back, twenty times under load; nothing is lost or doubled', async () => {
  for (let swap = 0; swap < 20; swap += 1) {
    payIn();
    await start({ ledgerUrl: simnet.ledgerUrl(swap % 2) });
    payIn();
    if (swap % 3 === 0) await allCredited();
    else await eventually(async () => expect((await stream()).epoch).toBe(swap + 1));
    await stopAll();
  }
  await start({ ledgerUrl: simnet.ledgerUrl(0) });

  await allCredited();
  await expectNothingLostOrDoubled();
  expect((await epochs()).map(({ reason }) => reason)).toEqual([
    'BEGINNING',
    ...Array.from({ length: 20 }, () => 'PARTICIPANT_CHANGED'),
  ]);
});

test('A17: a treasury that never received anything begins on the other participant at the beginning', async () => {
  await start();
  await eventually(async () => expect((await stream()).participant_id).toBe(node().participantId));
  await stopAll();
  await start({ ledgerUrl: simnet.ledgerUrl(1) });
  payIn();

  await allCredited();
  await expectNothingLostOrDoubled();
});

test('A17: a participant that forgets our newest update while we look at it is asked again, and never read from behind it', async () => {
  await start();
  payIn(1);
  await allCredited();
  await stopAll();
  payIn(2);
  let looks = 0;
  const other = node('participant2');
  await start({
    ledgerUrl: simnet.ledgerUrl(1),
    wrapLedger: (ledger) => ({
      ...ledger,
      updateById: async (updateId, format) => {
        const found = await ledger.updateById(updateId, format);
        looks += 1;
        if (looks === 1) other.prune(other.ledgerEnd());
        return found;
      },
    }),
  });

  await halted('HISTORY_PRUNED');
  expect(looks).toBeGreaterThan(1);
  expect(await epochs()).toHaveLength(1);
  expect(await credited()).toBe('1.0000000000');
});

test('B9: a node that is past our newest update and does not have it halts the stream', async () => {
  await start();
  for (let count = 0; count < 5; count += 1) payIn();
  await allCredited();
  const before = await stream();

  node().restore({ updatesBack: 2, losesTail: true });
  payIn();

  await halted('UPDATE_MISSING');
  expect(await stream()).toMatchObject({
    epoch: before.epoch,
    ledger_offset: before.verified_offset,
    updates_count: before.updates_count,
  });
});

test('A20: a node that no longer shows us the party halts the stream', async () => {
  await start();
  payIn();
  await allCredited();
  await stopAll();
  await start({ wrapLedger: (ledger) => ({ ...ledger, updateById: async () => null }) });
  payIn();

  await halted('shows none of our updates');
});

test('A14: an update of ours that stands where it was and says something else halts the stream', async () => {
  await start();
  payIn();
  await allCredited();
  await stopAll();
  await start({
    wrapLedger: (ledger) => ({
      ...ledger,
      updateById: async (...call) => {
        const found = await ledger.updateById(...call);
        if (found?.update?.$case === 'transaction') found.update.value.events.pop();
        return found;
      },
    }),
  });

  await halted('HISTORY_CHANGED');
});

test('A13: a node that stands still behind us is waited for with growing pauses and a limit, and never read', async () => {
  await start();
  for (let count = 0; count < 5; count += 1) payIn();
  await allCredited();
  await stopAll();
  node().restore({ updatesBack: 4, catchUp: 'held' });
  const pauses: number[] = [];
  let looks = 0;
  let reads = 0;
  const watching: Clock = {
    ...systemClock,
    sleep: (ms, signal) => {
      if (looks > 0) pauses.push(ms);
      return systemClock.sleep(ms, signal);
    },
  };
  const counting = (ledger: Ledger): Ledger => ({
    ...ledger,
    updateById: (...call) => {
      looks += 1;
      return ledger.updateById(...call);
    },
    updates: (options) => {
      if (options.beginExclusive !== node().ledgerEnd()) reads += 1;
      return ledger.updates(options);
    },
  });
  const ingestion = await start({
    clock: watching,
    wrapLedger: counting,
    settings: { leaseTtlMs: 60_000, silenceMsMax: 300, reconnect: { attemptsMax: 4, delayMsMin: 8, delayMsMax: 64 } },
  });

  await expect(ingestion.ended).rejects.toMatchObject({ code: 'ANCHOR_AWAITED', retryable: true });
  expect(reads).toBe(0);
  expect(Math.max(...pauses.filter((ms) => ms < 100))).toBeLessThanOrEqual(64);
  running.length = 0;
  await ingestion.stop();
});

test(`A13, A14: ${RESTORES} restores, each otherwise, while deposits come, lose and double nothing`, {
  timeout: (RESTORES + 20) * 3_000,
}, async () => {
  const random = createSeededRandom(Number(process.env['RESTORE_SEED'] ?? 1));
  const below = (limit: number) => Math.floor(random.next() * limit);
  await start({
    settings: { leaseTtlMs: 2_000, silenceMsMax: 2_000, reconnect: { attemptsMax: 60, delayMsMin: 5, delayMsMax: 50 } },
  });
  for (let count = 0; count < 5; count += 1) payIn();

  for (let restore = 0; restore < RESTORES; restore += 1) {
    for (let count = below(4); count > 0; count -= 1) payIn();
    if (random.next() < 0.3) node().skipOffsets(BigInt(1 + below(100)));
    // Now and then it strikes while an earlier one is still being survived.
    if (random.next() < 0.7) await allCredited(20_000);
    const min = 1 + below(3);
    node().restore({
      updatesBack: below(10),
      numbering: random.next() < 0.3 ? 'same' : 'fresh',
      catchUp: random.next() < 0.5 ? 'atOnce' : { everyMs: 1 + below(5) },
      ...(random.next() < 0.5 ? { offsetSteps: { min, max: min + below(5) } } : {}),
    });
  }

  payIn();
  await allCredited(20_000);
  await expectNothingLostOrDoubled();
});
