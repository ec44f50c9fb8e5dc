/** Z30: whatever goes wrong inside, on whatever transport: a client sees one sentence and an id, and the log has what it was under that id. */
import type { KyselyPlugin } from 'kysely';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startApi, type TestApi } from '../support/api.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { createRows } from '../support/rows.ts';
import { subscribeSse } from '../support/sse-client.ts';
import { connect, connectAcknowledged } from '../support/ws-client.ts';

const SECRET = 'secret detail';
/** What an error of ours, of the driver, of Node or of graphql-js would be known by. */
const TELLTALE = /secret|node_modules|\.ts\b|\bat \w+|postgres|ECONN|127\.0\.0\.1|cannot represent|received/i;

/** What a database may do that nobody thought of. */
const FAULTS: Readonly<Record<string, KyselyPlugin>> = {
  'what throws before it asks': {
    transformQuery: () => {
      throw new TypeError(SECRET);
    },
    transformResult: async ({ result }) => result,
  },
  'what throws when it is answered': {
    transformQuery: ({ node }) => node,
    transformResult: async () => {
      throw Object.assign(new Error(SECRET), { code: 'SECRET', cause: new Error(SECRET) });
    },
  },
  'what throws something that is no error': {
    transformQuery: ({ node }) => node,
    transformResult: async () => {
      throw SECRET;
    },
  },
  'a value that the schema cannot tell': {
    transformQuery: ({ node }) => node,
    transformResult: async ({ result }) => ({
      ...result,
      rows: result.rows.map((row) => ({ ...row, name: { text: SECRET } })),
    }),
  },
  'a value that is not there': {
    transformQuery: ({ node }) => node,
    transformResult: async ({ result }) => ({ ...result, rows: result.rows.map((row) => ({ ...row, name: null })) }),
  },
};

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
  await createRows(database.db).treasury();
});

afterAll(async () => {
  await database.close();
});

/** Nothing but the sentence and an id in what a client was sent; what it was is in the log. */
function expectMasked(api: TestApi, text: string): void {
  expect(text).not.toMatch(TELLTALE);
  const ids = [...text.matchAll(/"errorId":"([0-9a-f-]{36})"/g)].map(([, id]) => id);
  expect(ids.length, text).toBeGreaterThan(0);
  expect(text.match(/"code":"INTERNAL_SERVER_ERROR"/g)?.length).toBe(ids.length);
  for (const id of ids) {
    expect(api.lines.find(({ fields }) => fields['errorId'] === id)).toMatchObject({ level: 'error' });
  }
}

describe.each(Object.entries(FAULTS))('Z30: %s', (_name, fault) => {
  let api: TestApi;
  beforeAll(async () => {
    api = await startApi(database, { db: database.db.withPlugin(fault) });
  });
  afterAll(async () => await api.stop());

  const QUERY = '{ treasuryParties { nodes { name } } }';

  test('Z30: in a query by POST', async () => {
    for (const accept of ['application/json', 'application/graphql-response+json', '*/*']) {
      const response = await fetch(`${api.url}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', accept },
        body: JSON.stringify({ query: QUERY }),
      });
      expectMasked(api, await response.text());
    }
  });

  test('Z30: in a query by GET', async () => {
    const response = await fetch(`${api.url}/graphql?query=${encodeURIComponent(QUERY)}`);
    expectMasked(api, await response.text());
  });

  test('Z30: in a query over WebSocket', async () => {
    const client = await connectAcknowledged(api.url);
    client.send({ id: 'x', type: 'subscribe', payload: { query: QUERY } });
    expectMasked(api, JSON.stringify(await client.next()));
    await client.close();
  });

  test('Z30: in a query over SSE', async () => {
    const { stream } = await subscribeSse(api.url, { query: QUERY });
    expectMasked(api, (await stream.next())?.data ?? '');
    stream.cut();
  });
});

describe('Z30: what throws before anything is asked', () => {
  test('Z30: is told by an id over HTTP, and ends a WebSocket without a word of it', async () => {
    const api = await startApi(database, {
      access: {
        isDemanding: true,
        authenticators: [
          {
            takes: () => true,
            prove: async () => {
              throw new Error(SECRET);
            },
          },
        ],
      },
    });
    const headers = { authorization: 'Bearer x', 'content-type': 'application/json' };
    for (const [path, init] of [
      ['/graphql', { method: 'POST', headers, body: '{"query":"{ __typename }"}' }],
      ['/graphql', { method: 'POST', headers: { ...headers, accept: 'text/event-stream' }, body: '{}' }],
      ['/schema.graphql', { headers }],
    ] as const) {
      const response = await fetch(`${api.url}${path}`, init);
      expect(response.status).toBe(500);
      expectMasked(api, await response.text());
    }
    const client = await connect(api.url);
    client.send({ type: 'connection_init', payload: { authorization: 'Bearer x' } });
    const { code, reason } = await client.closed;

    expect(code).toBe(4500);
    expect(reason).not.toMatch(TELLTALE);
    await api.stop();
  });
});

describe('Z30: in a mutation, and in what opens a subscription', () => {
  test.each([
    ['a mutation', 'mutation { createDepositAccount(input: { account: "x" }) { __typename } }'],
    ['a subscription', 'subscription { withdrawalUpdated(idempotencyKey: "x") { state } }'],
  ])('Z30: %s', async (_what, query) => {
    const fault = FAULTS['what throws before it asks'];
    if (fault === undefined) throw new Error('No such fault.');
    const api = await startApi(database, { db: database.db.withPlugin(fault) });
    const client = await connectAcknowledged(api.url);
    client.send({ id: 'x', type: 'subscribe', payload: { query } });
    const { stream } = await subscribeSse(api.url, { query });

    for (const text of [JSON.stringify(await client.next()), (await stream.next())?.data ?? '']) {
      expect(text).not.toMatch(TELLTALE);
      expect(text).toMatch(/"code":"INTERNAL_SERVER_ERROR"/);
    }
    stream.cut();
    await client.close();
    await api.stop();
  });
});
