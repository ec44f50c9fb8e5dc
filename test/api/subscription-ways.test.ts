/** A subscription is answered as an event stream of ours or over WebSocket, where it is counted and ends with its credential, and in no other way that an accept header may ask for. */
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { API_LIMITS_DEFAULT } from '../../src/schema/api-limits.ts';
import { principalOf } from '../../src/schema/principal.ts';
import { createTrustedDocuments } from '../../src/server/trusted-documents.ts';
import { startApi, type TestApi } from '../support/api.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { createRows } from '../support/rows.ts';
import { subscribeSse } from '../support/sse-client.ts';

const SOCKETS_MAX = 3;
const LOG_FEED = 'subscription { deposits { eventId } }';
const STATE_FEED = 'subscription { ingestionProgress { status } }';
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const watcher = principalOf('watcher', ['read', 'subscribe']);

let database: TestDatabase;
let api: TestApi;
let isRevoked = false;
const headers = { authorization: 'Bearer of-watcher', 'content-type': 'application/json' };

beforeAll(async () => {
  database = await createTestDatabase();
  await createRows(database.db).treasury();
  api = await startApi(database, {
    limits: { ...API_LIMITS_DEFAULT, service: { ...API_LIMITS_DEFAULT.service, socketsMax: SOCKETS_MAX } },
    access: {
      isDemanding: true,
      authenticators: [
        { takes: () => true, prove: async () => ({ principal: { ...watcher }, isStanding: () => !isRevoked }) },
      ],
    },
    trusted: createTrustedDocuments({ [sha256(STATE_FEED)]: STATE_FEED }, 'nobody'),
  });
});

afterAll(async () => {
  await api.stop();
  await database.close();
});

async function ask(init: RequestInit, path = '/graphql') {
  const response = await fetch(`${api.url}${path}`, { ...init, signal: AbortSignal.timeout(5_000) });
  return { status: response.status, text: await response.text() };
}

describe.each([['*/*'], ['text/*'], ['application/json'], ['multipart/mixed'], ['application/graphql-response+json']])(
  'whoever accepts %s',
  (accept) => {
    test.each([
      ['of the log', LOG_FEED],
      ['of a state', STATE_FEED],
    ])('gets no subscription %s, neither by POST nor by GET', async (_what, query) => {
      const posted = await ask({ method: 'POST', headers: { ...headers, accept }, body: JSON.stringify({ query }) });
      const got = await ask({ headers: { ...headers, accept } }, `/graphql?query=${encodeURIComponent(query)}`);

      for (const { status, text } of [posted, got]) {
        expect(status).toBe(406);
        if (text !== '') expect(text).toContain('"code":"EVENT_STREAM_NEEDED"');
      }
    });
  },
);

test('nor does whoever sends its hash', async () => {
  const { status, stream } = await subscribeSse(
    api.url,
    { extensions: { persistedQuery: { version: 1, sha256Hash: sha256(STATE_FEED) } } },
    headers,
  );

  expect(status).toBe(406);
  expect((await stream.next())?.data).toContain('EVENT_STREAM_NEEDED');
  stream.cut();
});

test('an event stream is one however its name is written: counted, and at its end with the credential', async () => {
  const asked = { ...headers, accept: 'Text/Event-Stream' };
  const streams = [];
  for (let count = 0; count < SOCKETS_MAX; count++) {
    const { status, stream } = await subscribeSse(api.url, { query: STATE_FEED }, asked);
    expect(status).toBe(200);
    streams.push(stream);
  }
  const more = await subscribeSse(api.url, { query: STATE_FEED }, asked);
  expect(more.status).toBe(429);
  more.stream.cut();

  isRevoked = true;

  // All at once: what waits to be read when a connection is cut is not given out.
  await Promise.all(
    streams.map(async (stream) => {
      const told: string[] = [];
      for (let event = await stream.next(); event !== null; event = await stream.next()) told.push(event.data);
      expect(told.join()).toContain('KEY_REVOKED');
    }),
  );
  isRevoked = false;
  await eventually(async () => {
    const { status, stream } = await subscribeSse(api.url, { query: STATE_FEED }, asked);
    stream.cut();
    expect(status).toBe(200);
  });
});
