/** The body of a request, read up to a limit before anything is made of it: yoga is handed the bytes. */
import type { IncomingMessage } from 'node:http';

/** Where yoga looks for a body that was read before. */
export type ReadRequest = IncomingMessage & { body?: Buffer };

/** @returns false: it is larger than `bytesMax`, and was read no further. */
export async function readBody(request: ReadRequest, bytesMax: number): Promise<boolean> {
  if (request.method === 'GET' || request.method === 'HEAD') return true;
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > bytesMax) return false;
    chunks.push(chunk);
  }
  request.body = chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks);
  return true;
}
