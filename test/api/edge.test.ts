/** What clients that leave, hurry, or do not read cost the server: nothing that lasts. */
import { connect as connectTcp, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { API_LIMITS_DEFAULT } from '../../src/schema/api-limits.ts';
import { principalOf } from '../../src/schema/principal.ts';
import { post, startApi } from '../support/api.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { createRows } from '../support/rows.ts';
import { subscribeSse } from '../support/sse-client.ts';
import { connectAcknowledged } from '../support/ws-client.ts';

const FEED = 'subscription { deposits { eventId } }';
const SOCKETS_MAX = 4;
const LIMITS = {
  ...API_LIMITS_DEFAULT,
  service: { ...API_LIMITS_DEFAULT.service, socketsMax: SOCKETS_MAX, subscriptionsMax: SOCKETS_MAX },
};

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
  await createRows(database.db).treasury();
});

afterAll(async () => {
  await database.close();
});

async function open(url: string): Promise<Socket> {
  const socket = connectTcp(Number(new URL(url).port), '127.0.0.1');
  socket.on('error', () => undefined);
  await new Promise<void>((resolve) => socket.once('connect', () => resolve()));
  return socket;
}

function requestOf(query: string): string {
  const body = JSON.stringify({ query });
  return `POST /graphql HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer dev-developer\r\ncontent-type: application/json\r\naccept: text/event-stream\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
}

describe('what a client has open is given back', () => {
  test('where it leaves before it is known who it is', async () => {
    let asked = 0;
    const gate = Promise.withResolvers<void>();
    let isWaiting = true;
    const api = await startApi(database, {
      limits: LIMITS,
      access: {
        isDemanding: true,
        authenticators: [
          {
            takes: () => true,
            prove: async () => {
              asked++;
              if (isWaiting) await gate.promise;
              return { principal: principalOf('watcher', ['read', 'subscribe']), isStanding: () => true };
            },
          },
        ],
      },
    });
    const sockets = await Promise.all(Array.from({ length: SOCKETS_MAX }, async () => await open(api.url)));
    for (const socket of sockets) socket.write(requestOf(FEED));
    await eventually(() => expect(asked).toBe(SOCKETS_MAX));
    const closed = sockets.map(
      async (socket) => await new Promise<void>((resolve) => socket.once('close', () => resolve())),
    );
    for (const socket of sockets) socket.destroy();
    await Promise.all(closed);
    // So that the server has seen it, too.
    await post(api.url, { query: '{ viewer { name } }' });
    isWaiting = false;
    gate.resolve();

    await eventually(async () => {
      const { status, stream } = await subscribeSse(
        api.url,
        { query: FEED },
        { authorization: 'Bearer dev-developer' },
      );
      stream.cut();
      expect(status).toBe(200);
    });
    await eventually(() => expect(api.log.tail.stats().waiting).toBe(0));
    expect(api.lines.filter(({ level }) => level === 'error')).toEqual([]);
    await api.stop();
  });

  test('where one stream waits behind another on the same connection', async () => {
    const api = await startApi(database, { limits: LIMITS });
    for (let round = 0; round < 3; round++) {
      const socket = await open(api.url);
      socket.write(requestOf(FEED).repeat(SOCKETS_MAX));
      await eventually(() => expect(api.log.tail.stats().waiting).toBe(SOCKETS_MAX));
      socket.destroy();
      await eventually(() => expect(api.log.tail.stats().waiting).toBe(0));
    }

    await eventually(async () => {
      const { status, stream } = await subscribeSse(api.url, { query: FEED });
      stream.cut();
      expect(status).toBe(200);
    });
    await api.stop();
  });
});

test('Z7: of a client that pings and does not read no more is read, and nothing is lost when it does', async () => {
  const api = await startApi(database, { heartbeatMs: 60_000 });
  const client = await connectAcknowledged(api.url);
  const PINGS = 1_500;
  const payload = { text: 'x'.repeat(60_000) };
  let pongs = 0;
  client.socket.on('message', () => {
    pongs++;
  });
  client.socket.pause();
  for (let count = 0; count < PINGS; count++) client.send({ type: 'ping', payload });

  let before = -1;
  await eventually(
    () => {
      const { bufferedAmount } = client.socket;
      const isStill = bufferedAmount === before;
      before = bufferedAmount;
      expect(isStill).toBe(true);
    },
    { intervalMs: 500, deadlineMs: 20_000 },
  );
  // All of it is 90 MB; the kernel keeps some MB on either side.
  expect(before).toBeGreaterThan(40_000_000);
  client.socket.resume();
  await eventually(() => expect(pongs).toBe(PINGS), { deadlineMs: 20_000 });
  await client.close();
  await api.stop();
}, 60_000);

test('the probe of readiness costs one statement, however many ask without a key', async () => {
  const gate = Promise.withResolvers<void>();
  let looks = 0;
  const db = database.db.withPlugin({
    transformQuery: ({ node }) => node,
    transformResult: async ({ result }) => {
      looks++;
      await gate.promise;
      return result;
    },
  });
  const api = await startApi(database, { db });
  const probes = Array.from({ length: 100 }, async () => (await fetch(`${api.url}/readyz`)).status);
  await eventually(() => expect(looks).toBeGreaterThan(0));
  const healthy = await fetch(`${api.url}/healthz`);
  gate.resolve();

  expect(healthy.status).toBe(200);
  expect(new Set(await Promise.all(probes))).toEqual(new Set([200]));
  expect(looks).toBeLessThan(20);
  await api.stop();
});

describe('Z3: a body of nothing but empty lines before what is wrong', () => {
  const wrong = Array.from({ length: 400 }, (_, index) => `wrong${index}`).join(' ');
  const query = `${'\n'.repeat(20_000)}{ ${wrong} }`;

  test('Z3: is refused on every transport before anybody counts them for each error', async () => {
    const api = await startApi(database);
    const client = await connectAcknowledged(api.url);
    const before = process.cpuUsage();
    for (let time = 0; time < 10; time++) {
      const overHttp = await post(api.url, { query });
      client.send({ id: 'x', type: 'subscribe', payload: { query } });
      const overSocket = (await client.next()).payload;
      const { stream } = await subscribeSse(api.url, { query });
      const overSse = JSON.parse((await stream.next())?.data ?? '{}');
      for (const errors of [overHttp.errors, overSocket, overSse.errors]) {
        expect(errors).toMatchObject([{ extensions: { code: 'GRAPHQL_PARSE_FAILED' } }]);
      }
      stream.cut();
    }
    const { user, system } = process.cpuUsage(before);
    // Thirty of them; one took as much when its errors were told.
    expect((user + system) / 1_000).toBeLessThan(6_000);
    await client.close();
    await api.stop();
  });

  test('Z3: nor does a text that reads like a suggestion keep anybody busy', async () => {
    const api = await startApi(database, { isSuggesting: false });
    const text = `Did you mean ${'a\n'.repeat(60)}`;
    const asked = `{ accounts(first: """x Did you mean ${text}""") { nodes { id } } }`;

    const literal = await post(api.url, { query: asked });
    const variable = await post(api.url, {
      query: 'query ($n: Int) { accounts(first: $n) { nodes { id } } }',
      variables: { n: ' Did you mean '.repeat(3_000) },
    });
    const misspelt = await post(api.url, { query: '{ viewer { nam } }' });

    expect(literal.errors[0].message).toContain('Did you mean a');
    expect(variable.errors[0].extensions.code).toBe('BAD_USER_INPUT');
    expect(misspelt.errors[0].message).toBe('Cannot query field "nam" on type "Viewer".');
    await api.stop();
  });

  test('Z3: and of what is wrong in a document no more is told than is read', async () => {
    const api = await startApi(database);

    const names = Array.from({ length: 120 }, (_, index) => `wrong${index}`).join(' ');
    const { errors } = await post(api.url, { query: `{ ${names} }` });

    expect(errors.length).toBeGreaterThan(10);
    expect(errors.length).toBeLessThanOrEqual(21);
    await api.stop();
  });
});
