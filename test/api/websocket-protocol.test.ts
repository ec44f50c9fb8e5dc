/** The graphql-transport-ws protocol over the wire: frames in, frames and close codes out. @see graphql-ws, PROTOCOL.md */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { startApi, type TestApi } from '../support/api.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { createRows, type Rows } from '../support/rows.ts';
import { connect, connectAcknowledged } from '../support/ws-client.ts';

let database: TestDatabase;
let api: TestApi;
let rows: Rows;

beforeAll(async () => {
  database = await createTestDatabase();
  rows = createRows(database.db);
  await rows.treasury();
  api = await startApi(database, { initTimeoutMs: 200 });
});

afterAll(async () => {
  await api.stop();
  await database.close();
});

const FEED = 'subscription { deposits { eventId } }';

describe('the connection', () => {
  test('is acknowledged once', async () => {
    const client = await connect(api.url);
    expect(client.socket.protocol).toBe('graphql-transport-ws');

    client.send({ type: 'connection_init' });
    expect(await client.next()).toEqual({ type: 'connection_ack' });
    client.send({ type: 'connection_init' });

    expect(await client.closed).toEqual({ code: 4429, reason: 'Too many initialisation requests' });
  });

  test('answers pings, with their payload', async () => {
    const client = await connect(api.url);
    client.send({ type: 'ping' });
    client.send({ type: 'ping', payload: { at: 1 } });
    client.send({ type: 'pong' });

    expect(await client.next()).toEqual({ type: 'pong' });
    expect(await client.next()).toEqual({ type: 'pong', payload: { at: 1 } });
    await client.close();
  });

  test('must be initialised in time', async () => {
    const client = await connect(api.url);

    expect(await client.closed).toEqual({ code: 4408, reason: 'Connection initialisation timeout' });
  });

  test('may not subscribe before it is acknowledged', async () => {
    const client = await connect(api.url);
    client.send({ id: '1', type: 'subscribe', payload: { query: '{ __typename }' } });

    expect(await client.closed).toEqual({ code: 4401, reason: 'Unauthorized' });
  });

  test.each([
    ['not json'],
    ['{}'],
    ['{"type":"nonsense"}'],
    ['{"type":"subscribe","id":"","payload":{"query":"{a}"}}'],
    ['[]'],
  ])('ends at the message %s', async (text) => {
    const client = await connect(api.url);
    client.send(text);

    expect((await client.closed).code).toBe(4400);
  });

  test('negotiates graphql-transport-ws and nothing else', async () => {
    const both = await connect(api.url, { protocol: ['graphql-ws', 'graphql-transport-ws'] });
    expect(both.socket.protocol).toBe('graphql-transport-ws');
    await both.close();

    const legacy = new WebSocket(`${api.url.replace('http', 'ws')}/graphql`, 'graphql-ws');
    const refused = await new Promise<string>((resolve) => {
      legacy.on('error', (error) => resolve(error.message));
      legacy.on('close', (code) => resolve(String(code)));
    });
    expect(refused).toMatch(/4406|no subprotocol/i);
  });

  test('refuses a message of more than 64 KiB', async () => {
    const client = await connectAcknowledged(api.url);
    client.send({ id: '1', type: 'subscribe', payload: { query: `{ __typename } #${'x'.repeat(70_000)}` } });

    expect((await client.closed).code).toBe(1009);
  });
});

