/**
 * Attacks on the API as others run them, against a server as production has it: keys configured, no suggestions, a customer's token and none. The
 * checks of graphql-cop are ported by name; the same bombs go over HTTP, WebSocket and SSE.
 */
import { createHash } from 'node:crypto';
import { connect as connectTcp } from 'node:net';
import { gzipSync } from 'node:zlib';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { API_LIMITS_DEFAULT } from '../../src/schema/api-limits.ts';
import { principalOf } from '../../src/schema/principal.ts';
import { parseApiKey } from '../../src/server/principals.ts';
import { createTrustedDocuments } from '../../src/server/trusted-documents.ts';
import { post, startApi, type TestApi } from '../support/api.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { createRows } from '../support/rows.ts';
import { subscribeSse } from '../support/sse-client.ts';
import { connect, connectAcknowledged, type Message } from '../support/ws-client.ts';

const key = (name: string, scopes: string) =>
  parseApiKey(`${name}:${scopes}:${createHash('sha256').update(`secret-of-${name}`).digest('hex')}`);
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const customer = principalOf('customer-ann', ['own'], {
  client: 'frontend',
  reach: { kind: 'ACCOUNT', network: 'testnet', owner: 'ann' },
});
/** Stands for an issuer of customers' tokens. */
const OF_ANN = {
  takes: (credential: string) => credential === 'token-of-ann',
  prove: async () => ({ principal: customer, isStanding: () => true }),
};
const ALLOWED = '{ viewer { name } }';
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const LIMITS = {
  ...API_LIMITS_DEFAULT,
  executionMsMax: 1_500,
  customer: { ...API_LIMITS_DEFAULT.customer, socketsMax: 3, subscriptionsMax: 4 },
  service: {
    ...API_LIMITS_DEFAULT.service,
    socketsMax: 60,
    subscriptionsMax: 40,
    requestsPerSecond: 10_000,
    requestsBurst: 100_000,
  },
};

let database: TestDatabase;
let api: TestApi;

beforeAll(async () => {
  database = await createTestDatabase();
  const rows = createRows(database.db);
  await rows.treasury();
  await rows.account('ann');
  api = await startApi(database, {
    limits: LIMITS,
    initTimeoutMs: 2_000,
    apiKeys: [key('reader', 'read'), key('ledger', 'read+subscribe'), key('other', 'read+subscribe')],
    access: {
      isDemanding: true,
      authenticators: [OF_ANN],
    },
    allowedHosts: ['127.0.0.1'],
    allowedOrigins: ['https://console.example'],
  });
});

afterAll(async () => {
  await api.stop();
  await database.close();
});

const repeat = (count: number, text: (index: number) => string): string =>
  Array.from({ length: count }, (_, index) => text(index)).join(' ');

/** Who attacks: nobody, and a customer with a token of his own. */
const ATTACKERS: readonly (readonly [string, Record<string, string>])[] = [
  ['no token', {}],
  ['a customer’s token', bearer('token-of-ann')],
];

