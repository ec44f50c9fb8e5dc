/**
 * Histories whose beginning is not ours to follow: pruned participants, exchanges that ran before, contract sets imported by a migration. What was there is
 * opening balance, never a deposit; what follows is followed; the rebuild and the books know no difference.
 */
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { checkBooks } from '../../src/books/check-books.ts';
import { microsToTimestamp } from '../../src/env/clock.ts';
import { GetUpdatesResponse } from '../../src/gen/com/daml/ledger/api/v2/update_service.ts';
import { compareWithRebuild } from '../../src/ingestion/rebuild.ts';
import type { Ledger } from '../../src/ledger/ledger-client.ts';
import { readKnownHistory } from '../../src/read/as-of.ts';
import { holdingsOf } from '../../src/simnet/network-commands.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { type IngestionOptions, type RunningIngestion, registerMemos, startIngestion } from '../support/ingestion.ts';
import { NETWORK, startTestNetwork, type TestNetwork } from '../support/network.ts';

let database: TestDatabase;
let simnet: TestNetwork;
const running: RunningIngestion[] = [];

beforeEach(async () => {
  database = await createTestDatabase();
  simnet = await startTestNetwork('opening', { checkpoints: { busyMs: 50, idleMs: 100 } });
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
    settings: { leaseTtlMs: 600, silenceMsMax: 2_000, reconnect: { attemptsMax: 8, delayMsMin: 5, delayMsMax: 50 } },
    ...options,
  });
  running.push(ingestion);
  return ingestion;
}

async function stopAll(): Promise<void> {
  for (const ingestion of running.splice(0)) await ingestion.stop();
}

function payIn(amount: number): ReturnType<TestNetwork['network']['transfer']> {
  simnet.network.tap({ instrument: 'amulet', owner: 'alice', amount: String(amount) });
  return simnet.network.transfer({
    instrument: 'amulet',
    sender: 'alice',
    receiver: 'treasury',
    amount: String(amount),
    memo: 'alice-memo',
  });
}

function offer(amount: number): string {
  simnet.network.tap({ instrument: 'amulet', owner: 'alice', amount: String(amount) });
  const { instructionCid = '' } = simnet.network.transfer({
    instrument: 'amulet',
    sender: 'alice',
    receiver: 'treasury',
    amount: String(amount),
    memo: 'alice-memo',
    kind: 'offer',
  });
  return instructionCid;
}

const stream = () => database.db.selectFrom('ingestion_stream').selectAll().executeTakeFirstOrThrow();
const node = () => simnet.network.participant('participant1');

async function totals() {
  const { rows } = await sql<{ credited: string; opening: string; held: string; deposits: bigint; events: bigint }>`
    SELECT coalesce(sum(b.balance) FILTER (WHERE a.kind = 'CUSTOMER'), 0)::text AS credited,
           coalesce(sum(b.balance) FILTER (WHERE a.kind = 'OPENING'), 0)::text AS opening,
           (SELECT coalesce(sum(amount::numeric), 0)::text FROM holding WHERE archived_update_id IS NULL) AS held,
           (SELECT count(*) FROM attribution) AS deposits,
           (SELECT count(*) FROM event_outbox WHERE type LIKE 'deposit.%') AS events
    FROM account_balance b JOIN account a ON a.id = b.account_id`.execute(database.db);
  const [row] = rows;
  if (row === undefined) throw new Error('No row.');
  return row;
}

const become = (expected: Partial<Awaited<ReturnType<typeof totals>>>) =>
  eventually(
    async () => {
      for (const ingestion of running) ingestion.throwIfFailed();
      expect(await totals()).toMatchObject(expected);
    },
    { deadlineMs: 10_000 },
  );

const halted = (code: string) =>
  eventually(async () => {
    expect(await stream()).toMatchObject({ status: 'HALTED', status_reason: expect.stringContaining(code) });
  });