describe('operations', () => {
  test('a query answers next and complete', async () => {
    const client = await connectAcknowledged(api.url);
    client.send({ id: 'q', type: 'subscribe', payload: { query: 'query Q { viewer { name } }', operationName: 'Q' } });

    expect(await client.next()).toEqual({
      id: 'q',
      type: 'next',
      payload: { data: { viewer: { name: 'developer' } } },
    });
    expect(await client.next()).toEqual({ id: 'q', type: 'complete' });
    await client.close();
  });

  test('a syntax error in a subscribe answers an error message, and the socket lives on', async () => {
    const client = await connectAcknowledged(api.url);
    client.send({ id: 'bad', type: 'subscribe', payload: { query: 'subscription {' } });
    const answer = await client.next();

    expect(answer).toMatchObject({
      id: 'bad',
      type: 'error',
      payload: [{ message: expect.stringContaining('Syntax Error') }],
    });
    client.send({ id: 'good', type: 'subscribe', payload: { query: '{ viewer { name } }' } });
    expect(await client.next()).toMatchObject({ id: 'good', type: 'next' });
    await client.close();
  });

  test('an invalid document, an unknown operation and a bad variable answer errors too', async () => {
    const client = await connectAcknowledged(api.url);
    const ask = async (payload: unknown) => {
      client.send({ id: 'x', type: 'subscribe', payload });
      const answer = await client.next();
      if (answer.type === 'next') expect(await client.next()).toMatchObject({ type: 'complete' });
      return answer;
    };

    expect(await ask({ query: 'subscription { nothing }' })).toMatchObject({
      type: 'error',
      payload: [{ message: expect.stringContaining('nothing') }],
    });
    expect(await ask({ query: 'query A { viewer { name } }', operationName: 'B' })).toMatchObject({ type: 'error' });
    const unfit = await ask({
      query: 'query ($n: Int!) { transfers(first: $n) { nodes { id } } }',
      variables: { n: 'x' },
    });
    expect(JSON.stringify(unfit)).toContain('$n');
    const refused = await ask({ query: 'subscription { deposits(after: "x") { eventId } }' });
    expect(JSON.stringify(refused)).toContain('CURSOR_INVALID');
    expect(client.socket.readyState).toBe(client.socket.OPEN);
    await client.close();
  });

  test('a subscription delivers until it is completed by the client, also while nothing happens', async () => {
    const client = await connectAcknowledged(api.url);
    const { waiting } = api.log.tail.stats();
    client.send({ id: 's', type: 'subscribe', payload: { query: FEED } });
    await eventually(() => expect(api.log.tail.stats().waiting).toBe(waiting + 1));

    const eventId = await rows.depositEvent('ws-1');
    expect(await client.next()).toEqual({ id: 's', type: 'next', payload: { data: { deposits: { eventId } } } });
    client.send({ id: 's', type: 'complete' });

    await eventually(() => expect(api.log.tail.stats().waiting).toBe(waiting));
    client.send({ id: 's', type: 'subscribe', payload: { query: '{ viewer { name } }' } });
    expect(await client.next()).toMatchObject({ id: 's', type: 'next' });
    await client.close();
  });

  test('a socket that is cut leaves nothing behind', async () => {
    const client = await connectAcknowledged(api.url);
    const { waiting } = api.log.tail.stats();
    for (const id of ['1', '2', '3']) client.send({ id, type: 'subscribe', payload: { query: FEED } });
    await eventually(() => expect(api.log.tail.stats().waiting).toBe(waiting + 3));

    client.socket.terminate();

    await eventually(() => expect(api.log.tail.stats().waiting).toBe(waiting));
  });

  test('a running id may not be used again', async () => {
    const client = await connectAcknowledged(api.url);
    client.send({ id: 'twice', type: 'subscribe', payload: { query: FEED } });
    client.send({ id: 'twice', type: 'subscribe', payload: { query: FEED } });

    expect(await client.closed).toEqual({ code: 4409, reason: 'Subscriber for twice already exists' });
  });

  test('no more than a hundred operations run on one socket', async () => {
    const client = await connectAcknowledged(api.url);
    for (let id = 0; id < 101; id++) client.send({ id: String(id), type: 'subscribe', payload: { query: FEED } });

    expect(await client.next()).toMatchObject({
      id: '100',
      type: 'error',
      payload: [{ extensions: { code: 'TOO_MANY_OPERATIONS' } }],
    });
    await client.close();
    await eventually(() => expect(api.log.tail.stats().waiting).toBe(0));
  });
});

describe('ingestionProgress', () => {
  test('tells the state at once and each change after, from one loop for all', async () => {
    await rows.stream({ updates_count: 1n });
    const clients = await Promise.all(Array.from({ length: 5 }, async () => await connectAcknowledged(api.url)));
    const query = 'subscription { ingestionProgress { updatesCount status } }';
    for (const client of clients) client.send({ id: 'p', type: 'subscribe', payload: { query } });
    const untilCount = async (wanted: string): Promise<void> => {
      for (const client of clients) {
        for (let count = ''; count !== wanted; ) {
          const { payload } = (await client.next()) as {
            payload: { data: { ingestionProgress: { updatesCount: string } } };
          };
          count = payload.data.ingestionProgress.updatesCount;
        }
      }
    };
    await untilCount('1');

    const { reads } = api.progress.stats();
    await rows.stream({ updates_count: 2n });
    await untilCount('2');

    // Five subscribers, and the loop read as often as it would have for one.
    expect(api.progress.stats().reads - reads).toBeLessThanOrEqual(3);
    await Promise.all(clients.map(async (client) => await client.close()));
    await eventually(() => expect(api.progress.stats().waiting).toBe(0));
  });
});