describe.each(ATTACKERS)('Z1: graphql-cop with %s', (_who, headers) => {
  const ask = async (query: string) => await post(api.url, { query }, headers);
  const raw = async (path: string, init: RequestInit) =>
    await fetch(`${api.url}${path}`, { ...init, headers: { ...headers, ...init.headers } });

  test('Z1: alias overloading', async () => {
    const { data } = await ask(`{ ${repeat(101, (index) => `alias${index}: __typename`)} }`);
    expect(data).toBeUndefined();
  });

  test('Z1: array-based query batching', async () => {
    const { status, data } = await post(
      api.url,
      Array.from({ length: 10 }, () => ({ query: '{ __typename }' })),
      headers,
    );
    expect(status).toBeGreaterThanOrEqual(400);
    expect(data).toBeUndefined();
  });

  test('Z1: directive overloading', async () => {
    const { data } = await ask(`{ __typename ${repeat(60, () => '@aa')} }`);
    expect(data).toBeUndefined();
  });

  test('Z1: circular introspection', async () => {
    const { data } = await ask('{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }');
    expect(data).toBeUndefined();
  });

  test('Z1: field duplication', async () => {
    const { data } = await ask(`{ ${repeat(1_000, () => '__typename')} }`);
    expect(data).toBeUndefined();
  });

  test('Z1: introspection', async () => {
    const { data } = await ask('{ __schema { types { name fields { name } } } }');
    expect(data).toBeUndefined();
  });

  test('Z1: field suggestions', async () => {
    const { errors } = await ask('{ viewr { nam } withdrawls }');
    expect(JSON.stringify(errors)).not.toMatch(/did you mean/i);
  });

  test('Z1: GraphiQL and playgrounds', async () => {
    for (const path of ['/', '/graphiql', '/playground', '/console', '/graphql']) {
      const response = await raw(path, { headers: { accept: 'text/html' } });
      expect(await response.text()).not.toMatch(/graphiql|playground/i);
    }
  });

  test('Z1: a mutation by GET', async () => {
    const response = await raw(
      `/graphql?query=${encodeURIComponent('mutation { createDepositAccount(input: { account: "x" }) { __typename } }')}`,
      {},
    );
    expect(response.status).toBeGreaterThanOrEqual(400);
  });

  test('Z1: a query by GET from a page of another site', async () => {
    const response = await raw(`/graphql?query=${encodeURIComponent('{ __typename }')}`, {
      headers: { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors' },
    });
    expect(response.status).toBe(403);
  });

  test('Z1: url-encoded POST', async () => {
    const response = await raw('/graphql', {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: 'query=%7B__typename%7D',
    });
    expect(response.status).toBe(415);
  });

  test('Z1: tracing and debug', async () => {
    const { headers: answered, errors, data } = await ask('{ __typename }');
    expect(JSON.stringify({ errors, data })).not.toMatch(/tracing|stacktrace|exception/i);
    expect(answered.get('x-powered-by')).toBeNull();
  });

  test('Z1, Z30: an error that nobody handles tells no detail', async () => {
    for (const body of [
      '{"query":',
      '{"query":{"a":1}}',
      '{"query":"{ __typename }","variables":3}',
      '[]',
      'null',
      '"x"',
    ]) {
      const response = await raw('/graphql', { method: 'POST', headers: { 'content-type': 'application/json' }, body });
      expect(response.status, body).toBeLessThan(500);
      expect(await response.text(), body).not.toMatch(/node_modules|at \w+ \(|\.ts:\d+/);
    }
  });
});

const BOMBS = {
  aliases: [`{ ${repeat(101, (index) => `a${index}: viewer { name }`)} }`, 'QUERY_TOO_MANY_ALIASES'],
  'a thousand fields': [
    `{ ${repeat(990, () => 'viewer { name }').slice(0, 6_000)} }`.replace(/viewer \{[^}]*\}?\s*\}$/, '}'),
    'QUERY_TOO_LARGE',
  ],
  directives: [`{ viewer { name ${repeat(60, () => '@skip(if: false)')} } }`, 'QUERY_TOO_MANY_DIRECTIVES'],
  'doubling fragments': [
    `{ ...F0 } ${repeat(40, (index) => `fragment F${index} on Query { ...F${index + 1} ...F${index + 1} }`)} fragment F40 on Query { viewer { name } }`,
    'QUERY_TOO_LARGE',
  ],
  tokens: [`{ ${repeat(5_000, () => 'a')} }`, 'GRAPHQL_PARSE_FAILED'],
} as const;

