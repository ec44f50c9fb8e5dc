/** The example's server puts a key in for whoever asks it: so it has to be its own page that asks, and nobody on the way may read it. */
import { once } from 'node:events';
import { createServer } from 'node:net';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import WebSocket from 'ws';
import { PROJECT, type SluiceProcess, startProcess } from '../e2e/sluice-process.ts';
import { startApi, type TestApi } from '../support/api.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
let api: TestApi;
const started: SluiceProcess[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
  api = await startApi(database);
});

afterEach(async () => {
  for (const { child, exited } of started.splice(0)) {
    child.kill('SIGKILL');
    await exited;
  }
});

afterAll(async () => {
  await api.stop();
  await database.close();
});

/** @returns host and port. */
async function serve(sluiceUrl: string): Promise<string> {
  const server = startProcess(process.execPath, [`${PROJECT}/examples/balance-page/server.ts`], {
    SLUICE_URL: sluiceUrl,
    SLUICE_TOKEN: 'secret-of-the-backend',
    PORT: '0',
  });
  started.push(server);
  const [, host = ''] = await server.waitFor(/http:\/\/([\d.:]+)\//);
  return host;
}

/** @returns `open`, or the status that refused it. */
async function opened(host: string, headers: Record<string, string>): Promise<string> {
  const socket = new WebSocket(`ws://${host}/graphql`, 'graphql-transport-ws', { headers });
  const outcome = await Promise.race([
    once(socket, 'open').then(() => 'open'),
    once(socket, 'unexpected-response').then(([, response]) => String(response.statusCode)),
  ]);
  socket.on('error', () => undefined);
  socket.terminate();
  return outcome;
}

test('pages of other sites, and names of others, are not passed on with the key', { timeout: 60_000 }, async () => {
  const host = await serve(`${api.url}/graphql`);
  expect(await opened(host, { origin: `http://${host}` })).toBe('open');
  expect(await opened(host, { origin: 'https://evil.example' })).toBe('403');
  expect(await opened(host, { origin: 'http://evil.example', host: 'evil.example' })).toBe('403');
  expect(await opened(host, { 'sec-fetch-site': 'cross-site' })).toBe('403');

  const body = { method: 'POST', body: '{"query":"{ __typename }"}' };
  const asked = async (headers: Record<string, string>): Promise<number> =>
    (await fetch(`http://${host}/graphql`, { ...body, headers: { 'content-type': 'application/json', ...headers } }))
      .status;
  expect(await asked({ origin: 'https://evil.example' })).toBe(403);
  // Nobody's key here, but passed on.
  expect(await asked({ origin: `http://${host}` })).toBe(401);
});

test('a Sluice behind https is spoken to over TLS, also by a WebSocket', { timeout: 60_000 }, async () => {
  const first = Promise.withResolvers<Buffer>();
  const listener = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', (data) => {
      first.resolve(data);
      socket.destroy();
    });
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const address = listener.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const host = await serve(`https://127.0.0.1:${port}/graphql`);
  const socket = new WebSocket(`ws://${host}/graphql`, 'graphql-transport-ws', {
    headers: { origin: `http://${host}` },
  });
  socket.on('error', () => undefined);
  const said = await first.promise;
  expect(said.includes('secret-of-the-backend')).toBe(false);
  expect(said[0]).toBe(0x16); // A handshake of TLS.
  socket.terminate();
  listener.close();
});
