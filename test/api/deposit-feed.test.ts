/**
 * The promise of the feed: whoever resumes after the last cursor he has stored sees every deposit exactly once and in order, however
 * often he is cut off, while deposits and API writes commit concurrently and out of order, and one other transaction stays open throughout.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { formatEventCursor } from '../../src/db/event-cursor.ts';
import { appendEvents } from '../../src/db/event-log.ts';
import { createSeededRandom } from '../../src/env/random.ts';
import { startApi, type TestApi } from '../support/api.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { draftOf } from '../support/event-log.ts';
import { eventually } from '../support/eventually.ts';
import { createRows, type Rows } from '../support/rows.ts';
import { subscribeSse } from '../support/sse-client.ts';
import { connectAcknowledged } from '../support/ws-client.ts';

let database: TestDatabase;
let api: TestApi;
let rows: Rows;

beforeAll(async () => {
  database = await createTestDatabase();
  rows = createRows(database.db);
  await rows.treasury();
  // A small ring, so that resuming goes through the database as well.
  api = await startApi(database, { ringCountMax: 32 });
});

afterAll(async () => {
  await api.stop();
  await database.close();
});

const QUERY = 'subscription ($after: Cursor) { deposits(after: $after) { cursor eventId } }';
type Delivery = { readonly cursor: string; readonly eventId: string };

/** Reads up to `count` deliveries after `cursor`, then is cut without a goodbye. */
type Read = (cursor: string, count: number) => Promise<Delivery[]>;

const readOverWebSocket: Read = async (after, count) => {
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
};

const readOverSse: Read = async (after, count) => {
  const { stream } = await subscribeSse(api.url, { query: QUERY, variables: { after } });
  const taken: Delivery[] = [];
  while (taken.length < count) {
    const message = await stream.next();
    expect(message?.event).toBe('next');
    const { data } = JSON.parse(message?.data ?? '') as { data: { deposits: Delivery } };
    taken.push(data.deposits);
  }
  stream.cut();
  return taken;
};

describe.each([
  ['WebSocket', readOverWebSocket],
  ['SSE', readOverSse],
])('over %s', (transport, read) => {
  test('a subscriber cut off at random and resumed sees every deposit exactly once, in order', async () => {
    const random = createSeededRandom(transport.length);
    const { startCursor } = (await api.query('{ eventLog { startCursor } }')).data.eventLog;
    const before = await depositsInLog();
    const open = await database.db.startTransaction().execute();
    await appendEvents(open, [draftOf(`open-throughout-${transport}`)]);

    const perWriter = 40;
    const writers = Array.from({ length: 3 }, async (_, writer) => {
      for (let line = 0; line < perWriter; line++) {
        const isCredited = random.next() < 0.8;
        await rows.depositEvent(`${transport}-${writer}-${line}`, {
          memo: `memo-${line}`,
          ...(isCredited ? { owner: `customer-${writer}` } : {}),
          waitMs: Math.floor(random.next() * 8),
        });
      }
    });
    const apiWrites = (async () => {
      for (let line = 0; line < 30; line++) {
        const { errors } = await api.query(
          'mutation ($memo: String!) { createDepositAccount(input: { account: "a", memo: $memo }) { __typename } }',
          { memo: `${transport}-${line}` },
        );
        expect(errors).toBeUndefined();
      }
    })();

    const wanted = before.length + 3 * perWriter;
    const seen: Delivery[] = [];
    for (let cursor = startCursor; seen.length < wanted; ) {
      const count = Math.min(1 + Math.floor(random.next() * 25), wanted - seen.length);
      seen.push(...(await read(cursor, count)));
      cursor = seen.at(-1)?.cursor;
    }
    await Promise.all([...writers, apiWrites]);
    await open.rollback().execute();

    const inLog = await depositsInLog();
    expect(inLog).toHaveLength(wanted);
    expect(seen.map(({ eventId }) => eventId)).toEqual(inLog);
    await eventually(() => expect(api.log.tail.stats().waiting).toBe(0));
  });

  async function depositsInLog(): Promise<string[]> {
    const events = await database.db
      .selectFrom('event')
      .select('event_id')
      .where('type', 'in', ['deposit.credited', 'deposit.unattributed'])
      .orderBy('position')
      .execute();
    return events.map((event) => event.event_id);
  }
});