describe.each([
  ['a reader’s key', 'secret-of-reader'],
  ['a customer’s token', 'token-of-ann'],
])('Z2, H11: bombs with %s', (_who, token) => {
  test.each(Object.entries(BOMBS))(
    'Z2, H11: %s is refused with one code on every transport',
    async (_name, [query, code]) => {
      const http = await post(api.url, { query }, bearer(token));
      const socket = await connectAcknowledged(api.url, `Bearer ${token}`);
      socket.send({ id: 'b', type: 'subscribe', payload: { query } });
      const overSocket = await socket.next();
      const { stream } = await subscribeSse(api.url, { query }, bearer(token));
      const overSse = JSON.parse((await stream.next())?.data ?? '{}');

      expect(http.data).toBeUndefined();
      expect(codesOf(http.errors)).toContain(code);
      expect(overSocket.type).toBe('error');
      // Words are counted by the parser, whose errors have a code over HTTP only.
      if (code !== 'GRAPHQL_PARSE_FAILED') expect(codesOf(overSocket.payload)).toContain(code);
      expect(codesOf(overSse.errors)).toContain(code);
      await socket.close();
      stream.cut();
    },
  );
});

/** A subscription is refused by an `error`, or by a `next` of errors alone. */
function refusalsIn({ type, payload }: Message): unknown[] {
  if (type === 'error') return codesOf(payload);
  return type === 'next' ? codesOf((payload as { errors?: unknown }).errors) : [];
}

function codesOf(errors: unknown): unknown[] {
  return Array.isArray(errors)
    ? errors.map((error: { extensions?: { code?: unknown } }) => error.extensions?.code)
    : [];
}

describe('Z4: trusted documents', () => {
  let trusting: TestApi;
  beforeAll(async () => {
    trusting = await startApi(database, {
      apiKeys: [key('reader', 'read')],
      access: {
        isDemanding: true,
        authenticators: [OF_ANN],
      },
      trusted: createTrustedDocuments({ [sha256(ALLOWED)]: ALLOWED }, 'customers'),
    });
  });
  afterAll(async () => await trusting.stop());

  test('Z4: a customer may send them, as text or by hash, and no other document on any transport', async () => {
    const headers = bearer('token-of-ann');
    const adHoc = '{ viewer { name scopes } }';
    const byHash = await post(
      trusting.url,
      { extensions: { persistedQuery: { version: 1, sha256Hash: sha256(ALLOWED) } } },
      headers,
    );
    const unknown = await post(
      trusting.url,
      { extensions: { persistedQuery: { version: 1, sha256Hash: sha256(adHoc) } } },
      headers,
    );
    const allowed = await post(trusting.url, { query: ALLOWED }, headers);
    const refused = await post(trusting.url, { query: adHoc }, headers);
    const socket = await connectAcknowledged(trusting.url, 'Bearer token-of-ann');
    socket.send({ id: 'x', type: 'subscribe', payload: { query: adHoc } });
    const { stream } = await subscribeSse(trusting.url, { query: adHoc }, headers);

    expect(codesOf(allowed.errors)).not.toContain('DOCUMENT_NOT_TRUSTED');
    expect(codesOf(byHash.errors)).not.toContain('DOCUMENT_NOT_TRUSTED');
    expect({ status: refused.status, codes: codesOf(refused.errors) }).toEqual({
      status: 403,
      codes: ['DOCUMENT_NOT_TRUSTED'],
    });
    expect({ status: unknown.status, codes: codesOf(unknown.errors) }).toEqual({
      status: 403,
      codes: ['DOCUMENT_NOT_TRUSTED'],
    });
    expect(codesOf((await socket.next()).payload)).toEqual(['DOCUMENT_NOT_TRUSTED']);
    expect((await stream.next())?.data).toContain('DOCUMENT_NOT_TRUSTED');
    await socket.close();
    stream.cut();
  });

  test('Z4: a key of the exchange may ask as it likes', async () => {
    const { errors, data } = await post(trusting.url, { query: '{ viewer { name } }' }, bearer('secret-of-reader'));

    expect(errors).toBeUndefined();
    expect(data.viewer.name).toBe('reader');
  });
});

