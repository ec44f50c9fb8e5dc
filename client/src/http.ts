/** One operation, one request, one answer. */
import { type AnswerError, answeredWith, ClientError, disconnected, unauthorized } from './client-error.ts';
import type { Credentials } from './credentials.ts';
import type { Platform } from './platform.ts';

export type Request = { readonly query: string; readonly variables: Readonly<Record<string, unknown>> };

export type Http = {
  /**
   * @returns the answer's `data`.
   * @throws ClientError; DISCONNECTED: it may have been done. UNAUTHORIZED: it was not, and the token is given up. ABORTED: the signal.
   */
  ask(request: Request, signal: AbortSignal | undefined): Promise<unknown>;
  /**
   * Opens a stream of server-sent events.
   * @throws as {@link Http.ask}.
   */
  open(request: Request, signal: AbortSignal): Promise<Response>;
};

/** @param timeoutMs for the whole of one answer. */
export function createHttp(options: {
  readonly url: string;
  readonly credentials: Credentials;
  readonly platform: Platform;
  readonly timeoutMs: number;
}): Http {
  const { url, credentials, platform, timeoutMs } = options;

  async function post(request: Request, accept: string, signal: AbortSignal): Promise<Response> {
    const token = await credentials.current();
    const response = await platform.fetch(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept,
        ...(token === null ? {} : { authorization: `Bearer ${token}` }),
      },
      body: JSON.stringify(request),
      signal,
    });
    if (response.status === 401) {
      credentials.reject(token);
      throw unauthorized(messageOf(await response.text()), 401);
    }
    return response;
  }

  return {
    ask: async (request, signal) => {
      const timeout = AbortSignal.timeout(timeoutMs);
      const ending = signal === undefined ? timeout : AbortSignal.any([signal, timeout]);
      try {
        const response = await post(request, 'application/graphql-response+json, application/json', ending);
        return dataOf(await response.text(), response);
      } catch (error) {
        if (error instanceof ClientError) throw error;
        if (signal?.aborted === true) throw new ClientError('ABORTED', 'The caller stopped waiting.', { cause: error });
        throw disconnected(timeout.aborted ? `No answer within ${timeoutMs} ms.` : 'No answer came.', { cause: error });
      }
    },
    open: async (request, signal) => {
      const response = await post(request, 'text/event-stream', signal);
      if (response.headers.get('content-type')?.startsWith('text/event-stream') === true) return response;
      dataOf(await response.text(), response);
      throw new ClientError('NOT_UNDERSTOOD', 'The answer is not a stream of events.', { status: response.status });
    },
  };
}

function dataOf(text: string, response: Response): unknown {
  const { status } = response;
  const answer = parsed(text);
  const errors = answer === null ? null : errorsOf(answer);
  if (errors !== null) throw answeredWith(errors, status);
  if (answer !== null && 'data' in answer && answer['data'] != null) return answer['data'];
  // A proxy between, or a server that is going away: what it was asked may have been done.
  const seconds = Number(response.headers.get('retry-after'));
  if (status >= 500 || status === 429 || status === 408) {
    throw disconnected(`HTTP ${status} without an answer.`, {
      status,
      retryAfterMs: seconds > 0 ? seconds * 1_000 : null,
    });
  }
  throw new ClientError('NOT_UNDERSTOOD', `HTTP ${status} with something that is no answer of GraphQL.`, { status });
}

/** @returns the errors of an answer; null: it has none. */
export function errorsOf(answer: Readonly<Record<string, unknown>>): readonly AnswerError[] | null {
  const { errors } = answer;
  if (!Array.isArray(errors) || errors.length === 0) return null;
  return errors.map((error: unknown) => answerErrorOf(error));
}

export function answerErrorOf(error: unknown): AnswerError {
  const { message, path, extensions } = isRecord(error) ? error : {};
  return {
    message: typeof message === 'string' ? message : 'no message',
    ...(Array.isArray(path) ? { path: path.filter(isPathPart) } : {}),
    ...(isRecord(extensions) ? { extensions } : {}),
  };
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isPathPart(part: unknown): part is string | number {
  return typeof part === 'string' || typeof part === 'number';
}

function parsed(text: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : null;
  } catch {
    // Not JSON at all: the caller says so with the status.
    return null;
  }
}

function messageOf(text: string): string {
  const answer = parsed(text);
  return (answer === null ? null : errorsOf(answer))?.[0]?.message ?? '';
}
