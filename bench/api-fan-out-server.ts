/** One contestant of bench/api-fan-out.ts in a process of its own: Sluice's API as it serves, or a bare broadcast of `ws`. */
import { type WebSocket, WebSocketServer } from 'ws';
import { createDatabase } from '../src/db/connection.ts';
import { createSystemLogger } from '../src/env/system.ts';
import { API_LIMITS_DEFAULT } from '../src/schema/api-limits.ts';
import { startApi } from '../test/support/api.ts';
import type { FanOutOrder } from './api-fan-out.ts';

const { kind, connectionString } = JSON.parse(process.argv[2] ?? '') as {
  readonly kind: 'sluice' | 'raw';
  readonly connectionString: string;
};

async function serveSluice(): Promise<number> {
  const logger = createSystemLogger('error');
  const { db } = createDatabase({ connectionString, applicationName: 'bench-fan-out', poolSizeMax: 10, logger });
  let statements = 0;
  const counted = db.withPlugin({
    transformQuery: ({ node }) => node,
    // Of results, since not every statement is put together by the builder.
    transformResult: async ({ result }) => {
      statements++;
      return result;
    },
  });
  const most = { socketsMax: 10_000, subscriptionsMax: 10_000, requestsPerSecond: 1_000_000, requestsBurst: 1_000_000 };
  const limits = { ...API_LIMITS_DEFAULT, service: { ...API_LIMITS_DEFAULT.service, ...most } };
  const database = { connectionString, db, logger, close: async () => undefined };
  const api = await startApi(database, { db: counted, limits });
  process.on('message', () => {
    process.send?.({ statements });
    statements = 0;
  });
  return Number(new URL(api.url).port);
}

async function serveRaw(): Promise<number> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: false });
  process.on('message', (text) => {
    const { events, bytes } = JSON.parse(String(text)) as FanOutOrder;
    const message = JSON.stringify({ id: 'x', type: 'next', payload: 'x'.repeat(bytes - 40) });
    broadcast(server.clients, message, events);
  });
  await new Promise((resolve) => server.once('listening', resolve));
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** One event after the other to everybody, as fast as the sockets take it. */
function broadcast(clients: ReadonlySet<WebSocket>, message: string, events: number): void {
  if (events === 0) return;
  for (const client of clients) client.send(message);
  setImmediate(() => broadcast(clients, message, events - 1));
}

const port = kind === 'sluice' ? await serveSluice() : await serveRaw();
process.send?.({ port });
