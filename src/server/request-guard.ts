/**
 * Which requests are looked at. A browser lets any page send requests to a server on the user's own machine, and a name under an attacker's
 * control may be made to point there (DNS rebinding); so the Host must be ours, and an Origin, where one is sent, must be ours too. A form
 * cannot send JSON and a script on another page may not without asking, so everything but JSON is refused as well.
 */
import type { IncomingMessage } from 'node:http';
import type { ApiErrorCode } from '../schema/error-catalog.ts';

export type RequestGuardOptions = {
  /** Host names (without port) we are reached by. Empty: loopback names in development, any otherwise: there the key protects. */
  readonly allowedHosts: readonly string[];
  /** Origins, e.g. `https://console.example`, allowed beside our own. */
  readonly allowedOrigins: readonly string[];
  readonly isDevelopment: boolean;
  /** Of a request that tells its length; others are counted as they are read. */
  readonly bodyBytesMax: number;
};

export type Refusal = { readonly status: 400 | 403 | 413 | 415; readonly code: ApiErrorCode; readonly message: string };

/** @returns why the request is refused; null: it is not. */
export type RequestGuard = (request: IncomingMessage) => Refusal | null;

const LOOPBACK_NAMES = ['localhost', '127.0.0.1', '[::1]'];

export function createRequestGuard(options: RequestGuardOptions): RequestGuard {
  const { allowedHosts, allowedOrigins, isDevelopment } = options;
  const hosts = new Set([...allowedHosts, ...(isDevelopment ? LOOPBACK_NAMES : [])].map((name) => name.toLowerCase()));

  return (request) => {
    const host = request.headers.host;
    const url = host === undefined ? null : URL.parse(`http://${host}`);
    if (url === null) return { status: 400, code: 'HOST_MISSING', message: 'A Host header is needed.' };
    if (hosts.size > 0 && !hosts.has(url.hostname)) {
      return { status: 403, code: 'HOST_REFUSED', message: 'This server is not known by that name.' };
    }
    const { origin } = request.headers;
    if (origin !== undefined && !allowedOrigins.includes(origin) && URL.parse(origin)?.host !== url.host) {
      return { status: 403, code: 'ORIGIN_REFUSED', message: 'Pages of that origin may not ask here.' };
    }
    // Requests that carry no Origin (an image, a frame) still say where they come from; following a link is harmless.
    const { 'sec-fetch-site': site, 'sec-fetch-mode': mode } = request.headers;
    if (origin === undefined && site === 'cross-site' && mode !== 'navigate') {
      return { status: 403, code: 'ORIGIN_REFUSED', message: 'Pages of other sites may not ask here.' };
    }
    if (request.method === 'POST' && !isJson(request.headers['content-type'])) {
      return { status: 415, code: 'MEDIA_TYPE_REFUSED', message: 'Send application/json.' };
    }
    // Nothing inflates what is sent: a small body would become a large one.
    if ((request.headers['content-encoding'] ?? 'identity') !== 'identity') {
      return { status: 415, code: 'MEDIA_TYPE_REFUSED', message: 'Send the body uncompressed.' };
    }
    if (Number(request.headers['content-length'] ?? 0) > options.bodyBytesMax) {
      return { status: 413, code: 'BODY_TOO_LARGE', message: `A body has ${options.bodyBytesMax} bytes at most.` };
    }
    return null;
  };
}

function isJson(contentType: string | undefined): boolean {
  return contentType?.split(';')[0]?.trim().toLowerCase() === 'application/json';
}

/** Whether an address to listen on can be reached from this machine alone. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}