async function expectConsistent(): Promise<void> {
  for (const treasury of running[0]?.treasuries ?? []) {
    expect((await compareWithRebuild(database.db, treasury)).differences).toEqual([]);
  }
  expect(await checkBooks(database.db)).toEqual([]);
  expect(await database.db.selectFrom('quarantine').selectAll().execute()).toEqual([]);
  expect((await totals()).held).toBe(simnet.network.balance({ instrument: 'amulet', owner: 'treasury' }));
}

test('a fresh start on a pruned participant takes what is active as opening balance and follows what comes', async () => {
  for (let count = 1; count <= 5; count += 1) payIn(count);
  const offered = offer(20);
  node().prune(node().ledgerEnd());
  payIn(100);
  await start();

  await become({ opening: '15.0000000000', credited: '100.0000000000', deposits: 1n, events: 1n });
  // An offer that was open is no balance; what it brings when it is accepted is a deposit.
  simnet.network.accept({ instructionCid: offered });
  await become({ opening: '15.0000000000', credited: '120.0000000000', deposits: 2n, events: 2n });
  await expectConsistent();
  const [first] = await database.db.selectFrom('stream_epoch').selectAll().execute();
  expect(first).toMatchObject({ epoch: 1, reason: 'OPENING', participant_id: node().participantId });
  const kinds = await database.db.selectFrom('transfer').select(['kind', 'counterparty', 'memo']).execute();
  expect(kinds.filter(({ kind }) => kind === 'OPENING')).toEqual(
    Array.from({ length: 5 }, () => ({ kind: 'OPENING', counterparty: null, memo: null })),
  );
});

test('what was opened is spent like anything else, and restarts change nothing', async () => {
  for (let count = 1; count <= 3; count += 1) payIn(10);
  node().prune(node().ledgerEnd());
  await start();
  await become({ opening: '30.0000000000' });
  await stopAll();

  await start();
  simnet.network.merge({ instrument: 'amulet', owner: 'treasury' });
  payIn(5);
  await become({ opening: '30.0000000000', credited: '5.0000000000', held: '35.0000000000' });
  await expectConsistent();
  expect(await stream()).toMatchObject({ epoch: 1, status: 'RUNNING' });
});

test('what was taken over as a balance is not known of any time before it', async () => {
  const { recordTimeMicros: before } = payIn(10);
  node().prune(node().ledgerEnd());
  await start();
  await become({ opening: '10.0000000000' });
  const known = async () => (await readKnownHistory(database.db))[0];
  await eventually(async () => expect((await known())?.to).toBeGreaterThanOrEqual(before));
  const opened = await known();
  expect(opened?.from).toBe(opened?.to);

  const { recordTimeMicros: first } = payIn(5);
  await become({ credited: '5.0000000000' });
  expect((await known())?.from).toBe(first);
});

test('a fresh start on a pruned participant where the treasury has nothing opens with nothing', async () => {
  simnet.network.tap({ instrument: 'amulet', owner: 'alice', amount: '1' });
  node().prune(node().ledgerEnd());
  await start();
  payIn(3);

  await become({ opening: '0', credited: '3.0000000000' });
  await expectConsistent();
});

test('--opening-at parts history at a record time: what is smaller is opening balance, the rest deposits, to the microsecond', async () => {
  payIn(1);
  payIn(2);
  const { recordTimeMicros } = payIn(4);
  payIn(8);
  await start({ opening: { at: recordTimeMicros } });

  await become({ opening: '3.0000000000', credited: '12.0000000000', deposits: 2n, events: 2n });
  await expectConsistent();
  await stopAll();

  // It is heeded once.
  await start({ opening: { at: recordTimeMicros + 60_000_000n } });
  payIn(16);
  await become({ opening: '3.0000000000', credited: '28.0000000000' });
  await expectConsistent();
});

