/** A graphql-transport-ws client of frames and nothing else, so that tests see what is on the wire. */
import { WebSocket } from 'ws';

export type Message = { readonly id?: string; readonly type: string; readonly payload?: unknown };

export type WsClient = {
  readonly socket: WebSocket;
  send(message: unknown): void;
  /** The next message not yet taken. @throws when the socket closes or five seconds pass first. */
  next(): Promise<Message>;
  /** Resolves when the socket has closed. */
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
  close(): Promise<void>;
};

export type WsOptions = {
  readonly headers?: Record<string, string>;
  readonly protocol?: string | string[];
};

/** Connects; says nothing. */
export async function connect(url: string, options: WsOptions = {}): Promise<WsClient> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, options.protocol ?? 'graphql-transport-ws', {
    headers: options.headers ?? {},
  });
  const inbox: Message[] = [];
  const waiting: { resolve: (message: Message) => void; reject: (error: Error) => void }[] = [];
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    socket.on('close', (code, reason) => {
      for (const { reject } of waiting.splice(0)) reject(new Error(`closed: ${code} ${String(reason)}`));
      resolve({ code, reason: String(reason) });
    });
  });
  socket.on('message', (data) => {
    const message: Message = JSON.parse(String(data));
    const waiter = waiting.shift();
    if (waiter === undefined) inbox.push(message);
    else waiter.resolve(message);
  });
  await new Promise<void>((resolve, reject) => {
    socket.once('open', () => resolve());
    socket.once('error', reject);
  });
  socket.on('error', () => undefined);
  return {
    socket,
    closed,
    send: (message) => socket.send(typeof message === 'string' ? message : JSON.stringify(message)),
    next: async () => {
      const ready = inbox.shift();
      if (ready !== undefined) return ready;
      if (socket.readyState !== socket.OPEN) throw new Error('closed');
      return await new Promise<Message>((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error('no message came')), 5_000);
        waiting.push({
          resolve: (message) => {
            clearTimeout(timer);
            resolve(message);
          },
          reject: (error) => {
            clearTimeout(timer);
            reject(error);
          },
        });
      });
    },
    close: async () => {
      socket.terminate();
      await closed;
    },
  };
}

/** Connects and is acknowledged. */
export async function connectAcknowledged(url: string, authorization?: string): Promise<WsClient> {
  const client = await connect(url);
  client.send({ type: 'connection_init', ...(authorization === undefined ? {} : { payload: { authorization } }) });
  const message = await client.next();
  if (message.type !== 'connection_ack') throw new Error(`Not acknowledged: ${message.type}`);
  return client;
}
