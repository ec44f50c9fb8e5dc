/** A page of another origin asks the API: with real requests, and in a real browser, which alone decides what such a page may read. */
import { createHash } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseApiKey } from '../../src/server/principals.ts';
import { findChromium, openLocalBrowser } from '../e2e/browser.ts';
import { startApi, type TestApi } from '../support/api.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

const TOKEN = 'token-of-the-page';
const executablePath = findChromium();
if (executablePath === null) console.log('No Chromium at /usr/bin/chromium or $CHROMIUM: the browser is not asked.');

let database: TestDatabase;
let listed: Server;
let stranger: Server;
let origin: string;
let api: TestApi;
const originOf = (server: Server): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
const pages = async (): Promise<Server> =>
  await new Promise((resolve) => {
    const server = createServer((_request, response) =>
      response.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><link rel="icon" href="data:,">'),
    );
    server.listen(0, '127.0.0.1', () => resolve(server));
  });

beforeAll(async () => {
  database = await createTestDatabase();
  [listed, stranger] = await Promise.all([pages(), pages()]);
  origin = originOf(listed);
  api = await startApi(database, {
    apiKeys: [parseApiKey(`page:read+subscribe:${createHash('sha256').update(TOKEN).digest('hex')}`)],
    allowedOrigins: [origin],
  });
});

afterAll(async () => {
  await api.stop();
  for (const server of [listed, stranger]) server.close();
  await database.close();
});

const ask = async (headers: Record<string, string>, method = 'POST'): Promise<Response> =>
  await fetch(`${api.url}/graphql`, {
    method,
    headers: { 'content-type': 'application/json', ...headers },
    ...(method === 'POST' ? { body: '{"query":"{ viewer { name } }"}' } : {}),
  });

test('a listed origin is told that it may ask, with what, and reads answers and refusals; without a token nothing is told', async () => {
  const question = { origin, 'access-control-request-method': 'POST' };
  const allowed = await ask(question, 'OPTIONS');
  expect([allowed.status, await allowed.text()]).toEqual([204, '']);
  expect(Object.fromEntries(allowed.headers)).toMatchObject({
    'access-control-allow-origin': origin,
    'access-control-allow-methods': 'GET, POST',
    'access-control-allow-headers': expect.stringContaining('authorization'),
    vary: 'origin',
  });

  const answer = await ask({ origin, authorization: `Bearer ${TOKEN}` });
  expect([answer.status, answer.headers.get('access-control-allow-origin')]).toEqual([200, origin]);
  const refusal = await ask({ origin });
  expect([refusal.status, refusal.headers.get('access-control-allow-origin')]).toEqual([401, origin]);
  // A page's cookies are never wanted.
  for (const { headers } of [allowed, answer, refusal])
    expect(headers.get('access-control-allow-credentials')).toBeNull();
});

test('Z8: any other origin is refused before that, and is told nothing', async () => {
  for (const other of [originOf(stranger), 'null', `${origin}.evil.example`, 'http://127.0.0.1']) {
    for (const method of ['OPTIONS', 'POST']) {
      const headers = { origin: other, 'access-control-request-method': 'POST', authorization: `Bearer ${TOKEN}` };
      const { status, headers: told } = await ask(headers, method);
      expect([other, method, status]).toEqual([other, method, 403]);
      expect(told.get('access-control-allow-origin')).toBeNull();
    }
  }
});

test.skipIf(executablePath === null)(
  'in a browser the page of a listed origin asks and follows, and another one is kept out',
  async () => {
    const { page, close } = await openLocalBrowser(executablePath ?? '');
    const attempt = async (from: string, accept: string): Promise<string> => {
      await page.goto(from);
      return await page.evaluate(
        async ({ url, token, accept: type }) => {
          const query =
            type === 'text/event-stream' ? 'subscription { ingestionProgress { status } }' : '{ viewer { name } }';
          try {
            const answer = await fetch(url, {
              method: 'POST',
              headers: { 'content-type': 'application/json', accept: type, authorization: `Bearer ${token}` },
              body: JSON.stringify({ query }),
            });
            if (type !== 'text/event-stream') return await answer.text();
            await answer.body?.cancel();
            return `${answer.status} ${answer.headers.get('content-type')}`;
          } catch {
            return 'kept out';
          }
        },
        { url: `${api.url}/graphql`, token: TOKEN, accept },
      );
    };
    try {
      expect(await attempt(origin, 'application/json')).toBe('{"data":{"viewer":{"name":"page"}}}');
      expect(await attempt(origin, 'text/event-stream')).toMatch(/^200 text\/event-stream/);
      expect(await attempt(originOf(stranger), 'application/json')).toBe('kept out');
    } finally {
      await close();
    }
  },
  60_000,
);
