/**
 * Subscriptions over server-sent events (GraphQL over SSE, distinct connections): the same deliveries as over WebSocket, on a response of their own. Everything else that asks for an event stream,
 * and whatever is refused before it begins, is left to yoga.
 *
 * A comment every 12 s shows that we live; where nothing that was asked for has happened meanwhile, it tells how far the log was looked through: `:cursor …`. The end is `complete` only where nothing
 * will ever come again: a client that is told so does not come back.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type ExecutionResult, type GraphQLError, getOperationAST } from 'graphql';
import { z } from 'zod';
import { messageOf } from '../env/errors.ts';
import type { Logger } from '../env/logger.ts';
import { apiError } from '../schema/api-error.ts';
import type { Principal } from '../schema/principal.ts';
import { type AuthorityWatch, unendingAuthority } from './authority-end.ts';
import type { ErrorMasking } from './error-masking.ts';
import { type Delivery, type FanOut, isDelivery, type Sink, SlowReaderError } from './fan-out.ts';
import type { GraphQLHandler } from './graphql-handler.ts';
import { onceGone } from './once-gone.ts';
import type { ReadRequest } from './request-body.ts';
import { answerOf } from './shared-answers.ts';
import { writeShared } from './shared-bytes.ts';
import type { Operation } from './subscription-key.ts';
import { createDrain } from './websocket-frames.ts';

export type EventStreams = {
  /**
   * Answers a request for a subscription; resolves when the stream has ended.
   * @returns false: it is none, and nothing was answered. Its body, where it had one, is at `body` of the request.
   */
  answer(request: IncomingMessage, response: ServerResponse, principal: Principal): Promise<boolean>;
};

export type EventStreamsOptions = {
  readonly yoga: GraphQLHandler;
  readonly fanOut: FanOut;
  readonly masking: ErrorMasking;
  readonly logger: Logger;
  /** Milliseconds between signs of life. Default 12 s. */
  readonly heartbeatMs?: number;
  /** Left out: no principal's authority ends before the process does. */
  readonly authority?: AuthorityWatch;
};

const EVENT_STREAM = 'text/event-stream';
/** 12 s: proxies cut idle connections at 60 s; four chances. */
const HEARTBEAT_MS = 12_000;
/** 10 s for a client that does not read to take what it was sent, and with it why it is cut off. */
const CUT_GRACE_MS = 10_000;
const HEADERS = {
  'content-type': `${EVENT_STREAM}; charset=utf-8`,
  'cache-control': 'no-cache, no-transform',
  // Proxies that buffer answers would hold back every event.
  'x-accel-buffering': 'no',
} as const;
const COMPLETE = 'event: complete\ndata:\n\n';
const PREFIX = Buffer.from('event: next\ndata: ');
const SUFFIX = Buffer.from('\n\n');

/** As far as it matters here; yoga refuses what is of another shape. */
const requestBody = z.object({
  query: z.string(),
  operationName: z.string().nullish(),
  variables: z.record(z.string(), z.unknown()).nullish(),
});

/** Whether events are among what a request accepts, as yoga reads it. */
export function asksForEvents({ headers }: IncomingMessage): boolean {
  return headers.accept?.toLowerCase().includes(EVENT_STREAM) === true;
}

