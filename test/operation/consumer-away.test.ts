/**
 * A consumer that is down for long. Nothing is pushed anywhere, so there is no queue that could fill or give up: the log is kept, and the cursor that the consumer has stored is the whole contract. It resumes
 * after any time, at any replica, over either transport.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { formatEventCursor } from '../../src/db/event-cursor.ts';
import { startApi, type TestApi } from '../support/api.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { createRows, type Rows } from '../support/rows.ts';
import { subscribeSse } from '../support/sse-client.ts';
import { connectAcknowledged } from '../support/ws-client.ts';

const QUERY = 'subscription ($after: Cursor) { deposits(after: $after) { cursor updateId } }';
const BEFORE = 5;
const WHILE_AWAY = 400; // Far beyond the ring, and several pages of the log.

type Delivery = { readonly cursor: string; readonly updateId: string };

let database: TestDatabase;
let api: TestApi;
let rows: Rows;

beforeAll(async () => {
  database = await createTestDatabase();
  rows = createRows(database.db);
  await rows.treasury();
  api = await startApi(database, { ringCountMax: 16 });
});
afterAll(async () => {
  await api.stop();
  await database.close();
});

const nameOf = (number: number): string => `deposit-${number}`;
const deposit = async (number: number): Promise<void> => {
  await rows.depositEvent(nameOf(number), { memo: `memo-${number}` });
};

async function overWebSocket(
  after: string | null,
  count: number,
  meanwhile?: () => Promise<void>,
): Promise<Delivery[]> {
  const client = await connectAcknowledged(api.url);
  client.send({ id: 'away', type: 'subscribe', payload: { query: QUERY, variables: { after } } });
  const running = meanwhile?.();
  const taken: Delivery[] = [];
  while (taken.length < count) {
    const { type, payload } = await client.next();
    expect(type).toBe('next');
    taken.push((payload as { data: { deposits: Delivery } }).data.deposits);
  }
  await running;
  client.socket.terminate();
  return taken;
}

async function overSse(after: string | null, count: number): Promise<Delivery[]> {
  const { stream } = await subscribeSse(api.url, { query: QUERY, variables: { after } });
  const taken: Delivery[] = [];
  while (taken.length < count) {
    const message = await stream.next();
    expect(message?.event).toBe('next');
    taken.push((JSON.parse(message?.data ?? '') as { data: { deposits: Delivery } }).data.deposits);
  }
  stream.cut();
  return taken;
}

test('H13: a consumer that was away for long goes on after its cursor without a gap, at a process that was not there then', {
  timeout: 60_000,
}, async () => {
  const beginning = api.log.tail.head();
  for (let number = 0; number < BEFORE; number++) await deposit(number);
  const first = await overWebSocket(formatEventCursor(beginning), BEFORE);
  const stored = first.at(-1)?.cursor ?? '';

  // It is gone. Nobody keeps anything for it: not a subscriber, not a queue.
  for (let number = BEFORE; number < BEFORE + WHILE_AWAY; number++) await deposit(number);
  await api.stop();
  api = await startApi(database, { ringCountMax: 16 });

  // And back, while more comes.
  const total = BEFORE + WHILE_AWAY + 5;
  const seen = await overWebSocket(stored, WHILE_AWAY + 5, async () => {
    for (let number = BEFORE + WHILE_AWAY; number < total; number++) await deposit(number);
  });
  const wanted = Array.from({ length: total - BEFORE }, (_, index) => nameOf(index + BEFORE));
  expect(seen.map(({ updateId }) => updateId)).toEqual(wanted);

  // The same over the other transport, from the same cursor: reading takes nothing away.
  const again = await overSse(stored, wanted.length);
  expect(again).toEqual(seen);
});
