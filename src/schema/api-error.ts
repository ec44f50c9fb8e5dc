/**
 * Errors that a client is meant to read: they pass the masking of unexpected ones (src/server/error-masking.ts). A mutation's expected
 * refusals are types of its result instead.
 */
import { GraphQLError } from 'graphql';
import { CursorError } from '../db/event-cursor.ts';
import { PermanentError } from '../env/errors.ts';

export type ApiErrorCode =
  | 'CURSOR_INVALID'
  | 'CURSOR_FROM_ANOTHER_LOG'
  | 'CURSOR_AHEAD'
  | 'AS_OF_NOT_KNOWN'
  | 'FILTER_INVALID'
  | 'FORBIDDEN'
  | 'ID_INVALID'
  | 'NOT_CAUGHT_UP'
  | 'PAGE_ARGUMENTS_INVALID'
  | 'PAGE_CURSOR_INVALID'
  | 'WITHDRAWALS_OFF'
  | 'WITHDRAWAL_NOT_NAMED'
  | 'WITHDRAWAL_UNKNOWN';

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
  return error instanceof PermanentError && error.code.endsWith('_INVALID')
    ? new GraphQLError(error.message, { extensions: { code: error.code } })
    : error;
}
