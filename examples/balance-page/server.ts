/**
 * Serves the page on this machine and passes what it asks on to Sluice, with a key that the page never sees. What a backend of an exchange does in its place, besides knowing who its customer is.
 *
 *     npx node examples/balance-page/server.ts
 */
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { request as requestTls } from 'node:https';
import { stripTypeScriptTypes } from 'node:module';
import { connect } from 'node:net';
import { extname, join, resolve } from 'node:path';
import { connect as connectTls } from 'node:tls';

const { SLUICE_URL = 'http://127.0.0.1:4000/graphql', SLUICE_TOKEN, PORT = '5173' } = process.env;
const sluice = new URL(SLUICE_URL);
/** The key goes over nothing else where Sluice is spoken to over TLS. */
const isTls = sluice.protocol === 'https:';
/** What this server is called in a browser; an exchange's backend has its own name here. */
const NAMES = ['127.0.0.1', 'localhost'];
const PROJECT = resolve(import.meta.dirname, '../..');

/** What browsers may load: first part of the path → folder. */
const FOLDERS: Readonly<Record<string, string>> = {
  page: import.meta.dirname,
  client: join(PROJECT, 'client/src'),
  'graphql-ws': join(PROJECT, 'node_modules/graphql-ws/dist'),
};
const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  // Without its types a module of TypeScript is one of JavaScript: there is no build step.
  '.ts': 'text/javascript; charset=utf-8',
};

async function serveFile(path: string, response: ServerResponse): Promise<void> {
  const [, folder = '', name = '', ...rest] = (path === '/' ? '/page/index.html' : path).split('/');
  const directory = FOLDERS[folder];
  const type = TYPES[extname(name)];
  if (directory === undefined || type === undefined || rest.length > 0) {
    response.writeHead(404).end();
    return;
  }
  try {
    const text = await readFile(join(directory, name), 'utf8');
    response.writeHead(200, { 'content-type': type, 'cache-control': 'no-cache' });
    response.end(extname(name) === '.ts' ? stripTypeScriptTypes(text) : text);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
    response.writeHead(404).end();
  }
}

/**
 * Whether our own page asks. The key is put in for whoever asks here, so this server has to look in Sluice's place: a browser lets any page of any site open a WebSocket to this machine, and a name that somebody else owns
 * may lead here.
 */
function isOwn({ host = '', origin, 'sec-fetch-site': site = 'none' }: IncomingHttpHeaders): boolean {
  const name = URL.parse(`http://${host}`)?.hostname ?? '';
  const isOurs = origin === undefined ? site === 'none' || site === 'same-origin' : origin === `http://${host}`;
  return NAMES.includes(name) && isOurs;
}

/** As Sluice is to see it: from this server, with the key. */
function headersOf({ origin: _origin, authorization: _none, ...headers }: IncomingHttpHeaders): IncomingHttpHeaders {
  const own = Object.entries(headers).filter(([name]) => !name.startsWith('sec-fetch-'));
  return {
    ...Object.fromEntries(own),
    host: sluice.host,
    ...(SLUICE_TOKEN === undefined ? {} : { authorization: `Bearer ${SLUICE_TOKEN}` }),
  };
}

/** HTTP, server-sent events included: what comes is passed on as it comes. */
function passOn(incoming: IncomingMessage, response: ServerResponse): void {
  const outgoing = (isTls ? requestTls : request)(
    sluice,
    { method: incoming.method ?? 'GET', headers: headersOf(incoming.headers) },
    (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    },
  );
  outgoing.on('error', () => {
    if (response.headersSent) response.destroy();
    else response.writeHead(502).end();
  });
  response.on('close', () => outgoing.destroy());
  incoming.pipe(outgoing);
}

const server = createServer((incoming, response) => {
  const { pathname } = new URL(incoming.url ?? '/', 'http://localhost');
  if (pathname === '/graphql') {
    if (isOwn(incoming.headers)) return passOn(incoming, response);
    response.writeHead(403).end();
    return;
  }
  serveFile(pathname, response).catch((error: unknown) => {
    console.error(error);
    response.destroy();
  });
});

// WebSocket: the same upgrade, put to Sluice, and from then on bytes both ways.
server.on('upgrade', (incoming, socket, head) => {
  if (!isOwn(incoming.headers)) {
    socket.end('HTTP/1.1 403 Forbidden\r\nconnection: close\r\n\r\n');
    return;
  }
  const place = { host: sluice.hostname, port: Number(sluice.port || (isTls ? 443 : 80)), servername: sluice.hostname };
  const upstream = isTls ? connectTls(place) : connect(place);
  upstream.once(isTls ? 'secureConnect' : 'connect', () => {
    const headers = Object.entries(headersOf(incoming.headers)).map(([name, value]) => `${name}: ${String(value)}\r\n`);
    upstream.write(`GET ${sluice.pathname} HTTP/1.1\r\n${headers.join('')}\r\n`);
    upstream.write(head);
    socket.pipe(upstream).pipe(socket);
  });
  socket.on('error', () => upstream.destroy());
  upstream.on('error', () => socket.destroy());
  socket.on('close', () => upstream.destroy());
  upstream.on('close', () => socket.destroy());
});

server.listen(Number(PORT), '127.0.0.1', () => {
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : PORT;
  console.log(`Balance page: http://127.0.0.1:${port}/?customer=customer-1   (Sluice: ${sluice.href})`);
});