test('--opening-at before everything opens with nothing; after everything it waits for that time', async () => {
  const { recordTimeMicros } = payIn(1);
  await start({ opening: { at: recordTimeMicros - 1_000_000n } });
  await become({ opening: '0', credited: '1.0000000000' });
  await expectConsistent();
  await stopAll();
  await database.close();
  database = await createTestDatabase();
  await registerMemos(database.db, NETWORK, { 'alice-memo': 'alice' });

  const soon = BigInt(Date.now() + 700) * 1_000n;
  await start({ opening: { at: soon } });
  payIn(2);
  await eventually(() => expect(BigInt(Date.now()) * 1_000n).toBeGreaterThan(soon));
  await become({ opening: '3.0000000000' });
  payIn(4);
  await become({ opening: '3.0000000000', credited: '4.0000000000' });
  await expectConsistent();
});

test('A16: history pruned below our position halts the stream with both offsets, and nothing is written', async () => {
  await start();
  payIn(1);
  await become({ credited: '1.0000000000' });
  await stopAll();
  const before = await stream();
  payIn(2);
  payIn(4);
  node().prune(node().ledgerEnd());
  await start();

  await halted('PARTICIPANT_PRUNED_DATA_ACCESSED');
  const { status_reason: reason } = await stream();
  expect(reason).toContain(`up to ${node().prunedUpTo()}`);
  expect(reason).toContain(`we have it up to ${before.ledger_offset}`);
  expect(await totals()).toMatchObject({ credited: '1.0000000000', opening: '0' });
});

test('A16: a quiet treasury whose updates are all pruned is no error: its contracts prove where we are', async () => {
  await start();
  for (let count = 1; count <= 6; count += 1) payIn(count);
  await become({ credited: '21.0000000000' });
  node().skipOffsets(50n);
  await eventually(async () => expect((await stream()).ledger_offset).toBe(node().ledgerEnd()));
  await stopAll();

  node().prune(node().ledgerEnd());
  await start();
  payIn(10);
  await become({ credited: '31.0000000000' });
  await expectConsistent();
  expect(await stream()).toMatchObject({ epoch: 1, status: 'RUNNING' });
});

test('A16: where contracts of a pruned participant are not what we hold, the stream halts', async () => {
  await start();
  payIn(1);
  await become({ credited: '1.0000000000' });
  node().skipOffsets(50n);
  await eventually(async () => expect((await stream()).ledger_offset).toBe(node().ledgerEnd()));
  await stopAll();
  await sql`UPDATE ingestion_stream SET ledger_offset = ledger_offset + 1000`.execute(database.db);
  payIn(2);
  node().prune(node().ledgerEnd());
  await start();

  await halted('HISTORY_CHANGED');
});

/** Nothing comes in the streams after the first `count`. */
function silentAfter(ledger: Ledger, count: number): Ledger {
  let streams = 0;
  return {
    ...ledger,
    updates: (options) => {
      streams += 1;
      return streams <= count ? ledger.updates(options) : nothingUntil(options.signal);
    },
  };
}

async function* nothingUntil(signal: AbortSignal): AsyncGenerator<never, void, undefined> {
  if (signal.aborted) return;
  await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
  yield* [];
}

test('A17: an opening that found nothing is no beginning: another participant does not show what came before it as deposits', async () => {
  payIn(5);
  simnet.network.preapprove({ instrument: 'amulet', receiver: 'bob' });
  const { recordTimeMicros } = simnet.network.transfer({
    instrument: 'amulet',
    sender: 'treasury',
    receiver: 'bob',
    amount: '5',
  });
  const at = recordTimeMicros + 1n;
  // Nothing is read behind the opening.
  await start({ opening: { at }, wrapLedger: (ledger) => silentAfter(ledger, 1) });
  await eventually(async () => {
    expect(await database.db.selectFrom('stream_epoch').select('reason').execute()).toEqual([{ reason: 'OPENING' }]);
  });
  await stopAll();
  await start({ ledgerUrl: simnet.ledgerUrl(1), opening: { at } });

  await halted('NO_ANCHOR');
  expect(await totals()).toMatchObject({ credited: '0', opening: '0', deposits: 0n });
});