export function createEventStreams(options: EventStreamsOptions): EventStreams {
  const { yoga, fanOut, masking, logger, heartbeatMs = HEARTBEAT_MS, authority = unendingAuthority } = options;

  /** Null: no valid subscription. */
  async function subscriptionOf(request: ReadRequest, principal: Principal): Promise<Operation | null> {
    const asked = readAsked(request);
    if (asked?.query.includes('subscription') !== true) return null;
    const { query, operationName = null, variables } = asked;
    const enveloped = yoga.getEnveloped({ principal });
    try {
      const document = enveloped.parse(query);
      if (getOperationAST(document, operationName)?.operation !== 'subscription') return null;
      if (enveloped.validate(enveloped.schema, document).length > 0) return null;
      return { document, query, operationName, variables: variables ?? {} };
    } catch {
      return null; // Yoga meets the same error and answers it.
    }
  }

  function begin(response: ServerResponse): void {
    response.writeHead(200, HEADERS);
    response.write(':\n\n');
  }

  async function stream(response: ServerResponse, principal: Principal, delivery: Delivery): Promise<void> {
    begin(response);
    let told: string | null = null;
    const heartbeat = setInterval(() => {
      const cursor = delivery.restingCursor();
      response.write(cursor === null || cursor === told ? ':\n\n' : `:cursor ${cursor}\n\n`);
      told = cursor ?? told;
    }, heartbeatMs);
    const closed = new Promise<void>((resolve) => {
      onceGone(response, resolve);
    });
    let endOfAuthority: string | null = null;
    const unwatch = authority.watch(principal, (why) => {
      endOfAuthority = why;
      delivery.stop();
      cut(response, apiError(why, 'What this was opened with is no longer valid. Come back with another.'), masking);
    });
    closed.then(delivery.stop, delivery.stop);
    try {
      const end = await delivery.run(createStreamSink(response));
      if (end === 'COMPLETE') response.end(COMPLETE);
    } catch (error) {
      if (error instanceof SlowReaderError) cut(response, apiError(error.code, error.message, error.facts), masking);
      else if (endOfAuthority === null) {
        response.write(eventOf(textOf({ errors: [masking.mask(error)] }, masking)));
        response.end(COMPLETE);
      }
    } finally {
      delivery.stop();
      // Whoever did not end it himself is cut off soon, by us or by the server that stops.
      await closed;
      clearInterval(heartbeat);
      unwatch();
    }
  }

  return {
    answer: async (request, response, principal) => {
      if (!asksForEvents(request)) return false;
      const operation = await subscriptionOf(request, principal);
      if (operation === null) return false;
      const opened = await fanOut.open(operation, principal);
      if (isDelivery(opened)) {
        response.on('error', (error) => logger.debug('An event stream failed.', { error: messageOf(error) }));
        await stream(response, principal, opened);
      } else {
        begin(response);
        response.write(eventOf(textOf(opened, masking)));
        response.end(COMPLETE);
      }
      return true;
    },
  };
}

function createStreamSink(response: ServerResponse): Sink {
  const drain = createDrain(response);
  return {
    send: (answers) => {
      if (!response.writable) return;
      writeShared(
        response,
        answers.flatMap((answer) => [PREFIX, answer, SUFFIX]),
      );
    },
    pendingBytes: () => response.writableLength,
    drained: drain.untilDrained,
  };
}

/** Says why, behind all that waits, and ends the connection without an end of the stream. */
function cut(response: ServerResponse, error: GraphQLError, masking: ErrorMasking): void {
  const destroy = (): void => {
    clearTimeout(late);
    // Not the response: one that waits behind another of its connection would not end by that.
    response.req.socket.destroy();
  };
  const late = setTimeout(destroy, CUT_GRACE_MS);
  onceGone(response, () => clearTimeout(late));
  response.write(eventOf(textOf({ errors: [error] }, masking)), destroy);
}

function eventOf(text: Buffer): Buffer {
  return Buffer.concat([PREFIX, text, SUFFIX]);
}

function textOf(result: ExecutionResult, masking: ErrorMasking): Buffer {
  const answer = answerOf(result, masking);
  return answer instanceof Buffer ? answer : Buffer.from(JSON.stringify({ errors: [masking.format(answer)] }));
}

/** What is asked for; null: nothing that we understand. The body was read before. */
function readAsked(request: ReadRequest) {
  if (request.method === 'GET') {
    const asked = URL.parse(request.url ?? '/', 'http://localhost')?.searchParams;
    return parseAsked(() => ({
      query: asked?.get('query'),
      operationName: asked?.get('operationName'),
      variables: JSON.parse(asked?.get('variables') ?? '{}'),
    }));
  }
  const isJson = request.headers['content-type']?.includes('json') === true;
  if (request.method !== 'POST' || !isJson) return null;
  return parseAsked(() => JSON.parse(String(request.body)));
}

function parseAsked(read: () => unknown) {
  try {
    return requestBody.safeParse(read()).data ?? null;
  } catch {
    return null; // No JSON: yoga says so.
  }
}
