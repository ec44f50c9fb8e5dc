/** A subscription over either transport, told apart by nothing but its name: for tests that both must pass alike. */
import { subscribeSse } from './sse-client.ts';
import { connectAcknowledged } from './ws-client.ts';

export const TRANSPORTS = ['WebSocket', 'SSE'] as const;
export type Transport = (typeof TRANSPORTS)[number];

export type Result = {
  readonly data?: Readonly<Record<string, unknown>> | null;
  readonly errors?: readonly { readonly extensions?: Readonly<Record<string, unknown>> }[];
};

/** `END`: it is complete, or its error was the last. `CUT`: the socket was closed. */
export type Told =
  | { readonly kind: 'ITEM'; readonly result: Result }
  | { readonly kind: 'END' }
  | { readonly kind: 'CUT'; readonly code: string | null; readonly cursor: string | null };

export type Follower = {
  next(): Promise<Told>;
  /** Cursors that signs of life told. */
  readonly heartbeats: readonly string[];
  pause(): void;
  resume(): void;
  cut(): void;
};

export async function follow(
  transport: Transport,
  url: string,
  payload: { readonly query: string; readonly variables?: Record<string, unknown> },
  headers: { readonly authorization?: string } = {},
): Promise<Follower> {
  return transport === 'WebSocket'
    ? await overWebSocket(url, payload, headers.authorization)
    : await overSse(url, payload, headers);
}

async function overWebSocket(url: string, payload: object, authorization?: string): Promise<Follower> {
  const client = await connectAcknowledged(url, authorization);
  const heartbeats: string[] = [];
  let hasFailed = false;
  client.send({ id: 'it', type: 'subscribe', payload });
  return {
    heartbeats,
    next: async () => {
      for (;;) {
        // An operation that ends by an error has no other end.
        if (hasFailed) return { kind: 'END' };
        const message = await client.next().catch((error: Error) => {
          if (error.message.startsWith('closed')) return null;
          throw error;
        });
        if (message === null) {
          const { code, reason } = await client.closed;
          const [name = null, cursor = null] = code === 4499 ? reason.split(' ') : [];
          return { kind: 'CUT', code: name, cursor };
        }
        if (message.type === 'ping') {
          const { cursors } = message.payload as { cursors: Record<string, string> };
          heartbeats.push(...Object.values(cursors));
        } else if (message.type === 'next') {
          return { kind: 'ITEM', result: message.payload as Result };
        } else if (message.type === 'error') {
          hasFailed = true;
          return { kind: 'ITEM', result: { errors: message.payload as NonNullable<Result['errors']> } };
        } else {
          return { kind: 'END' };
        }
      }
    },
    pause: () => client.socket.pause(),
    resume: () => client.socket.resume(),
    cut: () => client.socket.terminate(),
  };
}

async function overSse(url: string, payload: object, headers: Record<string, string>): Promise<Follower> {
  const { stream } = await subscribeSse(url, payload, headers);
  let last: Result = {};
  return {
    heartbeats: stream.cursors,
    next: async () => {
      const event = await stream.next();
      if (event === null) {
        const { code = null, cursor = null } = last.errors?.[0]?.extensions ?? {};
        return {
          kind: 'CUT',
          code: code === null ? null : String(code),
          cursor: cursor === null ? null : String(cursor),
        };
      }
      if (event.event === 'complete') return { kind: 'END' };
      last = JSON.parse(event.data) as Result;
      return last.errors?.[0]?.extensions?.['code'] === 'SLOW_READER'
        ? await cutOf(stream, last)
        : { kind: 'ITEM', result: last };
    },
    // A fetch whose body nobody reads stops by itself.
    pause: () => undefined,
    resume: () => undefined,
    cut: stream.cut,
  };
}

/** What comes after an error that says that the stream is cut off: nothing, and no end. */
async function cutOf(stream: { next(): Promise<unknown> }, { errors }: Result): Promise<Told> {
  if ((await stream.next()) !== null) throw new Error('Something came after the last error.');
  const { code, cursor } = errors?.[0]?.extensions ?? {};
  return { kind: 'CUT', code: String(code), cursor: String(cursor) };
}
