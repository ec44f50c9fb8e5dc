/** What goes wrong between this client and Sluice. A refusal that the schema knows as a type is no error: it comes back as a value. */

/** One error of an answer, as GraphQL has it. */
export type AnswerError = {
  readonly message: string;
  readonly path?: readonly (string | number)[];
  readonly extensions?: Readonly<Record<string, unknown>>;
};

export type ClientErrorCode =
  /** No answer came, or the connection broke; what was asked may have been done. */
  | 'DISCONNECTED'
  /** No credential was taken, however often the token source was asked. */
  | 'UNAUTHORIZED'
  /** The answer holds errors: `errors`, with the code of the first as `answerCode`. */
  | 'ANSWERED_WITH_ERRORS'
  /** What answered is not Sluice, or not a version that this client understands. */
  | 'NOT_UNDERSTOOD'
  /** The subscription's cursor is stale, and nobody was there to be told (`onResync`). */
  | 'RESYNC_REQUIRED'
  /** A subscription that could not be resumed without a gap. */
  | 'NOT_RESUMABLE'
  /** The request was sent, and its caller stopped waiting before an answer came: call again with the same reference. */
  | 'OUTCOME_UNKNOWN'
  /** The caller's signal. Nothing is known of what was on its way. */
  | 'ABORTED';

export class ClientError extends Error {
  override readonly name = 'ClientError';
  readonly code: ClientErrorCode;
  /** Whether the same call may succeed later. Whether repeating it is harmless is the operation's affair. */
  readonly isRetryable: boolean;
  readonly errors: readonly AnswerError[];
  /** `extensions.code` of the first error. */
  readonly answerCode: string | null;
  /** Close code of the WebSocket, or HTTP status. */
  readonly status: number | null;
  /** How long the server asked to be left alone. Milliseconds. */
  readonly retryAfterMs: number | null;

  constructor(
    code: ClientErrorCode,
    message: string,
    facts: {
      readonly isRetryable?: boolean;
      readonly errors?: readonly AnswerError[];
      readonly status?: number | null;
      readonly retryAfterMs?: number | null;
      readonly cause?: unknown;
    } = {},
  ) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.code = code;
    this.errors = facts.errors ?? [];
    this.answerCode = codeOf(this.errors[0]);
    this.isRetryable = facts.isRetryable ?? false;
    this.status = facts.status ?? null;
    this.retryAfterMs = facts.retryAfterMs ?? null;
  }
}

/** Codes that say nothing of the operation, only of the moment; where an error says `retryable` itself, that counts. */
const MOMENTARY: ReadonlySet<string> = new Set([
  'UNAVAILABLE',
  'DEADLINE_EXCEEDED',
  'NOT_CAUGHT_UP',
  'RATE_LIMITED',
  'SLOW_READER',
  'TOO_MANY_OPERATIONS',
  'TOO_MANY_SOCKETS',
  'TOO_MANY_SUBSCRIPTIONS',
  // It says nothing of what was done, and its cause may be gone: worth asking again, as without any answer.
  'INTERNAL_SERVER_ERROR',
]);
const UNAUTHORIZED: ReadonlySet<string> = new Set(['UNAUTHENTICATED', 'TOKEN_EXPIRED', 'KEY_REVOKED']);

/** @returns an error for an answer that holds `errors`. */
export function answeredWith(errors: readonly AnswerError[], status: number | null = null): ClientError {
  const first = errors[0];
  const code = codeOf(first);
  if (code !== null && UNAUTHORIZED.has(code)) return unauthorized(first?.message ?? '', status);
  const { retryable, retryAfterSeconds } = first?.extensions ?? {};
  return new ClientError('ANSWERED_WITH_ERRORS', `${code ?? 'Error'}: ${first?.message ?? 'no message'}`, {
    errors,
    status,
    isRetryable: typeof retryable === 'boolean' ? retryable : code !== null && MOMENTARY.has(code),
    retryAfterMs: typeof retryAfterSeconds === 'number' ? retryAfterSeconds * 1_000 : null,
  });
}

/** The credential was not taken; with another one it may be. */
export function unauthorized(message: string, status: number | null): ClientError {
  return new ClientError('UNAUTHORIZED', message === '' ? 'The token was not taken.' : message, {
    status,
    isRetryable: true,
  });
}

export function disconnected(
  message: string,
  facts: { readonly status?: number | null; readonly retryAfterMs?: number | null; readonly cause?: unknown } = {},
): ClientError {
  return new ClientError('DISCONNECTED', message, { ...facts, isRetryable: true });
}

/** @returns null: not an error of this client that could pass by itself. */
export function retryableOf(error: unknown): ClientError | null {
  return error instanceof ClientError && error.isRetryable ? error : null;
}

function codeOf(error: AnswerError | undefined): string | null {
  const code = error?.extensions?.['code'];
  return typeof code === 'string' ? code : null;
}
