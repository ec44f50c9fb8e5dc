/** A stream over endpoints that fail in every way they can. Row ids of the failure catalogue stand in the names. */
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { checkBooks } from '../../src/books/check-books.ts';
import { systemClock } from '../../src/env/system.ts';
import { compareWithRebuild } from '../../src/ingestion/rebuild.ts';
import { type KnownCode, knownRefusal } from '../../src/simnet/ledger/known-refusals.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { type IngestionOptions, type RunningIngestion, registerMemos, startIngestion } from '../support/ingestion.ts';
import { NETWORK, startTestNetwork, type TestNetwork } from '../support/network.ts';
import { createTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';
import { rounds } from '../support/tier.ts';

let database: TestDatabase;
let simnet: TestNetwork;
/** Two ways to participant1. */
let proxies: readonly [TcpProxy, TcpProxy];
const running: RunningIngestion[] = [];
let paid: number;

beforeEach(async () => {
  database = await createTestDatabase();
  simnet = await startTestNetwork('endpoints', { checkpoints: { busyMs: 100, idleMs: 200 } });
  await registerMemos(database.db, NETWORK, { 'alice-memo': 'alice' });
  const target = { host: '127.0.0.1', port: Number(new URL(simnet.ledgerUrl()).port) };
  proxies = [await createTcpProxy(target), await createTcpProxy(target)];
  paid = 0;
});

afterEach(async () => {
  for (const ingestion of running.splice(0)) await ingestion.stop();
  for (const proxy of proxies) await proxy.close();
  await simnet.stop();
  await database.close();
});

const urlOf = ({ port }: TcpProxy): string => `http://127.0.0.1:${port}`;

async function start(options: Partial<IngestionOptions> = {}): Promise<RunningIngestion> {
  const ingestion = await startIngestion({
    connectionString: database.connectionString,
    ledgerUrl: urlOf(proxies[0]),
    otherLedgerUrls: [urlOf(proxies[1])],
    endpoints: { healthCheckMs: 200, timing: { connectTimeoutMs: 500, keepaliveMs: 200, keepaliveTimeoutMs: 200 } },
    catalog: simnet.catalog,
    settings: { leaseTtlMs: 600, silenceMsMax: 2_000, reconnect: { attemptsMax: 40, delayMsMin: 5, delayMsMax: 100 } },
    ...options,
  });
  running.push(ingestion);
  return ingestion;
}

function payIn(): void {
  simnet.network.tap({ instrument: 'amulet', owner: 'alice', amount: '1' });
  simnet.network.transfer({
    instrument: 'amulet',
    sender: 'alice',
    receiver: 'treasury',
    amount: '1',
    memo: 'alice-memo',
  });
  paid += 1;
}

async function credited(): Promise<number> {
  const { rows } = await sql<{ total: string | null }>`
    SELECT sum(b.balance)::text AS total FROM account_balance b JOIN account a ON a.id = b.account_id WHERE a.kind = 'CUSTOMER'`.execute(
    database.db,
  );
  return Number(rows[0]?.total ?? 0);
}

const allCredited = (deadlineMs = 15_000) =>
  eventually(
    async () => {
      for (const ingestion of running) ingestion.throwIfFailed();
      expect(await credited()).toBe(paid);
    },
    { deadlineMs },
  );

async function payInAndWait(): Promise<void> {
  payIn();
  await allCredited();
}

async function millisecondsOf(work: Promise<unknown>): Promise<number> {
  const startedAt = systemClock.nowMicros();
  await work;
  return Number((systemClock.nowMicros() - startedAt) / 1_000n);
}

const stream = () => database.db.selectFrom('ingestion_stream').selectAll().executeTakeFirstOrThrow();
const faults = (name = 'participant1') => simnet.network.participant(name).faults;

async function expectConsistent(): Promise<void> {
  for (const treasury of running[0]?.treasuries ?? []) {
    expect((await compareWithRebuild(database.db, treasury)).differences).toEqual([]);
  }
  expect(await checkBooks(database.db)).toEqual([]);
  expect(await database.db.selectFrom('quarantine').selectAll().execute()).toEqual([]);
}

test.each([
  ['A1: refuses connections', (proxy: TcpProxy) => proxy.refuse()],
  [
    'A4: is cut off without a word',
    async (proxy: TcpProxy) => {
      proxy.silence();
    },
  ],
  [
    'A5: accepts and never speaks',
    async (proxy: TcpProxy) => {
      proxy.hold();
      proxy.cut();
    },
  ],
])('an endpoint that %s is left for the next one of the same participant, in the same epoch', async (_, fail) => {
  await start();
  await payInAndWait();
  expect(proxies[1].connections()).toBe(1); // A look now and then, no more.

  await fail(proxies[0]);
  payIn();
  await eventually(() => expect(faults().openStreams()).toBeLessThanOrEqual(2));
  await allCredited();
  for (let count = 0; count < 5; count += 1) await payInAndWait();

  expect(await stream()).toMatchObject({ epoch: 1, status: 'RUNNING' });
  await expectConsistent();
});

test('A2: all endpoints away for a while: the position stays, and after healing nothing is missing', async () => {
  const ingestion = await start({
    settings: { leaseTtlMs: 600, reconnect: { attemptsMax: 400, delayMsMin: 5, delayMsMax: 100 } },
  });
  await payInAndWait();
  for (const proxy of proxies) await proxy.refuse();
  for (let count = 0; count < 10; count += 1) payIn();
  await systemClock.sleep(1_500);

  expect(await credited()).toBe(1);
  expect(ingestion.endpoints.states().map(({ failures }) => failures > 0)).toEqual([true, true]);
  for (const proxy of proxies) await proxy.admit();

  expect(await millisecondsOf(allCredited())).toBeLessThan(5_000);
  await expectConsistent();
});

test('A17: another participant goes on where ours stays away, and not before; while ours is there it is preferred to it', async () => {
  const other = { otherLedgerUrls: [simnet.ledgerUrl(1)], endpoints: { healthCheckMs: 100, switchAfterMs: 1_500 } };
  const first = await start({ ...other, ledgerUrl: urlOf(proxies[0]) });
  await payInAndWait();
  const home = simnet.participants[0]?.participantId;
  expect(await stream()).toMatchObject({ epoch: 1, participant_id: home });

  proxies[0].cut();
  await payInAndWait();
  expect(await stream()).toMatchObject({ epoch: 1, participant_id: home });
  // Named second and healthy as the first, the participant whose offsets we have is used.
  await first.stop();
  running.length = 0;
  await start({ ...other, ledgerUrl: simnet.ledgerUrl(1), otherLedgerUrls: [urlOf(proxies[0])] });
  await payInAndWait();
  expect(await stream()).toMatchObject({ epoch: 1, participant_id: home });

  await proxies[0].refuse();
  payIn();
  expect(await millisecondsOf(allCredited())).toBeGreaterThan(1_000);
  expect(await stream()).toMatchObject({ epoch: 2, participant_id: simnet.participants[1]?.participantId });
  await payInAndWait();
  await expectConsistent();
});

test.each<KnownCode>([
  'NODE_IS_PASSIVE_REPLICA',
  'UNIMPLEMENTED',
  'LEDGER_API_INTERNAL_ERROR',
  'SERVICE_NOT_RUNNING',
  'MAXIMUM_NUMBER_OF_STREAMS',
])('A18: %s, to every call or to streams alone, once or many times, costs nothing but time', async (code) => {
  await start({ otherLedgerUrls: [], settings: { reconnect: { attemptsMax: 40, delayMsMin: 5, delayMsMax: 20 } } });
  await payInAndWait();

  // Twenty times are as many as are promised.
  for (const times of [1, code === 'NODE_IS_PASSIVE_REPLICA' ? 20 : rounds(4, 20)]) {
    faults().rejectCalls({ refusal: knownRefusal(code), next: times });
    faults().endStreams();
    await payInAndWait();
    faults().rejectCalls({ refusal: knownRefusal(code), next: times, calls: ['getUpdates'] });
    faults().endStreams();
    await payInAndWait();
  }
  await expectConsistent();
});

test('A18: while one participant is a passive replica the other is read', async () => {
  faults().rejectCalls({ refusal: knownRefusal('NODE_IS_PASSIVE_REPLICA'), share: 1 });
  await start({
    ledgerUrl: simnet.ledgerUrl(0),
    otherLedgerUrls: [simnet.ledgerUrl(1)],
    endpoints: { healthCheckMs: 100 },
  });
  await payInAndWait();
  expect(await stream()).toMatchObject({ participant_id: simnet.participants[1]?.participantId });
});

test('A6: a stream that is silent while pings are answered is given up, over a connection that is not used again', async () => {
  await start({
    otherLedgerUrls: [],
    settings: { silenceMsMax: 400, reconnect: { attemptsMax: 200, delayMsMin: 5, delayMsMax: 20 } },
  });
  await payInAndWait();
  const before = proxies[0].accepted();

  faults().silenceStreams();
  payIn();
  await eventually(() => expect(proxies[0].accepted()).toBeGreaterThan(before + 1));
  expect(await credited()).toBe(1);
  faults().resume();

  await allCredited();
  await eventually(() => expect(faults().openStreams()).toBe(1));
  await eventually(() => expect(proxies[0].connections()).toBe(1));
  await expectConsistent();
});

test('A8: while the database is slow no more is taken from the participant than two batches, and it is not taken for silence', async () => {
  for (let count = 0; count < rounds(80, 300); count += 1) payIn();
  let received = 0;
  let written = 0;
  let aheadMax = 0;
  const openings: number[] = [];
  const ingestion = await start({
    endpoints: {}, // A busy machine that answers no ping within a moment is not what is asked here.
    settings: { batchCountMax: 20, silenceMsMax: 1_500, reconnect: { attemptsMax: 3, delayMsMin: 5, delayMsMax: 20 } },
    sinks: [
      {
        name: 'slow',
        apply: async (_tx, _treasury, changes) => {
          await systemClock.sleep(2_000); // Longer than a silence may last.
          written += changes.length;
        },
      },
    ],
    wrapLedger: (ledger) => ({
      ...ledger,
      updates: (options) => {
        openings.push(1);
        const messages = ledger.updates(options);
        return (async function* () {
          for await (const message of messages) {
            if (message.message.update?.$case === 'transaction') received += 1;
            aheadMax = Math.max(aheadMax, received - written);
            yield message;
          }
        })();
      },
    }),
  });

  await allCredited(25_000);

  expect(openings).toHaveLength(1);
  // One batch in the transaction, one collected, the message that waits at the door, and the four updates that are no payments.
  expect(aheadMax).toBeLessThanOrEqual(2 * 20 + 1 + 4);
  ingestion.throwIfFailed();
});

test('A3, A9: a hundred connections torn at any moment leave one stream open, and lose nothing', async () => {
  // Torn more often than it can begin: no number of tries would do.
  await start({ otherLedgerUrls: [], settings: { reconnect: { attemptsMax: 10_000, delayMsMin: 2, delayMsMax: 20 } } });
  proxies[0].chop(100);
  let streamsMax = 0;
  for (let round = 0; round < 100; round += 1) {
    payIn();
    await systemClock.sleep((round * 7) % 40);
    proxies[0].cut();
    streamsMax = Math.max(streamsMax, faults().openStreams());
  }

  await allCredited();
  await eventually(() => expect(faults().openStreams()).toBe(1));
  // The one that was just cut may not have noticed.
  expect(streamsMax).toBeLessThanOrEqual(2);
  await expectConsistent();
});

test('A10: messages of 5, 20 and 127 MiB are stored; at one of 130 MiB the stream halts where it stands', {
  timeout: 120_000,
}, async () => {
  const MIB = 1024 * 1024;
  const ingestion = await start({ otherLedgerUrls: [], endpoints: {}, settings: { silenceMsMax: 60_000 } });
  for (const size of [5, 20, 127]) {
    faults().disturbNext({ kind: 'pad', messageBytes: size * MIB });
    payIn();
    await allCredited(40_000);
  }
  const before = await stream();

  faults().disturbNext({ kind: 'pad', messageBytes: 130 * MIB });
  payIn();
  await ingestion.ended;

  expect(await stream()).toMatchObject({
    status: 'HALTED',
    status_reason: expect.stringContaining('MESSAGE_TOO_LARGE'),
    verified_offset: before.verified_offset,
  });
});

test('A19: rights that changed are answered at once, once; a token that ended as well; a right that is gone is told at the end', async () => {
  const ingestion = await start({
    otherLedgerUrls: [],
    settings: { reconnect: { attemptsMax: 3, delayMsMin: 4_000, delayMsMax: 4_000 } },
  });
  await payInAndWait();
  for (const code of ['STALE_STREAM_AUTHORIZATION', 'ACCESS_TOKEN_EXPIRED'] as const) {
    faults().abortStreams(knownRefusal(code));
    payIn();
    expect(await millisecondsOf(allCredited())).toBeLessThan(1_900);
  }

  faults().rejectCalls({ refusal: knownRefusal('PERMISSION_DENIED'), share: 1, calls: ['getUpdates'] });
  faults().abortStreams(knownRefusal('STALE_STREAM_AUTHORIZATION'));
  await expect(ingestion.ended).rejects.toMatchObject({ code: 'GRPC_PERMISSION_DENIED', retryable: true });
});

test('streams that end in order while nothing happens cost no tries, however many', async () => {
  await simnet.stop();
  simnet = await startTestNetwork('idle', { checkpoints: { busyMs: 600_000, idleMs: 600_000 } });
  const ingestion = await start({
    ledgerUrl: simnet.ledgerUrl(),
    otherLedgerUrls: [],
    settings: { reconnect: { attemptsMax: 5, delayMsMin: 2, delayMsMax: 10 } },
  });
  await payInAndWait();

  for (let ended = 0; ended < 60; ) {
    ended += faults().endStreams();
    await systemClock.sleep(10);
  }

  ingestion.throwIfFailed();
  await payInAndWait();
  await expectConsistent();
});

test('a batch is never larger than it may be', async () => {
  for (let count = 0; count < 60; count += 1) payIn();
  await start({ settings: { batchCountMax: 7 } });
  await allCredited();

  const { rows } = await sql<{ largest: bigint; updates: bigint }>`
    SELECT max(count) AS largest, sum(count)::bigint AS updates FROM (SELECT count(*) FROM ledger_update GROUP BY xmin) AS batch`.execute(
    database.db,
  );
  expect(rows[0]?.updates).toBeGreaterThanOrEqual(60n);
  expect(rows[0]?.largest).toBe(7n);
});
