/** Requests over kept connections, each sent when the one before is answered: a client that costs next to nothing. */
import { connect, type Socket } from 'node:net';

export type Load = { readonly perSecond: number; readonly p50Ms: number; readonly p99Ms: number };

const HEADERS_END = Buffer.from('\r\n\r\n');

/** @throws when an answer is not 200, or a connection ends. */
export async function loadOf(
  port: number,
  body: string,
  { connections, seconds }: { readonly connections: number; readonly seconds: number },
  quantile: (values: readonly number[], share: number) => number,
): Promise<Load> {
  const request = requestOf(port, body);
  const endsAt = performance.now() + seconds * 1_000;
  const startedAt = performance.now();
  const times = await Promise.all(
    Array.from({ length: connections }, async () => {
      const socket = await open(port);
      const own: number[] = [];
      while (performance.now() < endsAt) {
        const sentAt = performance.now();
        await exchange(socket, request);
        own.push(performance.now() - sentAt);
      }
      socket.destroy();
      return own;
    }),
  );
  const all = times.flat();
  return {
    perSecond: (all.length * 1_000) / (performance.now() - startedAt),
    p50Ms: quantile(all, 0.5),
    p99Ms: quantile(all, 0.99),
  };
}

function requestOf(port: number, body: string): string {
  return `POST /graphql HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\ncontent-type: application/json\r\naccept: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

async function open(port: number): Promise<Socket> {
  return await new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => resolve(socket));
    socket.setNoDelay(true);
    socket.once('error', reject);
  });
}

async function exchange(socket: Socket, request: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    let received: Buffer = Buffer.alloc(0);
    let length = -1;
    const onData = (chunk: Buffer): void => {
      received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
      if (length < 0) length = lengthOf(received);
      if (length >= 0 && received.length >= length) settle();
    };
    const onClose = (): void => settle(new Error('The connection ended.'));
    const settle = (failure?: Error): void => {
      socket.off('data', onData);
      socket.off('close', onClose);
      if (failure !== undefined) reject(failure);
      else if (!received.subarray(0, 12).equals(Buffer.from('HTTP/1.1 200'))) {
        reject(new Error(received.toString('utf8')));
      } else resolve();
    };
    socket.on('data', onData);
    socket.on('close', onClose);
    socket.write(request);
  });
}

/** Bytes of the whole answer; -1 while its headers are not all there. */
function lengthOf(received: Buffer): number {
  const end = received.indexOf(HEADERS_END);
  if (end < 0) return -1;
  const headers = received.subarray(0, end).toString('latin1');
  const length = /content-length: (\d+)/i.exec(headers)?.[1];
  if (length === undefined) throw new Error(`No length: ${headers}`);
  return end + HEADERS_END.length + Number(length);
}
