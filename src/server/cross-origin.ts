/**
 * Lets pages of the origins that are configured read our answers (the Fetch standard's CORS protocol). The guard alone would only keep the others out: what a page of another origin sends as JSON
 * is asked for first (`OPTIONS`), and without a yes the browser sends nothing. Origins are named one by one, never by a pattern, and no cookie is ever looked at: a page has to have a token of its own.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';

/** Seconds that a browser need not ask again; two hours is what Chromium keeps at most. */
const ASKED_FOR_SECONDS = 7_200;

export type CrossOrigin = {
  /**
   * Marks the answer as readable by the page that asks, where its origin is one of the configured; call it when the guard has let the request through.
   * @returns true: the request was only the browser's question whether it may ask, and is answered.
   */
  allow(request: IncomingMessage, response: ServerResponse): boolean;
};

/** @param allowedOrigins e.g. `https://app.example`; empty: no page of another origin reads anything. */
export function createCrossOrigin(allowedOrigins: readonly string[]): CrossOrigin {
  return {
    allow: (request, response) => {
      if (allowedOrigins.length === 0) return false;
      // Of no use to anybody else, and a cache between us has to know.
      response.setHeader('vary', 'origin');
      const { origin } = request.headers;
      if (origin === undefined || !allowedOrigins.includes(origin)) return false;
      response.setHeader('access-control-allow-origin', origin);
      response.setHeader('access-control-expose-headers', 'retry-after, x-request-id');
      if (request.method !== 'OPTIONS' || request.headers['access-control-request-method'] === undefined) return false;
      response
        .writeHead(204, {
          'access-control-allow-methods': 'GET, POST',
          'access-control-allow-headers': 'authorization, content-type, x-request-id',
          'access-control-max-age': String(ASKED_FOR_SECONDS),
        })
        .end();
      return true;
    },
  };
}