describe('Z5: the beginning of a WebSocket', () => {
  test('Z5: a subscription before connection_init is 4401, none at all 4408, the older protocol is not spoken', async () => {
    const early = await connect(api.url);
    early.send({ id: '1', type: 'subscribe', payload: { query: '{ __typename }' } });
    const silent = await connect(api.url);
    const legacy = new WebSocket(`${api.url.replace('http', 'ws')}/graphql`, 'graphql-ws');
    const refused = await new Promise<string>((resolve) => {
      legacy.on('error', (error) => resolve(error.message));
      legacy.on('close', (code) => resolve(String(code)));
    });

    expect((await early.closed).code).toBe(4401);
    expect((await silent.closed).code).toBe(4408);
    expect(refused).toMatch(/4406|no subprotocol/i);
  });
});

describe('Z6: floods', () => {
  const FEED = 'subscription { deposits { eventId } }';
  const FLOOD = 1_000;

  test('Z6: a flood of subscriptions on one socket are its client’s share and no more, and cost no memory', async () => {
    const client = await connectAcknowledged(api.url, 'Bearer secret-of-ledger');
    const refused: unknown[] = [];
    client.socket.on('message', (data) => refused.push(...refusalsIn(JSON.parse(String(data)))));
    const before = process.memoryUsage().heapUsed;
    for (let id = 0; id < FLOOD; id++) client.send({ id: String(id), type: 'subscribe', payload: { query: FEED } });

    await eventually(() => expect(refused).toHaveLength(FLOOD - LIMITS.service.subscriptionsMax), {
      deadlineMs: 40_000,
    });
    expect(new Set(refused)).toEqual(new Set(['TOO_MANY_SUBSCRIPTIONS', 'TOO_MANY_OPERATIONS']));
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(150_000_000);
    await client.close();
  }, 60_000);

  test('Z6: another socket, or a stream, gives a client no more subscriptions; another client has its own', async () => {
    const clients = await Promise.all(
      [1, 2].map(async () => await connectAcknowledged(api.url, 'Bearer secret-of-ledger')),
    );
    const refused: unknown[] = [];
    for (const client of clients) {
      client.socket.on('message', (data) => refused.push(...refusalsIn(JSON.parse(String(data)))));
      for (let id = 0; id < 30; id++) client.send({ id: String(id), type: 'subscribe', payload: { query: FEED } });
    }
    await eventually(() => expect(refused).toHaveLength(60 - LIMITS.service.subscriptionsMax));
    const { stream } = await subscribeSse(api.url, { query: FEED }, bearer('secret-of-ledger'));
    const other = await connectAcknowledged(api.url, 'Bearer secret-of-other');
    other.send({ id: 'o', type: 'subscribe', payload: { query: FEED } });

    expect((await stream.next())?.data).toContain('TOO_MANY_SUBSCRIPTIONS');
    other.send({ id: 'q', type: 'subscribe', payload: { query: ALLOWED } });
    expect(await other.next()).toMatchObject({ id: 'q', type: 'next' });
    stream.cut();
    await Promise.all([...clients, other].map(async (client) => await client.close()));
  });

  test('Z6: a client’s sockets are counted, WebSockets and streams together, and given back when they close', async () => {
    const open = [];
    for (let count = 0; count < LIMITS.customer.socketsMax; count++) {
      open.push(await connectAcknowledged(api.url, 'Bearer token-of-ann'));
    }
    const more = await connect(api.url);
    more.send({ type: 'connection_init', payload: { authorization: 'Bearer token-of-ann' } });
    const { status } = await subscribeSse(api.url, { query: FEED }, bearer('token-of-ann'));

    expect(await more.closed).toEqual({ code: 4429, reason: 'TOO_MANY_SOCKETS' });
    expect(status).toBe(429);
    await Promise.all(open.map(async (client) => await client.close()));
    await eventually(async () => {
      const again = await connect(api.url);
      again.send({ type: 'connection_init', payload: { authorization: 'Bearer token-of-ann' } });
      expect((await again.next()).type).toBe('connection_ack');
      await again.close();
    });
  });

  test('Z6: whoever asks too fast is told when to come back, on every transport', async () => {
    const slow = await startApi(database, {
      limits: { ...LIMITS, service: { ...LIMITS.service, requestsPerSecond: 1, requestsBurst: 3 } },
      apiKeys: [key('reader', 'read')],
    });
    const headers = bearer('secret-of-reader');
    const answers = [];
    for (let count = 0; count < 8; count++) answers.push(await post(slow.url, { query: ALLOWED }, headers));
    const socket = await connectAcknowledged(slow.url, 'Bearer secret-of-reader');
    for (let id = 0; id < 8; id++) socket.send({ id: `r${id}`, type: 'subscribe', payload: { query: '{' } });
    const overSocket = [];
    for (let id = 0; id < 8; id++) overSocket.push(...codesOf((await socket.next()).payload));

    const limited = answers.filter(({ status }) => status === 429);
    expect(limited.length).toBeGreaterThan(2);
    expect(limited[0]?.headers.get('retry-after')).toBe('1');
    expect(limited[0]?.errors[0].extensions).toMatchObject({ code: 'RATE_LIMITED', limit: 1, retryAfterSeconds: 1 });
    expect(overSocket).toContain('RATE_LIMITED');
    await socket.close();
    await slow.stop();
  });
});

