/**
 * What clients see of an error: errors made for them as they are, a database that is away as 503 with the time to wait, anything else as
 * one sentence and an id that the log has too.
 */
import { GraphQLError, type GraphQLFormattedError } from 'graphql';
import { CancelledError } from '../db/cancellation.ts';
import { messageOf, PermanentError, RetryableError } from '../env/errors.ts';
import type { Logger } from '../env/logger.ts';
import type { Random } from '../env/random.ts';
import { apiError } from '../schema/api-error.ts';
import { API_ERRORS, type ApiErrorCode } from '../schema/error-catalog.ts';

/** 2 s: a database that fails over is back after a few of these. */
export const RETRY_AFTER_SECONDS = 2;

export type ErrorMasking = {
  /** Logs what it hides. @param codeless of an error of graphql-js about the request as a whole, which has no code of its own. Default `BAD_USER_INPUT`. */
  mask(error: unknown, codeless?: ApiErrorCode): GraphQLError;
  /** As {@link mask}, ready for a message outside HTTP: without what only HTTP responses use. */
  format(error: unknown): GraphQLFormattedError;
};

export type ErrorMaskingOptions = {
  readonly logger: Logger;
  readonly random: Random;
  /** Whether a misspelt name is answered with the names it may have meant, which tells names to whoever guesses. */
  readonly isSuggesting: boolean;
};

export function createErrorMasking({ logger, random, isSuggesting }: ErrorMaskingOptions): ErrorMasking {
  const shown = (error: GraphQLError): GraphQLError => (isSuggesting ? error : withoutSuggestion(error));

  function mask(error: unknown, codeless: ApiErrorCode = 'BAD_USER_INPUT'): GraphQLError {
    const original = originalOf(error);
    if (original instanceof GraphQLError) {
      const told = error instanceof GraphQLError ? error : original;
      if (told.extensions['code'] !== undefined) return shown(told);
      if (isOfTheRequest(told)) return shown(withCode(told, codeOfRequestError(told, codeless)));
    }
    if (original instanceof CancelledError) return apiError('DEADLINE_EXCEEDED', 'It took too long.');

    const place = error instanceof GraphQLError ? { nodes: error.nodes ?? null, path: error.path ?? null } : {};
    if (isUnavailable(original)) {
      logger.warn('The database could not answer an operation.', { code: original.code, path: place.path });
      return new GraphQLError('The service cannot answer right now; nothing was changed that you were not told of.', {
        ...place,
        extensions: {
          code: 'UNAVAILABLE' satisfies ApiErrorCode,
          retryAfterSeconds: RETRY_AFTER_SECONDS,
          http: { status: 503, headers: { 'retry-after': String(RETRY_AFTER_SECONDS) } },
        },
      });
    }
    if (original instanceof PermanentError && original.code === 'DB_DENIED') {
      logger.error('Our role in the database may not do what an operation asks for: `sluice doctor`.', {
        path: place.path,
        error: messageOf(original),
      });
      const { message } = API_ERRORS.RIGHTS_MISSING;
      return new GraphQLError(message, { ...place, extensions: { code: 'RIGHTS_MISSING' satisfies ApiErrorCode } });
    }
    const errorId = random.uuid();
    logger.error('An operation failed unexpectedly.', {
      errorId,
      path: place.path,
      error: messageOf(original),
      code: codeOf(original),
      stack: original instanceof Error ? original.stack : undefined,
    });
    return new GraphQLError('Unexpected error.', {
      ...place,
      extensions: { code: 'INTERNAL_SERVER_ERROR' satisfies ApiErrorCode, errorId, unexpected: true },
    });
  }

  return {
    mask,
    format: (error) => {
      const { extensions, ...rest } = mask(error).toJSON();
      if (extensions === undefined) return rest;
      const { http: _http, unexpected: _unexpected, ...shown } = extensions;
      return Object.keys(shown).length === 0 ? rest : { ...rest, extensions: shown };
    },
  };
}

/** How graphql-js begins the names that it ends a message with, before a question mark (its `didYouMean`). */
const SUGGESTION = ' Did you mean ';

/** By no pattern that goes back and forth: the message has words of the client’s in it, as many as it likes. */
function withoutSuggestion(error: GraphQLError): GraphQLError {
  const start = error.message.lastIndexOf(SUGGESTION);
  if (start < 0 || !error.message.endsWith('?')) return error;
  return anew(error, error.message.slice(0, start), error.extensions);
}

/**
 * Whether graphql-js says it of what was asked: of the document or its variables, or of an argument, which it notices when it comes to the field.
 * Whatever else has a path and no code is about an answer that does not fit the schema: its words are ours, with values of ours in them.
 */
function isOfTheRequest({ path, message }: GraphQLError): boolean {
  return path === undefined || message.startsWith('Argument "');
}

function codeOfRequestError({ message }: GraphQLError, codeless: ApiErrorCode): ApiErrorCode {
  return message.startsWith('Syntax Error') ? 'GRAPHQL_PARSE_FAILED' : codeless;
}

function withCode(error: GraphQLError, code: ApiErrorCode): GraphQLError {
  return anew(error, error.message, { ...error.extensions, code });
}

function anew(error: GraphQLError, message: string, extensions: GraphQLError['extensions']): GraphQLError {
  const { nodes, source, positions, path, originalError } = error;
  return new GraphQLError(message, {
    nodes: nodes ?? null,
    source: source ?? null,
    positions: positions ?? null,
    path: path ?? null,
    originalError: originalError ?? null,
    extensions,
  });
}

/** GraphQL wraps what a resolver throws, more than once where executors are nested. */
function originalOf(error: unknown): unknown {
  let current = error;
  while (current instanceof GraphQLError && current.originalError != null) current = current.originalError;
  return current;
}

/** Errors of the database that the next attempt may not meet (src/db/errors.ts). */
function isUnavailable(error: unknown): error is RetryableError {
  return error instanceof RetryableError && error.code.startsWith('DB_');
}

function codeOf(error: unknown): unknown {
  return typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
}
