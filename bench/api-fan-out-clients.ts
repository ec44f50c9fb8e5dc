/** The sockets of bench/api-fan-out.ts, in a process of their own: they count what comes, and look at the first message of each alone. */
import { WebSocket } from 'ws';

const { port, sockets, query } = JSON.parse(process.argv[2] ?? '') as {
  readonly port: number;
  readonly sockets: number;
  readonly query: string | null;
};
let expected = Number.POSITIVE_INFINITY;
let count = 0;
let bytes = 0;
let firstAt = 0;

process.on('message', (text) => {
  expected = Number(text);
  count = 0;
  process.send?.('counting');
});

function take(data: Buffer): void {
  if (count === 0) firstAt = performance.now();
  count++;
  bytes = data.length;
  if (count === expected) process.send?.({ ms: performance.now() - firstAt, bytes });
}

async function open(): Promise<void> {
  const path = query === null ? '' : '/graphql';
  const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, query === null ? [] : ['graphql-transport-ws'], {
    perMessageDeflate: false,
  });
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
  if (query !== null) {
    socket.send('{"type":"connection_init"}');
    await new Promise((resolve) => socket.once('message', resolve));
    socket.send(JSON.stringify({ id: '1', type: 'subscribe', payload: { query } }));
  }
  socket.on('message', take);
}

for (let opened = 0; opened < sockets; opened += 50) {
  await Promise.all(Array.from({ length: Math.min(50, sockets - opened) }, open));
}
// A subscription has no sign of its own that it has begun.
setTimeout(() => process.send?.({ isReady: true }), 1_000);
