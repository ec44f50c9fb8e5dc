/**
 * The feed on real parts end to end: the simulated network pays, ingestion credits, the sequencer numbers, a WebSocket subscriber is cut at random and resumes from its last cursor.
 * API writes commit concurrently, the ledger stream is broken now and then, and one other write transaction stays open throughout. The network's own list of payments is the truth.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createSeededRandom } from '../../src/env/random.ts';
import { systemClock } from '../../src/env/system.ts';
import { startApi, type TestApi } from '../support/api.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { type RunningIngestion, registerMemos, startIngestion } from '../support/ingestion.ts';
import { NETWORK, startTestNetwork, type TestNetwork } from '../support/network.ts';
import { connectAcknowledged } from '../support/ws-client.ts';

const DEPOSITS = 120;
const QUERY = `subscription ($after: Cursor) { deposits(after: $after) { cursor kind amount memo transfer { updateId } } }`;
type Delivery = {
  readonly cursor: string;
  readonly kind: string;
  readonly amount: string;
  readonly memo: string;
  readonly transfer: { readonly updateId: string };
};

let database: TestDatabase;
let simnet: TestNetwork;
let ingestion: RunningIngestion;
let api: TestApi;

beforeAll(async () => {
  database = await createTestDatabase();
  simnet = await startTestNetwork('live-feed');
  await registerMemos(database.db, NETWORK, { 'memo-0': 'alice', 'memo-1': 'bob' });
  ingestion = await startIngestion({
    connectionString: database.connectionString,
    ledgerUrl: simnet.ledgerUrl(),
    catalog: simnet.catalog,
    settings: { reconnect: { attemptsMax: 20, delayMsMin: 5, delayMsMax: 20 } },
  });
  api = await startApi(database, { ringCountMax: 16 });
});

afterAll(async () => {
  await api.stop();
  await ingestion.stop();
  await simnet.stop();
  await database.close();
});

/** Up to `count` deliveries after `cursor`; then the socket is cut without a goodbye. */
async function read(after: string, count: number): Promise<Delivery[]> {
  const client = await connectAcknowledged(api.url);
  client.send({ id: 'feed', type: 'subscribe', payload: { query: QUERY, variables: { after } } });
  const taken: Delivery[] = [];
  while (taken.length < count) {
    const message = await client.next();
    expect(message.type).toBe('next');
    taken.push((message.payload as { data: { deposits: Delivery } }).data.deposits);
  }
  client.socket.terminate();
  return taken;
}

test('every payment of the network is delivered exactly once, in ledger order', async () => {
  const random = createSeededRandom(7);
  const { startCursor } = (await api.query('{ eventLog { startCursor } }')).data.eventLog;
  const open = await database.db.startTransaction().execute();
  await open.insertInto('network').values({ name: 'written, never committed' }).execute();

  const paid: { updateId: string; amount: string; memo: string }[] = [];
  const paying = (async () => {
    for (let index = 0; index < DEPOSITS; index += 1) {
      const payment = { amount: `${index + 1}.0000000000`, memo: `memo-${index % 3}` };
      simnet.network.tap({ instrument: 'amulet', owner: 'alice', amount: '1000' });
      const { updateId } = simnet.network.transfer({
        instrument: 'amulet',
        sender: 'alice',
        receiver: 'treasury',
        ...payment,
      });
      paid.push({ updateId, ...payment });
      if (index % 17 === 0) simnet.network.participant('participant1').faults.endStreams();
      await systemClock.sleep(random.next() * 10);
    }
  })();
  const writing = (async () => {
    for (let index = 0; index < 40; index += 1) {
      const mutation =
        'mutation ($memo: String!) { createDepositAccount(input: { account: "carol", memo: $memo }) { __typename } }';
      expect((await api.query(mutation, { memo: `other-${index}` })).errors).toBeUndefined();
    }
  })();

  const seen: Delivery[] = [];
  for (let cursor = startCursor; seen.length < DEPOSITS; cursor = seen.at(-1)?.cursor ?? cursor) {
    seen.push(...(await read(cursor, Math.min(1 + Math.floor(random.next() * 15), DEPOSITS - seen.length))));
  }
  await Promise.all([paying, writing]);
  await open.rollback().execute();
  ingestion.throwIfFailed();

  expect(seen.map(({ transfer, amount, memo }) => ({ updateId: transfer.updateId, amount, memo }))).toEqual(paid);
  expect(seen.map(({ kind }) => kind)).toEqual(
    paid.map(({ memo }) => (memo === 'memo-2' ? 'UNATTRIBUTED' : 'CREDITED')),
  );
});
