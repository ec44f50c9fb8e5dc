/** One question to a signer and its answer: over a unix socket or mutual TLS, with a deadline and a bounded answer. Believes nothing of it. */
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { SignerUnavailable } from '../custody/signer.ts';
import type { Clock } from '../env/clock.ts';
import { messageOf } from '../env/errors.ts';
import { ANSWER_BYTES_MAX } from './wire.ts';

export type SignerAddress =
  | { readonly kind: 'UNIX'; readonly path: string }
  | {
      readonly kind: 'TLS';
      readonly host: string;
      readonly port: number;
      /** PEM. `ca` is the authority of the signer alone; `cert` and `key` are ours. */
      readonly cert: string;
      readonly key: string;
      readonly ca: string;
    };

export type SignerAnswer = { readonly status: number /** Null where it is no JSON. */; readonly body: unknown };

export type SignerExchange = {
  /** @throws SignerUnavailable: nobody, nothing in time, or more than an answer may be. Whether it was signed is unknown. */
  ask(
    question: { readonly method: 'GET' | 'POST'; readonly path: string; readonly body?: string },
    options: { readonly timeoutMs: number; readonly signal?: AbortSignal },
  ): Promise<SignerAnswer>;
  close(): void;
};

const SOCKETS_MAX = 16;

export function createSignerExchange(address: SignerAddress, { clock }: { readonly clock: Clock }): SignerExchange {
  // No connection is kept: a signer that restarts closes it just when the next request is written, and then nobody knows what it saw.
  const settings = { keepAlive: false, maxSockets: SOCKETS_MAX };
  const agent =
    address.kind === 'UNIX'
      ? new HttpAgent(settings)
      : new HttpsAgent({
          ...settings,
          cert: address.cert,
          key: address.key,
          ca: address.ca,
          rejectUnauthorized: true,
          minVersion: 'TLSv1.3',
        });
  const place: RequestOptions =
    address.kind === 'UNIX' ? { socketPath: address.path } : { host: address.host, port: address.port };
  const start = address.kind === 'UNIX' ? httpRequest : httpsRequest;

  return {
    ask: async ({ method, path, body }, { timeoutMs, signal: caller }) => {
      const deadline = new AbortController();
      const answered = new AbortController();
      void clock.sleep(timeoutMs, answered.signal).then(() => deadline.abort());
      const signal = caller === undefined ? deadline.signal : AbortSignal.any([deadline.signal, caller]);
      const headers =
        body === undefined
          ? {}
          : { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(body)) };
      try {
        return await new Promise<SignerAnswer>((resolve, reject) => {
          const outgoing = start({ ...place, agent, method, path, headers, signal });
          outgoing.once('response', (incoming) => {
            readAnswer(incoming).then(
              (text) => resolve({ status: incoming.statusCode ?? 0, body: parseJson(text) }),
              reject,
            );
          });
          outgoing.on('error', reject);
          outgoing.end(body);
        });
      } catch (cause) {
        const isLate = deadline.signal.aborted;
        const why = isLate ? `no answer within ${timeoutMs} ms` : messageOf(cause);
        throw new SignerUnavailable('SIGNER_UNAVAILABLE', `The signer did not answer: ${why}.`, {}, { cause });
      } finally {
        answered.abort();
      }
    },
    close: () => agent.destroy(),
  };
}

async function readAnswer(incoming: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of incoming) {
    const part = Buffer.from(chunk);
    bytes += part.length;
    if (bytes > ANSWER_BYTES_MAX) throw new SignerUnavailable('SIGNER_UNAVAILABLE', 'The answer is too large.');
    chunks.push(part);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
