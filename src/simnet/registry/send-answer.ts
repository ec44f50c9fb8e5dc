/** How an answer goes out over HTTP: as it is, or as a fault would have it. */
import type { ServerResponse } from 'node:http';
import { gzipSync } from 'node:zlib';
import type { Clock } from '../../env/clock.ts';
import { lieAbout } from './lies.ts';
import type { RegistryFault } from './registry-faults.ts';

export type Answer = {
  readonly status: number;
  readonly body: unknown;
  /** What was answered to the same question when it was first asked; undefined: it never was. */
  readonly first: unknown;
};

const JSON_TYPE = { 'content-type': 'application/json' };
const TRICKLE_MS = 1_000;

export async function sendAnswer(
  response: ServerResponse,
  { status, body, first }: Answer,
  {
    fault,
    clock,
    signal,
  }: { readonly fault: RegistryFault | undefined; readonly clock: Clock; readonly signal: AbortSignal },
): Promise<void> {
  const sendJson = (json: unknown): void => {
    response.writeHead(status, JSON_TYPE).end(JSON.stringify(json));
  };
  const text = JSON.stringify(body);
  switch (fault?.kind) {
    case undefined:
      sendJson(body);
      return;
    case 'hang':
      return;
    case 'cut':
      response.destroy();
      return;
    case 'slow':
      await clock.sleep(fault.delayMs, signal);
      sendJson(body);
      return;
    case 'status':
      response
        .writeHead(fault.status, { ...JSON_TYPE, ...fault.headers })
        .end(JSON.stringify({ error: 'The registry is told to fail.' }));
      return;
    case 'notJson':
      response.writeHead(status, JSON_TYPE).end(text.slice(0, -1));
      return;
    case 'nested':
      response.writeHead(status, JSON_TYPE).end(`${'['.repeat(fault.depth)}${']'.repeat(fault.depth)}`);
      return;
    case 'compressed':
      response.writeHead(status, { ...JSON_TYPE, 'content-encoding': 'gzip' }).end(gzipSync(text));
      return;
    case 'endlessPages':
      sendJson({ instruments: [{ id: 'again', name: 'Again', symbol: 'AGAIN' }], nextPageToken: 'on and on' });
      return;
    case 'redirect':
      response.writeHead(307, { location: fault.location }).end();
      return;
    case 'huge':
      response.writeHead(status, JSON_TYPE).end(`${text.slice(0, -1)},"padding":"${'x'.repeat(fault.bytes)}"}`);
      return;
    case 'mutate':
      sendJson({ ...(body as object), ...fault.fields });
      return;
    case 'lie':
      await clock.sleep(fault.delayMs ?? 0, signal);
      // What was true once is told although there is nothing to tell any more.
      if (fault.lie === 'stale' && first !== undefined) {
        response.writeHead(200, JSON_TYPE).end(JSON.stringify(first));
        return;
      }
      sendJson(lieAbout(body, fault.lie, fault.salt ?? 'lie', first ?? body));
      return;
    case 'trickle':
      response.writeHead(status, JSON_TYPE);
      for (const letter of text) {
        if (signal.aborted || response.destroyed) return;
        response.write(letter);
        await clock.sleep(TRICKLE_MS, signal);
      }
      response.end();
  }
}
