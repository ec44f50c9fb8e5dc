/**
 * Subscriptions over both transports, by one table: what is delivered, where it resumes, how it is refused and how it is cut off must not depend on which of them carries it.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createDatabase, type DatabaseConnection } from '../../src/db/connection.ts';
import { formatEventCursor, parseEventCursor } from '../../src/db/event-cursor.ts';
import type { LogEvent } from '../../src/db/event-page.ts';
import { readEvents } from '../../src/db/event-page.ts';
import type { ServerCounts } from '../../src/server/create-server.ts';
import { startApi, type TestApi } from '../support/api.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { append, draftOf } from '../support/event-log.ts';
import { eventually } from '../support/eventually.ts';
import { type Follower, follow, TRANSPORTS } from '../support/follower.ts';
import { createRows, type Rows } from '../support/rows.ts';

const EVENTS = 'subscription ($after: Cursor) { events(after: $after) { cursor eventId type subject payload } }';
type Told = { readonly cursor: string; readonly eventId: string; readonly type: string };

let database: TestDatabase;
let counted: DatabaseConnection;
let api: TestApi;
let slowReaders = (): number => 0;
let rows: Rows;
let statements = 0;

beforeAll(async () => {
  database = await createTestDatabase();
  rows = createRows(database.db);
  await rows.treasury();
  counted = createDatabase({
    connectionString: database.connectionString,
    applicationName: 'sluice-test-counted',
    poolSizeMax: 4,
    logger: database.logger,
  });
  const db = counted.db.withPlugin({
    transformQuery: ({ node }) => node,
    // Of results, since not every statement is put together by the builder.
    transformResult: async ({ result }) => {
      statements++;
      return result;
    },
  });
  const onCounts = (counts: () => ServerCounts): void => {
    slowReaders = () => counts().slowReaders;
  };
  api = await startApi(database, { db, slowReaderMs: 500, ringCountMax: 64, onCounts });
});

afterAll(async () => {
  await api.stop();
  await counted.close();
  await database.close();
});

async function itemOf(follower: Follower): Promise<Record<string, unknown>> {
  const told = await follower.next();
  if (told.kind !== 'ITEM') throw new Error(`Not an item: ${JSON.stringify(told)}`);
  expect(told.result.errors).toBeUndefined();
  return (told.result.data ?? {}) as Record<string, unknown>;
}

async function errorOf(follower: Follower): Promise<Readonly<Record<string, unknown>>> {
  const told = await follower.next();
  if (told.kind !== 'ITEM') throw new Error(`Not an error: ${JSON.stringify(told)}`);
  return told.result.errors?.[0]?.extensions ?? {};
}

async function logAfter(cursor: string): Promise<readonly LogEvent[]> {
  const { position: after } = parseEventCursor(cursor);
  const bounds = { after, upTo: after + 100_000n, countMax: 100_000, bytesMax: 1 << 30 };
  return (await readEvents(database.db, bounds)).events.map(({ event }) => event);
}

const head = (): string => formatEventCursor(api.log.tail.head());

async function untilHead(position: bigint): Promise<void> {
  await eventually(() => expect(api.log.tail.head().position).toBeGreaterThanOrEqual(position));
}

async function untilAllWait(count: number): Promise<void> {
  await eventually(() => expect(api.log.tail.stats().waiting).toBe(count));
}

describe.each(TRANSPORTS)('over %s', (transport) => {
  test('H1: cut at every event, what was delivered is the log, in order', async () => {
    const start = head();
    const writing = (async () => {
      for (let line = 0; line < 40; line++) await rows.depositEvent(`${transport}-h1-${line}`, { owner: 'alice' });
    })();

    const seen: Told[] = [];
    while (seen.length < 40) {
      const follower = await follow(transport, api.url, {
        query: EVENTS,
        variables: { after: seen.at(-1)?.cursor ?? start },
      });
      seen.push((await itemOf(follower))['events'] as Told);
      follower.cut();
    }
    await writing;

    expect(seen.map(({ eventId }) => eventId)).toEqual((await logAfter(start)).map(({ eventId }) => eventId));
    await untilAllWait(0);
  });

  test('H3: a cursor of another log is refused with the places to resume from', async () => {
    const after = formatEventCursor({ epoch: 'abcdef', position: 1n });
    const follower = await follow(transport, api.url, { query: EVENTS, variables: { after } });

    const { code, startCursor, headCursor } = await errorOf(follower);

    expect(code).toBe('CURSOR_FROM_ANOTHER_LOG');
    expect(parseEventCursor(String(startCursor)).position).toBe(0n);
    expect(headCursor).toBe(head());
    expect((await follower.next()).kind).toBe('END');
    follower.cut();
  });

  test('H3: a log that is replaced under a subscription ends it with the places to resume from', async () => {
    const own = await createTestDatabase();
    const replaced = await startApi(own);
    const follower = await follow(transport, replaced.url, { query: EVENTS });
    await eventually(() => expect(replaced.log.tail.stats().waiting).toBe(1));
    await append(own, draftOf('seen'));
    await itemOf(follower);

    await own.db.updateTable('event_log').set({ epoch: 'fffe' }).execute();
    const { code, startCursor } = await errorOf(follower);

    expect(code).toBe('CURSOR_FROM_ANOTHER_LOG');
    expect(parseEventCursor(String(startCursor)).epoch).not.toBe(replaced.log.tail.head().epoch);
    expect((await follower.next()).kind).toBe('END');
    follower.cut();
    await expect(replaced.stop()).rejects.toMatchObject({ code: 'EVENT_LOG_REPLACED' });
    await own.close();
  });

  test('H2: a stopped reader is cut off with where to resume, and everybody else has everything', async () => {
    const start = head();
    const cutBefore = slowReaders();
    const query = 'subscription ($after: Cursor) { deposits(after: $after) { cursor updateId memo } }';
    const count = 160;
    const memo = 'x'.repeat(100_000);
    const stopped = await follow(transport, api.url, { query, variables: { after: start } });
    stopped.pause();
    const fast = await follow(transport, api.url, { query, variables: { after: start } });
    const whole: Told[] = [];
    const reading = (async () => {
      while (whole.length < count) whole.push((await itemOf(fast))['deposits'] as Told);
    })();

    // 16 MB, more than the buffers of any socket on this machine.
    for (let line = 0; line < count; line++) await rows.depositEvent(`${transport}-h2-${line}`, { memo });
    await reading;
    // However soon the other one has everything.
    await eventually(() => expect(slowReaders()).toBe(cutBefore + 1));
    // Cut off, it waits for nothing any more: only the other one is left.
    await untilAllWait(1);
    stopped.resume();
    const part: Told[] = [];
    let last = await stopped.next();
    for (; last.kind === 'ITEM'; last = await stopped.next()) part.push(last.result.data?.['deposits'] as Told);

    expect(last).toEqual({ kind: 'CUT', code: 'SLOW_READER', cursor: part.at(-1)?.cursor });
    expect(part.length).toBeLessThan(count);
    expect(part).toEqual(whole.slice(0, part.length));
    const resumed = await follow(transport, api.url, { query, variables: { after: part.at(-1)?.cursor } });
    for (const expected of whole.slice(part.length)) {
      expect(((await itemOf(resumed))['deposits'] as Told).cursor).toBe(expected.cursor);
    }
    resumed.cut();
    fast.cut();
    await untilAllWait(0);
  }, 60_000);

  test('signs of life tell a quiet one how far it is, and it resumes there', async () => {
    const lively = await startApi(database, { heartbeatMs: 1_000 });
    const query = 'subscription ($after: Cursor) { events(after: $after, types: [HALT_CHANGED]) { eventId } }';
    const follower = await follow(transport, lively.url, { query });
    await eventually(() => expect(lively.log.tail.stats().waiting).toBe(1));
    const telling = follower.next();
    const before = lively.log.tail.head().position;
    await append(database, draftOf(`${transport}-noise-1`), draftOf(`${transport}-noise-2`));

    await eventually(() => {
      const told = parseEventCursor(follower.heartbeats.at(-1) ?? head());
      expect(told.position).toBe(before + 2n);
      expect(follower.heartbeats.length).toBeGreaterThan(0);
    });
    const resumed = await follow(transport, lively.url, { query, variables: { after: follower.heartbeats.at(-1) } });
    await append(database, draftOf(`${transport}-halt`, 'halt.changed'));

    for (const told of [await telling, await resumed.next()]) {
      expect(told).toEqual({ kind: 'ITEM', result: { data: { events: { eventId: `${transport}-halt` } } } });
    }
    follower.cut();
    resumed.cut();
    await lively.stop();
  });

  test('a filter tells what it names and nothing else', async () => {
    const query = `subscription ($after: Cursor, $filter: DepositFilter) { deposits(after: $after, filter: $filter) { updateId } }`;
    const after = head();
    const id = (what: string): string => `${transport}-filter-${what}`;
    await rows.depositEvent(id('bob'), { owner: 'bob' });
    await rows.depositEvent(id('nobody'));
    await rows.depositEvent(id('carol'), { owner: 'carol' });
    const firstOf = async (filter: Record<string, unknown>): Promise<unknown> => {
      const follower = await follow(transport, api.url, { query, variables: { after, filter } });
      const item = await itemOf(follower);
      follower.cut();
      return item['deposits'];
    };

    expect(await firstOf({})).toEqual({ updateId: id('bob') });
    expect(await firstOf({ account: 'carol' })).toEqual({ updateId: id('carol') });
    expect(await firstOf({ kinds: ['UNATTRIBUTED'] })).toEqual({ updateId: id('nobody') });
    await untilAllWait(0);
  });

  test('what needs a scope is left out for whoever lacks it, and refused where it is named', async () => {
    const after = head();
    const asked = draftOf(`${transport}-asked`, 'screening.askedAgain');
    await append(database, draftOf(`${transport}-desk`, 'desk.decision'), asked, draftOf(`${transport}-open`));
    await untilHead(parseEventCursor(after).position + 3n);
    const ask = async (authorization: string, types: string) =>
      await follow(
        transport,
        api.url,
        {
          query: `subscription ($after: Cursor) { events(after: $after${types}) { eventId type } }`,
          variables: { after },
        },
        { authorization },
      );

    const service = await ask('Bearer dev-service', '');
    const operator = await ask('Bearer dev-operator', '');
    const refused = await ask('Bearer dev-service', ', types: [DESK_DECISION]');

    expect(await itemOf(operator)).toEqual({ events: { eventId: `${transport}-desk`, type: 'DESK_DECISION' } });
    const second = { eventId: `${transport}-asked`, type: 'SCREENING_ASKED_AGAIN' };
    expect(await itemOf(operator)).toEqual({ events: second });
    expect(await itemOf(service)).toEqual({ events: { eventId: `${transport}-open`, type: 'OTHER' } });
    expect((await errorOf(refused))['code']).toBe('FORBIDDEN');
    for (const follower of [service, operator, refused]) follower.cut();
    await untilAllWait(0);
  });
});

describe('the same subscription', () => {
  const query = 'subscription { deposits { updateId transfer { status } depositAccount { memo } } }';

  test.each([2, 30])('of %i clients costs the statements of one', async (count) => {
    const followers = await Promise.all(
      Array.from(
        { length: count },
        async (_, line) => await follow(line % 2 === 0 ? 'WebSocket' : 'SSE', api.url, { query }),
      ),
    );
    await untilAllWait(count);
    statements = 0;

    for (let line = 0; line < 5; line++) {
      const updateId = `shared-${count}-${line}`;
      await rows.transfer({ updateId });
      const before = statements;
      await rows.depositEvent(updateId, { owner: 'alice' });
      for (const item of await Promise.all(followers.map(itemOf))) {
        expect(item).toMatchObject({ deposits: { updateId, transfer: { status: 'COMPLETED' } } });
      }
      // The transfer and its deposit account.
      expect(statements - before).toBe(2);
    }

    for (const follower of followers) follower.cut();
    await untilAllWait(0);
  });
});