describe('a delivery', () => {
  test('tells what became of the deposit, and what it points at', async () => {
    await rows.depositAccount('Feed-1', 'alice');
    await rows.transfer({ updateId: 'feed-credited', amount: '1.5000000000', memo: 'Feed-1' });
    const client = await connectAcknowledged(api.url);
    const query = `subscription { deposits { kind account unattributedBecause amount memo sender treasuryParty updateId recordTime recordedAt
      instrument { admin instrumentId } transferId transfer { transferId status } depositAccount { memo account { customer } } } }`;
    client.send({ id: 'd', type: 'subscribe', payload: { query } });
    await eventually(() => expect(api.log.tail.stats().waiting).toBe(1));

    await rows.depositEvent('feed-credited', { memo: 'Feed-1', owner: 'alice' });
    await rows.depositEvent('feed-unattributed', { memo: 'nobody' });

    const transferId = expect.stringMatching(/^tr_[0-9a-f]{40}$/);
    const common = {
      amount: '1.5000000000',
      sender: 'customer::1220cc',
      treasuryParty: 'treasury::1220bb',
      recordTime: '2026-11-22T00:00:00.000000Z',
      recordedAt: '2026-11-22T00:00:00.000000Z',
      instrument: { admin: 'DSO::1220aa', instrumentId: 'Amulet' },
      transferId,
    };
    expect((await client.next()).payload).toEqual({
      data: {
        deposits: {
          ...common,
          kind: 'CREDITED',
          account: 'alice',
          unattributedBecause: null,
          memo: 'Feed-1',
          updateId: 'feed-credited',
          transfer: { transferId, status: 'COMPLETED' },
          depositAccount: { memo: 'Feed-1', account: { customer: 'alice' } },
        },
      },
    });
    expect((await client.next()).payload).toEqual({
      data: {
        deposits: {
          ...common,
          kind: 'UNATTRIBUTED',
          account: null,
          unattributedBecause: 'UNKNOWN_MEMO',
          memo: 'nobody',
          updateId: 'feed-unattributed',
          transfer: null,
          depositAccount: null,
        },
      },
    });
    await client.close();
  });

  test('what a delivery points at is read anew each time, never from a cache of the subscription', async () => {
    const client = await connectAcknowledged(api.url);
    client.send({
      id: 'd',
      type: 'subscribe',
      payload: { query: 'subscription { deposits { transfer { status } } }' },
    });
    await eventually(() => expect(api.log.tail.stats().waiting).toBe(1));
    const transfer = await rows.transfer({ updateId: 'fresh', status: 'PENDING' });
    const statusOf = async () =>
      ((await client.next()).payload as { data: { deposits: { transfer: { status: string } } } }).data.deposits.transfer
        .status;

    await rows.depositEvent('fresh');
    expect(await statusOf()).toBe('PENDING');
    await database.db
      .updateTable('transfer')
      .set({ status: 'COMPLETED', concluded_update_id: 'x', concluded_record_time: 1n })
      .where('id', '=', transfer)
      .execute();
    await rows.depositEvent('fresh', { memo: 'again', owner: 'alice' });
    expect(await statusOf()).toBe('COMPLETED');
    await client.close();
  });
});

describe('cursors', () => {
  test.each([
    ['of another log', () => formatEventCursor({ epoch: 'abcdef', position: 1n }), 'CURSOR_FROM_ANOTHER_LOG'],
    ['ahead of it', () => formatEventCursor({ epoch: api.log.tail.head().epoch, position: 10n ** 9n }), 'CURSOR_AHEAD'],
    ['that is none', () => 'bm9uZQ', 'CURSOR_INVALID'],
  ])('a cursor %s is refused, and told where to resume', async (_what, cursor, code) => {
    const { stream } = await subscribeSse(api.url, { query: QUERY, variables: { after: cursor() } });

    const { errors } = JSON.parse((await stream.next())?.data ?? '');

    expect(errors[0].extensions.code).toBe(code);
    if (code !== 'CURSOR_INVALID') {
      const { startCursor, headCursor } = (await api.query('{ eventLog { startCursor headCursor } }')).data.eventLog;
      expect(errors[0].extensions).toMatchObject({ startCursor, headCursor });
    }
    stream.cut();
  });

  test('without a cursor only what comes from now on is delivered', async () => {
    await rows.depositEvent('before-now');
    await eventually(async () => {
      const end = await database.db.selectFrom('event_log').select('last_position').executeTakeFirstOrThrow();
      expect(await database.db.selectFrom('event_outbox').select('seq').execute()).toEqual([]);
      expect(api.log.tail.head().position).toBe(end.last_position);
    });
    const client = await connectAcknowledged(api.url);
    client.send({ id: 'd', type: 'subscribe', payload: { query: 'subscription { deposits { updateId } }' } });
    await eventually(() => expect(api.log.tail.stats().waiting).toBe(1));

    await rows.depositEvent('after-now');

    expect((await client.next()).payload).toEqual({ data: { deposits: { updateId: 'after-now' } } });
    await client.close();
  });
});

describe('a reader that stops reading', () => {
  test.each(['WebSocket', 'SSE'])('over %s makes the server read no further for it', async (transport) => {
    const payload = { query: 'subscription ($after: Cursor) { deposits(after: $after) { cursor memo } }' };
    const variables = { after: formatEventCursor(api.log.tail.head()) };
    // 30 MB, far more than the buffers of any socket on this machine.
    const count = 300;
    for (let line = 0; line < count; line++) {
      await rows.depositEvent(`slow-${transport}-${line}`, { memo: 'x'.repeat(100_000) });
    }
    await eventually(async () => {
      expect(await database.db.selectFrom('event_outbox').select('seq').execute()).toEqual([]);
    });
    const pages = api.log.tail.stats().pagesRead;
    let end: () => void;
    if (transport === 'WebSocket') {
      const client = await connectAcknowledged(api.url);
      client.socket.pause();
      client.send({ id: 's', type: 'subscribe', payload: { ...payload, variables } });
      end = () => client.socket.terminate();
    } else {
      const { stream } = await subscribeSse(api.url, { ...payload, variables });
      end = () => stream.cut();
    }

    // It reads, three of these events to a page, until the sockets’ buffers are full, and then stands still, far from the end.
    const standsStill = await untilStill(() => api.log.tail.stats().pagesRead);

    expect(standsStill - pages).toBeGreaterThan(0);
    expect(standsStill - pages).toBeLessThan(count / 3 / 2);
    end();
  });

  async function untilStill(read: () => number): Promise<number> {
    let last = -1;
    let stillFor = 0;
    await eventually(
      () => {
        const now = read();
        stillFor = now === last ? stillFor + 1 : 0;
        last = now;
        expect(stillFor).toBeGreaterThan(10);
      },
      { deadlineMs: 20_000, intervalMs: 50 },
    );
    return last;
  }
});
