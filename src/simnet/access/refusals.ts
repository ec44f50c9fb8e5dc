/** Refusals of whoever may not, or is not known; redacted, as a node tells nothing about others to somebody it does not know. */
import { cantonError } from '../ledger/canton-error.ts';

export function unauthenticated(): Error {
  return cantonError({
    code: 'UNAUTHENTICATED',
    category: 'unauthenticated',
    text: 'The command is missing a (valid) JWT token',
  });
}

export function permissionDenied(): Error {
  return cantonError({
    code: 'PERMISSION_DENIED',
    category: 'permissionDenied',
    text: 'The provided authorization token is not sufficient to authorize the intended command.',
  });
}

export function userNeeded(): Error {
  return cantonError({
    code: 'INVALID_ARGUMENT',
    category: 'invalidRequest',
    text: 'The submitted request has invalid arguments: requests with an empty user-id require an authenticated user',
  });
}

export function noSuchUser(id: string): Error {
  return cantonError({
    code: 'USER_NOT_FOUND',
    category: 'resourceMissing',
    text: `getting user failed for unknown user "${id}"`,
    resources: [{ type: 'USER', name: id }],
  });
}
