/** A subscriber as a client is to be written: it keeps its last cursor, comes back after any end with a wait that grows and is drawn by lot, and resumes. By WebSocket or by SSE. */
import { request } from 'node:http';
import { WebSocket } from 'ws';
import { parseEventCursor } from '../../src/db/event-cursor.ts';
import type { Random } from '../../src/env/random.ts';
import { systemClock } from '../../src/env/system.ts';

export type Transport = 'WS' | 'SSE';

export type Delivery = { readonly position: bigint; readonly eventId: string };

export type PersistentSubscriber = {
  readonly transport: Transport;
  /** In the order they came. */
  readonly deliveries: readonly Delivery[];
  /** Position of the last one. */
  last(): bigint;
  /** How often it has begun anew. */
  connects(): number;
  /** How far its connection is, and why the last one ended or what it was told instead of items; for messages. */
  lastEnd(): string;
  /** What must not happen: an item out of order, an error that says that the cursor is no good. */
  readonly faults: readonly string[];
  stop(): Promise<void>;
};

/** One try: resolves when it has ended, however. */
type Attempt = (options: {
  readonly url: string;
  readonly query: string;
  readonly variables: Record<string, unknown>;
  readonly signal: AbortSignal;
  readonly take: (payload: unknown) => void;
  /** Told how far it is, and at last why it has ended. */
  readonly note: (stage: string) => void;
}) => Promise<void>;

/** As long as a machine that does ten things at once may take: whoever gives up earlier only makes it begin anew, for as many as come. */
const HANDSHAKE_MS_MAX = 40_000;
const WAIT_MS_MIN = 50;
const WAIT_MS_MAX = 2_000;

type Item = { readonly cursor: string; readonly eventId: string };
type Payload = {
  readonly data?: Readonly<Record<string, Item>> | null;
  readonly errors?: readonly { readonly extensions?: { readonly code?: string; readonly resumeCursor?: string } }[];
};

/**
 * @param query of one subscription field with `cursor` and `eventId`, and a variable `$after`.
 * @param followsLog whether it goes on where it is told to when the database went back, and forgets what came after that; left out, that is a fault.
 */
export function startSubscriber(options: {
  readonly url: string;
  readonly transport: Transport;
  readonly query: string;
  readonly after: string;
  readonly random: Random;
  readonly followsLog?: boolean;
}): PersistentSubscriber {
  const { url, transport, query, random, followsLog = false } = options;
  const attempt = transport === 'WS' ? overWebSocket : overSse;
  const deliveries: Delivery[] = [];
  const faults: string[] = [];
  const ending = new AbortController();
  let after = options.after;
  let connects = 0;
  let lastEnd = '';
  let stage = '';
  let failures = 0;

  function take(payload: unknown): void {
    const { data, errors } = payload as Payload;
    const { code = '', resumeCursor } = errors?.[0]?.extensions ?? {};
    if (errors !== undefined) stage = JSON.stringify(errors);
    if (followsLog && code === 'CURSOR_FROM_ANOTHER_LOG' && resumeCursor !== undefined) {
      const { position } = parseEventCursor(resumeCursor);
      const gone = deliveries.findIndex((delivery) => delivery.position > position);
      if (gone !== -1) deliveries.splice(gone);
      after = resumeCursor;
      return;
    }
    if (code.startsWith('CURSOR_') || code === 'FORBIDDEN' || code === 'INTERNAL_SERVER_ERROR') faults.push(code);
    const item = Object.values(data ?? {})[0];
    if (item == null) return;
    const { position } = parseEventCursor(item.cursor);
    if (position <= (deliveries.at(-1)?.position ?? 0n))
      faults.push(`${position} after ${deliveries.at(-1)?.position}`);
    deliveries.push({ position, eventId: item.eventId });
    after = item.cursor;
    failures = 0;
  }

  async function run(): Promise<void> {
    while (!ending.signal.aborted) {
      connects += 1;
      const note = (told: string): void => {
        stage = told;
      };
      note('connecting');
      await attempt({ url, query, variables: { after }, signal: ending.signal, take, note });
      failures += 1;
      lastEnd = stage;
      // Full jitter, so that those who lost the same replica do not come back together.
      await systemClock.sleep(random.next() * Math.min(WAIT_MS_MAX, WAIT_MS_MIN * 2 ** failures), ending.signal);
    }
  }

  const running = run();
  return {
    transport,
    deliveries,
    faults,
    last: () => deliveries.at(-1)?.position ?? 0n,
    connects: () => connects,
    lastEnd: () => `${stage}, before: ${lastEnd}`,
    stop: async () => {
      ending.abort();
      await running;
    },
  };
}

const overWebSocket: Attempt = async ({ url, query, variables, signal, take, note }) => {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws', {
    handshakeTimeout: HANDSHAKE_MS_MAX,
  });
  const ended = new Promise<void>((resolve) => {
    socket.on('close', (code, reason) => {
      // 1006: cut, wherever it was.
      if (code !== 1006) note(`closed ${code} ${String(reason)}`);
      resolve();
    });
  });
  const end = (): void => socket.terminate();
  signal.addEventListener('abort', end, { once: true });
  socket.on('error', ({ message }) => {
    note(message);
    end();
  });
  socket.on('open', () => {
    note('open');
    socket.send(JSON.stringify({ type: 'connection_init' }));
  });
  socket.on('message', (data) => {
    const message: { type: string; payload?: unknown } = JSON.parse(String(data));
    if (message.type === 'connection_ack') {
      note('acknowledged');
      socket.send(JSON.stringify({ id: '1', type: 'subscribe', payload: { query, variables } }));
    } else if (message.type === 'next') take(message.payload);
    else if (message.type === 'error') take({ errors: message.payload });
    if (message.type === 'error' || message.type === 'complete') end();
  });
  await ended;
  signal.removeEventListener('abort', end);
};

const overSse: Attempt = async ({ url, query, variables, signal, take, note }) => {
  await new Promise<void>((resolve) => {
    const asking = request(`${url}/graphql`, {
      method: 'POST',
      agent: false,
      headers: { 'content-type': 'application/json', accept: 'text/event-stream' },
    });
    const end = (): void => {
      asking.destroy();
      resolve();
    };
    signal.addEventListener('abort', end, { once: true });
    asking.on('close', () => {
      signal.removeEventListener('abort', end);
      resolve();
    });
    asking.on('error', ({ message }) => {
      note(message);
      end();
    });
    asking.on('response', (response) => {
      note(`status ${response.statusCode}`);
      let text = '';
      response.setEncoding('utf8').on('error', end);
      response.on('data', (chunk: string) => {
        text += chunk;
        if (response.headers['content-type']?.startsWith('text/event-stream') !== true) return;
        const events = text.split('\n\n');
        text = events.pop() ?? '';
        for (const event of events) {
          const data = /^data: ?(.*)$/m.exec(event)?.[1] ?? '';
          if (/^event: ?next$/m.test(event) && data !== '') take(JSON.parse(data));
        }
      });
    });
    asking.end(JSON.stringify({ query, variables }));
  });
};