describe('Z3: what one operation may cost at most', () => {
  test('Z3: cannot be asked for as often as a small one, on HTTP and on a socket together, and others do not wait for it', async () => {
    const limited = await startApi(database, {
      limits: { ...LIMITS, service: { ...LIMITS.service, requestsPerSecond: 20, requestsBurst: 100 } },
      apiKeys: [key('reader', 'read'), key('other', 'read')],
    });
    const lists = Array.from(
      { length: 30 },
      (_, index) => `a${index}: transfers(first: 100) { nodes { amount memo } }`,
    );
    const query = `{ ${lists.join(' ')} }`;
    const codes = [];
    for (let count = 0; count < 12; count++) {
      const { errors = [] } = await post(limited.url, { query }, bearer('secret-of-reader'));
      codes.push(...codesOf(errors));
    }
    expect(codes).toContain('RATE_LIMITED');
    const socket = await connectAcknowledged(limited.url, 'Bearer secret-of-reader');
    socket.send({ id: 'r', type: 'subscribe', payload: { query: ALLOWED } });
    expect(codesOf((await socket.next()).payload)).toEqual(['RATE_LIMITED']);
    await socket.close();
    expect(await post(limited.url, { query: ALLOWED }, bearer('secret-of-other'))).toMatchObject({ status: 200 });
    await limited.stop();
  });

  test('Z3: nor by a subscription that begins with as much, and is ended again', async () => {
    const limited = await startApi(database, {
      limits: { ...LIMITS, service: { ...LIMITS.service, requestsPerSecond: 20, requestsBurst: 100 } },
      apiKeys: [key('reader', 'read+subscribe')],
    });
    const accounts = Array.from(
      { length: 14 },
      (_, index) => `a${index}: account { depositAccounts { addresses { memo } } }`,
    );
    const query = `subscription { withdrawalUpdated(withdrawalId: "wd_none") { cursor withdrawal { ${accounts.join(' ')} } } }`;
    const socket = await connectAcknowledged(limited.url, 'Bearer secret-of-reader');
    const codes = [];
    for (let id = 0; id < 60; id++) {
      socket.send({ id: `s${id}`, type: 'subscribe', payload: { query } });
      codes.push(...codesOf((await socket.next()).payload));
    }
    expect(codes).toContain('RATE_LIMITED');
    await socket.close();
    await limited.stop();
  });
});

