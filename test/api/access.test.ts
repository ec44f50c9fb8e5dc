/** Who may do what, on every transport; and which requests are not even looked at. */
import { createHash } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createServer } from '../../src/server/create-server.ts';
import { parseApiKey } from '../../src/server/principals.ts';
import { post, startApi, type TestApi } from '../support/api.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { createRows } from '../support/rows.ts';
import { subscribeSse } from '../support/sse-client.ts';
import { connect, connectAcknowledged } from '../support/ws-client.ts';

const key = (name: string, scopes: string) =>
  parseApiKey(`${name}:${scopes}:${createHash('sha256').update(`secret-of-${name}`).digest('hex')}`);

let database: TestDatabase;
let development: TestApi;
let production: TestApi;

beforeAll(async () => {
  database = await createTestDatabase();
  const rows = createRows(database.db);
  await rows.treasury();
  await rows.stream({});
  development = await startApi(database);
  production = await startApi(database, {
    apiKeys: [
      key('reader', 'read'),
      key('ledger', 'read+subscribe'),
      key('desk', 'read+deposits'),
      key('ops', 'read+operate'),
      key('blind', 'deposits'),
    ],
    allowedHosts: ['127.0.0.1', 'api.example'],
    allowedOrigins: ['https://console.example'],
  });
});

afterAll(async () => {
  await production.stop();
  await development.stop();
  await database.close();
});

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const OPERATIONS = {
  read: '{ treasuryParties { nodes { name } } }',
  operate: '{ ingestionStreams { ledgerOffset participantId statusReason epoch } }',
  deposits: 'mutation { createDepositAccount(input: { account: "a", memo: "access" }) { __typename } }',
  subscribe: 'subscription { ingestionProgress { status } }',
} as const;
type Operation = keyof typeof OPERATIONS;

describe('scopes', () => {
  const cases: readonly (readonly [string, 'development' | 'production', string | null, readonly Operation[]])[] = [
    ['the developer, without a header', 'development', null, ['read', 'operate', 'deposits', 'subscribe']],
    ['dev-frontend', 'development', 'dev-frontend', ['read']],
    ['dev-service', 'development', 'dev-service', ['read', 'deposits', 'subscribe']],
    ['dev-operator', 'development', 'dev-operator', ['read', 'operate', 'deposits', 'subscribe']],
    ['a key to read', 'production', 'secret-of-reader', ['read']],
    ['a key to subscribe', 'production', 'secret-of-ledger', ['read', 'subscribe']],
    ['a key for deposits', 'production', 'secret-of-desk', ['read', 'deposits']],
    ['a key to operate', 'production', 'secret-of-ops', ['read', 'operate']],
  ];

  test.each(cases)('%s', async (_who, where, token, allowed) => {
    const { url } = where === 'development' ? development : production;
    const headers: Record<string, string> = token === null ? {} : bearer(token);
    const socket = await connectAcknowledged(url, headers['authorization']);

    for (const [operation, query] of Object.entries(OPERATIONS)) {
      const isAllowed = allowed.some((name) => name === operation);
      const expected = isAllowed ? undefined : 'FORBIDDEN';
      if (operation !== 'subscribe') {
        const { errors, data } = await post(url, { query }, headers);
        expect(errors?.[0]?.extensions?.code, `HTTP ${operation}`).toBe(expected);
        if (!isAllowed) expect(data).toBeNull();
      } else {
        const { stream } = await subscribeSse(url, { query }, headers);
        const first = await stream.next();
        expect(first?.data.includes('FORBIDDEN'), `SSE ${operation}`).toBe(!isAllowed);
        stream.cut();
      }
      socket.send({ id: operation, type: 'subscribe', payload: { query } });
      const answer = JSON.stringify(await socket.next());
      expect(answer.includes('FORBIDDEN'), `WS ${operation}: ${answer}`).toBe(!isAllowed);
      if (answer.includes('"type":"next"') && operation !== 'subscribe') await socket.next();
      if (operation === 'subscribe' && isAllowed) socket.send({ id: operation, type: 'complete' });
    }
    await socket.close();
  });
});

test('a key that may register and not read is refused before anything is registered', async () => {
  const query =
    'mutation { createDepositAccount(input: { account: "b", memo: "blind" }) { ... on CreateDepositAccountPayload { depositAccount { memo } } } }';
  const { errors, data } = await post(production.url, { query }, bearer('secret-of-blind'));

  expect(errors?.[0]?.extensions?.code).toBe('FORBIDDEN');
  expect(data).toBeNull();
  expect(await database.db.selectFrom('deposit_account').where('memo', '=', 'blind').selectAll().execute()).toEqual([]);
});

describe('a subscription without the scope', () => {
  test('is refused when it is opened, not at its first event', async () => {
    const query = 'subscription { deposits { eventId } }';
    const client = await connectAcknowledged(development.url, 'Bearer dev-frontend');
    client.send({ id: 'f', type: 'subscribe', payload: { query } });
    const { stream } = await subscribeSse(development.url, { query }, bearer('dev-frontend'));

    expect(JSON.stringify(await client.next())).toContain('FORBIDDEN');
    expect((await stream.next())?.data).toContain('FORBIDDEN');
    expect(development.log.tail.stats().waiting).toBe(0);
    await client.close();
    stream.cut();
  });
});