test('A17: nor does another participant where the first deposit since an empty opening is the anchor', async () => {
  payIn(5);
  simnet.network.preapprove({ instrument: 'amulet', receiver: 'bob' });
  const { recordTimeMicros } = simnet.network.transfer({
    instrument: 'amulet',
    sender: 'treasury',
    receiver: 'bob',
    amount: '5',
  });
  const opening = { at: recordTimeMicros + 1n };
  await start({ opening });
  payIn(3);
  await become({ opening: '0', credited: '3.0000000000' });
  await stopAll();
  await start({ ledgerUrl: simnet.ledgerUrl(1), opening });
  payIn(4);

  await become({ opening: '0', credited: '7.0000000000', deposits: 2n });
  await expectConsistent();
});

test('A16: --opening-at in a part that is pruned halts: deposits from after it cannot be told from the opening balance', async () => {
  payIn(1);
  const { recordTimeMicros } = payIn(2);
  node().prune(node().ledgerEnd());
  await start({ opening: { at: recordTimeMicros } });

  await halted('HISTORY_PRUNED');
  const { status_reason: reason } = await stream();
  expect(reason).toContain(`up to offset ${node().prunedUpTo()}`);
  expect(reason).toContain('to be at record time');
  expect(await totals()).toMatchObject({ credited: '0', opening: '0' });
});

test('A16: --opening-at in what is left of a pruned history parts it there', async () => {
  payIn(1);
  node().prune(node().ledgerEnd());
  payIn(2);
  const { recordTimeMicros } = payIn(4);
  await start({ opening: { at: recordTimeMicros } });

  await become({ opening: '3.0000000000', credited: '4.0000000000' });
  await expectConsistent();
});

test('B4: --opening-at is not reached by a synchronizer whose clock is ahead', async () => {
  payIn(1);
  payIn(2);
  const { recordTimeMicros } = payIn(4);
  const isAhead = (ledger: Ledger): Ledger => ({
    ...ledger,
    updates: async function* (options) {
      const times = [
        { synchronizerId: 'ahead::1220', recordTime: microsToTimestamp(recordTimeMicros + 60_000_000n) },
        { synchronizerId: 'ours::1220', recordTime: microsToTimestamp(recordTimeMicros - 60_000_000n) },
      ];
      const message = GetUpdatesResponse.fromPartial({
        update: { $case: 'offsetCheckpoint', value: { offset: 1n, synchronizerTimes: times } },
      });
      if (options.beginExclusive === 0n) yield { message, bytes: GetUpdatesResponse.encode(message).finish() };
      yield* ledger.updates(options);
    },
  });
  await start({ opening: { at: recordTimeMicros }, wrapLedger: isAhead });

  await become({ opening: '3.0000000000', credited: '4.0000000000' });
  await expectConsistent();
});

test('B4: an offer that a stranger moved to another synchronizer does not stand in the way of an opening', async () => {
  simnet.network.addSynchronizer('private');
  payIn(3);
  const moved = offer(1);
  const onItsWay = offer(1);
  const left = simnet.network.unassign({ contractId: moved, target: 'private', submitter: 'alice' });
  simnet.network.assign(left);
  simnet.network.unassign({ contractId: onItsWay, target: 'private', submitter: 'alice' });
  node().prune(node().ledgerEnd());
  await start();
  payIn(4);

  await become({ opening: '3.0000000000', credited: '4.0000000000' });
  await expectConsistent();
});

test('B4: a holding of ours on another synchronizer does', async () => {
  simnet.network.addSynchronizer('private');
  payIn(3);
  payIn(4);
  const [first] = holdingsOf(
    simnet.network.ledger.contracts,
    simnet.network.party('treasury'),
    simnet.network.instrument('amulet'),
  );
  const { reassignmentId } = simnet.network.unassign({ contractId: first?.contractId ?? '', target: 'private' });
  simnet.network.assign({ reassignmentId });
  node().prune(node().ledgerEnd());
  await start();

  await halted('SECOND_SYNCHRONIZER');
});