describe('Z7: frames of a WebSocket', () => {
  test('Z7: compression is not spoken, a huge message is 1009, a hundred thousand tiny fragments end the socket and not the server', async () => {
    const offered = new WebSocket(`${api.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws', {
      perMessageDeflate: true,
    });
    await new Promise((resolve) => offered.once('open', resolve));
    expect(offered.extensions).toBe('');
    offered.terminate();

    const huge = await connectAcknowledged(api.url, 'Bearer secret-of-reader');
    huge.send({ id: '1', type: 'subscribe', payload: { query: `{ a } #${'x'.repeat(70_000)}` } });
    expect((await huge.closed).code).toBe(1009);

    const before = process.memoryUsage().rss;
    const tiny = await connectAcknowledged(api.url, 'Bearer secret-of-reader');
    for (let index = 0; index < 100_000 && tiny.socket.readyState === tiny.socket.OPEN; index++) {
      tiny.socket.send('a', { fin: false });
      if (index % 5_000 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    expect([1006, 1008, 1009]).toContain((await tiny.closed).code);
    expect(process.memoryUsage().rss - before).toBeLessThan(300_000_000);
    expect((await post(api.url, { query: ALLOWED }, bearer('secret-of-reader'))).status).toBe(200);
  }, 60_000);

  test('Z7: a flood of headers in the handshake is refused', async () => {
    const answer = await rawRequest(
      `GET /graphql HTTP/1.1\r\nhost: 127.0.0.1\r\nupgrade: websocket\r\nconnection: upgrade\r\n${repeat(3_000, (index) => `x-h${index}: y\r\n`).replaceAll(' x-h', 'x-h')}\r\n`,
    );
    expect(answer).toMatch(/^HTTP\/1\.1 (431|400)|^$/);
  });
});

describe('Z8: pages of other sites', () => {
  test('Z8: an origin that is not listed opens no WebSocket, and a listed one does', async () => {
    const attempt = async (origin: string): Promise<string> =>
      await new Promise((resolve) => {
        const socket = new WebSocket(`${api.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws', { origin });
        socket.on('open', () => {
          socket.terminate();
          resolve('open');
        });
        socket.on('error', (error) => resolve(error.message));
      });

    expect(await attempt('https://evil.example')).toContain('403');
    expect(await attempt('null')).toContain('403');
    expect(await attempt('https://console.example')).toBe('open');
  });

  test('Z8: a simple request of a form is refused, and no answer allows another origin', async () => {
    for (const contentType of ['text/plain', 'multipart/form-data; boundary=x', 'application/x-www-form-urlencoded']) {
      const response = await fetch(`${api.url}/graphql`, {
        method: 'POST',
        headers: { ...bearer('secret-of-reader'), 'content-type': contentType },
        body: JSON.stringify({ query: ALLOWED }),
      });
      expect(response.status, contentType).toBe(415);
      expect(response.headers.get('access-control-allow-origin')).toBeNull();
    }
  });
});

describe('Z9: bodies', () => {
  test('Z9: a bomb is refused by its length, without one by its bytes, and compressed unread', async () => {
    const headers = { ...bearer('secret-of-reader'), 'content-type': 'application/json' };
    const bomb = JSON.stringify({ query: `{ a } #${'x'.repeat(200_000)}` });
    const told = await fetch(`${api.url}/graphql`, { method: 'POST', headers, body: bomb });
    const untold = await fetch(`${api.url}/graphql`, {
      method: 'POST',
      headers,
      body: new Blob([bomb]).stream(),
      duplex: 'half',
    } as RequestInit).then(
      ({ status }) => status,
      () => 413, // Cut off while it still sends.
    );
    const compressed = await fetch(`${api.url}/graphql`, {
      method: 'POST',
      headers: { ...headers, 'content-encoding': 'gzip' },
      body: gzipSync(JSON.stringify({ query: ALLOWED })),
    });

    expect(told.status).toBe(413);
    expect(codesOf(((await told.json()) as { errors: unknown }).errors)).toEqual(['BODY_TOO_LARGE']);
    expect(untold).toBe(413);
    expect(compressed.status).toBe(415);
  });

  test('Z9: a flood of headers is refused', async () => {
    expect(
      await rawRequest(`POST /graphql HTTP/1.1\r\nhost: 127.0.0.1\r\nx-long: ${'y'.repeat(40_000)}\r\n\r\n`),
    ).toMatch(/^HTTP\/1\.1 431/);
  });

  test('Z9: slow headers are cut off, and keep nobody else waiting', async () => {
    const { port } = new URL(api.url);
    const slow = connectTcp(Number(port), '127.0.0.1');
    slow.on('error', () => undefined);
    const closed = new Promise<void>((resolve) => slow.once('close', () => resolve()));
    slow.write('POST /graphql HTTP/1.1\r\nhost: 127.0.0.1\r\n');
    const drip = setInterval(() => slow.write('x: y\r\n'), 500);
    slow.resume();

    expect((await post(api.url, { query: ALLOWED }, bearer('secret-of-reader'))).status).toBe(200);
    await closed;
    clearInterval(drip);
  }, 40_000);
});

describe('what nobody waits for', () => {
  const LIST = '{ instruments { nodes { name } } }';

  /** Holds up every read of the instruments. */
  async function holdUp() {
    const blocker = await database.db.startTransaction().execute();
    await sql`LOCK TABLE instrument IN ACCESS EXCLUSIVE MODE`.execute(blocker);
    return blocker;
  }
  const waiting = async (): Promise<number> => {
    const { rows } = await sql`
      SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
    `.execute(database.db);
    return rows.length;
  };

  test('is answered at its deadline, and its SQL is cancelled, over HTTP and WebSocket', async () => {
    const blocker = await holdUp();
    const socket = await connectAcknowledged(api.url, 'Bearer secret-of-reader');
    socket.send({ id: 'd', type: 'subscribe', payload: { query: LIST } });
    const [http, overSocket] = await Promise.all([
      post(api.url, { query: LIST }, bearer('secret-of-reader')),
      socket.next(),
    ]);

    expect({ status: http.status, codes: codesOf(http.errors) }).toEqual({ status: 503, codes: ['DEADLINE_EXCEEDED'] });
    expect(JSON.stringify(overSocket)).toContain('DEADLINE_EXCEEDED');
    await eventually(async () => expect(await waiting()).toBe(0));
    await blocker.rollback().execute();
    await socket.close();
  });

  test('because its client has gone is cancelled at once', async () => {
    const patient = await startApi(database, { apiKeys: [key('reader', 'read')] });
    const blocker = await holdUp();
    const leaving = new AbortController();
    const asked = fetch(`${patient.url}/graphql`, {
      method: 'POST',
      headers: { ...bearer('secret-of-reader'), 'content-type': 'application/json' },
      body: JSON.stringify({ query: LIST }),
      signal: leaving.signal,
    }).catch(() => null);
    await eventually(async () => expect(await waiting()).toBe(1));

    leaving.abort();

    await eventually(async () => expect(await waiting()).toBe(0));
    await asked;
    await blocker.rollback().execute();
    await patient.stop();
  });
});

test('Z35: keys that mean something to JavaScript change nothing', async () => {
  const body =
    '{"query":"query ($x: Int) { viewer { name } transfers(first: $x) { nodes { id } } }","variables":{"x":1,"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}},"__proto__":{"polluted":true}}';
  await post(api.url, body, bearer('secret-of-reader'));

  expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  expect((await post(api.url, { query: ALLOWED }, bearer('secret-of-reader'))).data.viewer.name).toBe('reader');
});

async function rawRequest(text: string): Promise<string> {
  const { port } = new URL(api.url);
  return await new Promise((resolve) => {
    const socket = connectTcp(Number(port), '127.0.0.1');
    let answer = '';
    socket.on('data', (data) => {
      answer += String(data);
    });
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(answer));
    socket.end(text);
  });
}