describe('credentials', () => {
  test.each([[null], ['Bearer wrong'], ['Bearer dev-developer'], ['Basic c2VjcmV0'], ['']])(
    'with keys configured %j is 401 over HTTP',
    async (authorization) => {
      const headers: Record<string, string> = authorization === null ? {} : { authorization };
      const { status, errors, headers: answered } = await post(production.url, { query: OPERATIONS.read }, headers);

      expect(status).toBe(401);
      expect(errors[0].extensions.code).toBe('UNAUTHENTICATED');
      expect(answered.get('www-authenticate')).toBe('Bearer');
    },
  );

  test('an unknown development principal is 401 and not the developer', async () => {
    expect((await post(development.url, { query: OPERATIONS.read }, bearer('dev-nobody'))).status).toBe(401);
  });

  test('a socket without a key is closed with 4401, with a wrong one with 4403', async () => {
    const missing = await connect(production.url);
    missing.send({ type: 'connection_init' });
    const wrong = await connect(production.url);
    wrong.send({ type: 'connection_init', payload: { authorization: 'Bearer wrong' } });

    expect((await missing.closed).code).toBe(4401);
    expect((await wrong.closed).code).toBe(4403);
  });

  test('a socket may bring its key in the header of the upgrade', async () => {
    const client = await connect(production.url, { headers: bearer('secret-of-ledger') });
    client.send({ type: 'connection_init' });

    expect(await client.next()).toEqual({ type: 'connection_ack' });
    await client.close();
  });

  test('the schema’s text needs the scope to read as well', async () => {
    expect((await fetch(`${production.url}/schema.graphql`)).status).toBe(401);
    expect((await fetch(`${production.url}/schema.graphql`, { headers: bearer('secret-of-reader') })).status).toBe(200);
  });

  test('probes need no key', async () => {
    expect(await (await fetch(`${production.url}/healthz`)).json()).toEqual({ status: 'ok' });
    expect(await (await fetch(`${production.url}/readyz`)).json()).toEqual({ status: 'ready' });
  });

  test('without keys nothing but loopback is listened on', async () => {
    await expect(
      createServer({
        host: '0.0.0.0',
        port: 0,
        apiKeys: [],
        allowedHosts: [],
        allowedOrigins: [],
        isGraphiqlEnabled: false,
        // Refused before anything is asked of them.
        services: {} as never,
        random: {} as never,
        logger: database.logger,
      }),
    ).rejects.toMatchObject({ code: 'LISTEN_REFUSED' });
  });
});

describe('requests from elsewhere', () => {
  /** `fetch` sets Host and Origin itself. */
  async function statusOf(
    api: TestApi,
    headers: Record<string, string>,
    body = JSON.stringify({ query: '{ __typename }' }),
  ) {
    const { hostname, port } = new URL(api.url);
    return await new Promise<number>((resolve, reject) => {
      const request = httpRequest(
        {
          hostname,
          port,
          path: '/graphql',
          method: 'POST',
          headers: { 'content-type': 'application/json', connection: 'close', ...headers },
        },
        (response) => {
          response.resume();
          resolve(response.statusCode ?? 0);
        },
      );
      request.on('error', reject);
      request.end(body);
    });
  }

  test('another name for this machine is refused (DNS rebinding)', async () => {
    expect(await statusOf(development, { host: 'evil.example' })).toBe(403);
    expect(await statusOf(development, { host: 'localhost.evil.example:80' })).toBe(403);
    expect(await statusOf(development, { host: 'localhost:1234' })).toBe(200);
    expect(await statusOf(production, { host: 'api.example', ...bearer('secret-of-reader') })).toBe(200);
    expect(await statusOf(production, { host: 'localhost', ...bearer('secret-of-reader') })).toBe(403);
  });

  test('another origin is refused, ours and the allowed ones are not', async () => {
    expect(await statusOf(development, { origin: 'http://evil.example' })).toBe(403);
    expect(await statusOf(development, { origin: 'null' })).toBe(403);
    expect(await statusOf(development, { origin: `http://127.0.0.1:1` })).toBe(403);
    expect(await statusOf(development, { origin: development.url })).toBe(200);
    expect(await statusOf(development, { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors' })).toBe(403);
    expect(await statusOf(production, { origin: 'https://console.example', ...bearer('secret-of-reader') })).toBe(200);
  });

  test('a page of another origin cannot open a socket', async () => {
    const open = async (headers: Record<string, string>): Promise<string> => {
      try {
        const client = await connect(development.url, { headers });
        await client.close();
        return 'open';
      } catch (error) {
        return String(error);
      }
    };

    expect(await open({ origin: 'http://evil.example' })).toContain('403');
    expect(await open({ host: 'evil.example' })).toContain('403');
    expect(await open({ origin: development.url })).toBe('open');
  });

  test('what a form or a plain script could send is refused', async () => {
    for (const type of [
      'text/plain',
      'application/x-www-form-urlencoded',
      'multipart/form-data; boundary=x',
      'application/graphql',
    ]) {
      expect(await statusOf(development, { 'content-type': type }, '{"query":"{ __typename }"}'), type).toBe(415);
    }
    const mutation = encodeURIComponent(OPERATIONS.deposits);
    expect((await fetch(`${development.url}/graphql?query=${mutation}`)).status).toBe(405);
  });

  test('no origin is allowed to read answers', async () => {
    const { headers } = await post(development.url, { query: '{ __typename }' });

    expect(headers.get('access-control-allow-origin')).toBeNull();
  });
});
