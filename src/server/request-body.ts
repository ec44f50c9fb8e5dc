/** The body of a request, read up to a limit before anything is made of it: yoga is handed the bytes. */
import type { IncomingMessage } from 'node:http';

/** Where yoga looks for a body that was read before. */
export type ReadRequest = IncomingMessage & { body?: Buffer };

/** Parameters of a GET that are JSON. */
const JSON_PARAMETERS = ['variables', 'extensions'];

/** @returns false: a parameter of a GET is no JSON, which yoga would take for a fault of its own. */
export function areParametersReadable({ method, url }: IncomingMessage): boolean {
  if (method !== 'GET') return true;
  const parameters = URL.parse(url ?? '/', 'http://localhost')?.searchParams;
  return JSON_PARAMETERS.every((name) => isJson(parameters?.get(name) ?? ''));
}

function isJson(text: string): boolean {
  try {
    if (text !== '') JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

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
