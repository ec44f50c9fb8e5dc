/**
 * The one way from here to a server that is not ours: over node's own HTTP, because there the address can be checked between its resolution and the connection, and the connection then uses what was
 * checked: a name that answers differently the second time gains nothing. No redirects, no proxies from the environment, no compression, no cookies.
 */
import { lookup as dnsLookup } from 'node:dns/promises';
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import { PermanentError } from '../env/errors.ts';
import { kindOfAddress } from './address-guard.ts';

export type HttpRequest = {
  readonly method: 'GET' | 'POST';
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Ends the exchange at any point, the body included. */
  readonly signal: AbortSignal;
};

export type HttpAnswer = {
  readonly status: number;
  readonly header: (name: string) => string | null;
  /** Must be read to its end, or destroyed. */
  readonly body: AsyncIterable<Uint8Array> & { destroy(): unknown };
};

/** @throws PermanentError ADDRESS_REFUSED; anything else that goes wrong on the way as node says it. */
export type Send = (request: HttpRequest) => Promise<HttpAnswer>;

export type Lookup = (hostname: string) => Promise<readonly { readonly address: string; readonly family: number }[]>;

const SOCKETS_PER_HOST_MAX = 16; // A host that hangs holds no more than these.
const TLS_VERSION_MIN = 'TLSv1.2';

/**
 * @param options.isPrivateAllowed whether loopback and private networks may be called, and plain http used. Link-local and metadata addresses never are.
 * @param options.lookup for tests; the system's resolver when left out.
 */
export function createSend(options: { readonly isPrivateAllowed: boolean; readonly lookup?: Lookup }): Send {
  const { isPrivateAllowed, lookup = (hostname) => dnsLookup(hostname, { all: true }) } = options;
  const agents = {
    'http:': new HttpAgent({ keepAlive: true, maxSockets: SOCKETS_PER_HOST_MAX }),
    'https:': new HttpsAgent({ keepAlive: true, maxSockets: SOCKETS_PER_HOST_MAX, minVersion: TLS_VERSION_MIN }),
  };
  const demandAllowed = (hostname: string, address: string): void => {
    const kind = kindOfAddress(address);
    if (kind === 'public' || (kind === 'private' && isPrivateAllowed)) return;
    throw new PermanentError('ADDRESS_REFUSED', 'The host has an address that must not be called.', {
      hostname,
      address,
      kind,
    });
  };
  const guardedLookup: LookupFunction = (hostname, lookupOptions, callback) => {
    lookup(hostname).then(
      (found) => {
        try {
          // One bad address is enough: who mixes them does it to be let through.
          for (const { address } of found) demandAllowed(hostname, address);
          const [first] = found;
          if (first === undefined) throw new Error(`${hostname} has no address.`);
          if (lookupOptions.all === true) callback(null, [...found]);
          else callback(null, first.address, first.family);
        } catch (error) {
          callback(asError(error), '', 0);
        }
      },
      (error: unknown) => callback(asError(error), '', 0),
    );
  };

  const exchange = (request: HttpRequest): Promise<HttpAnswer> =>
    new Promise((resolve, reject) => {
      const { method, url, headers, body, signal } = request;
      const { protocol } = url;
      if (protocol !== 'http:' && protocol !== 'https:') throw refusedProtocol(url);
      if (protocol === 'http:' && !isPrivateAllowed) throw refusedProtocol(url);
      const hostname = url.hostname.replace(/^\[(.*)\]$/, '$1');
      // Node asks no resolver for an address.
      if (isIP(hostname) !== 0) demandAllowed(hostname, hostname);
      const settings: RequestOptions = { method, headers, signal, agent: agents[protocol], lookup: guardedLookup };
      const outgoing = (protocol === 'https:' ? httpsRequest : httpRequest)(url, settings);
      outgoing.once('response', (incoming) => resolve(answerOf(incoming)));
      outgoing.on('error', (error: NodeJS.ErrnoException) => {
        // The server closed a connection that was kept while we wrote into it: it has seen nothing, and we only ever read.
        if (outgoing.reusedSocket && error.code === 'ECONNRESET' && !signal.aborted)
          exchange(request).then(resolve, reject);
        else reject(error);
      });
      outgoing.end(body);
    });
  return exchange;
}

function answerOf(incoming: IncomingMessage): HttpAnswer {
  return {
    status: incoming.statusCode ?? 0,
    header: (name) => {
      const value = incoming.headers[name.toLowerCase()];
      return typeof value === 'string' ? value : null;
    },
    body: incoming,
  };
}

function refusedProtocol(url: URL): PermanentError {
  return new PermanentError('ADDRESS_REFUSED', 'Only https is spoken with public registries.', {
    hostname: url.hostname,
    protocol: url.protocol,
  });
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
