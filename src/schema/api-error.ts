/**
 * Errors that a client is meant to read: they pass the masking of unexpected ones (src/server/error-masking.ts). A mutation's expected
 * refusals are types of its result instead.
 */
import { GraphQLError } from 'graphql';
import { CursorError } from '../db/event-cursor.ts';
import { PermanentError } from '../env/errors.ts';
import { type ApiErrorCode, isApiErrorCode } from './error-catalog.ts';

export type { ApiErrorCode } from './error-catalog.ts';

/** @param facts stand beside the code; `http` among them sets the status. */
export function apiError(
  code: ApiErrorCode,
  message: string,
  facts: Readonly<Record<string, unknown>> = {},
): GraphQLError {
  return new GraphQLError(message, { extensions: { code, ...facts } });
}

/** @returns a cursor's refusal as clients see it, with the cursors to resume from; anything else as it is. */
export function cursorErrorOf(error: unknown): unknown {
  return error instanceof CursorError ? apiError(error.code, error.message, error.facts) : error;
}

/** Scalars and ids refuse with errors of their own modules; to the client those are errors of its input. */
export function inputErrorOf(error: unknown): unknown {
  if (!(error instanceof PermanentError) || !error.code.endsWith('_INVALID')) return error;
  return apiError(isApiErrorCode(error.code) ? error.code : 'BAD_USER_INPUT', error.message);
}
