/** Why the directory refuses: one class per kind of way out, each with stable codes and advice for whoever reads them. */
import { PermanentError, RetryableError } from '../env/errors.ts';

export type TokenRefusalCode = keyof typeof ADVICE;

/** The input or the state must change first; nothing was written. */
export class TokenRefusal extends PermanentError {
  /** Which part of the input; null: none of it. */
  readonly field: string | null;
  readonly advice: { readonly why: string; readonly fix: string };
  constructor(code: TokenRefusalCode, message: string, field: string | null = null) {
    super(code, message, { field });
    this.field = field;
    this.advice = ADVICE[code];
  }
}

/** The registry did not answer, or not in a form that can be read; nothing was written. Code TOKEN_REGISTRY_SILENT. */
export class TokenRegistrySilent extends RetryableError {
  readonly advice = {
    why: 'A token is taken with what its registry says of it, and that could not be had.',
    fix: 'Look at the URLs, and try again.',
  };
  constructor(why: string, options?: ErrorOptions) {
    super('TOKEN_REGISTRY_SILENT', `The registry gave no answer: ${why}`, {}, options);
  }
}

const ADVICE = {
  TOKEN_EXISTS: {
    why: 'The directory has one entry per instrument, with a history of its own.',
    fix: 'Change the policy or the registry of the entry that is there.',
  },
  TOKEN_UNKNOWN: {
    why: 'The directory has no entry for that instrument.',
    fix: 'Check network, admin and id, or add the token first.',
  },
  TOKEN_INPUT_INVALID: {
    why: 'A part of the input cannot be taken.',
    fix: 'Correct the field that is named.',
  },
  TOKEN_CHANGED_MEANWHILE: {
    why: 'Somebody else changed the entry after you read it.',
    fix: 'Read it again, and decide again.',
  },
  TOKEN_REGISTRY_OF_ANOTHER_ADMIN: {
    why: 'A registry speaks for one admin only. Its answers for another admin’s token would be worth nothing, or worse.',
    fix: 'Find the registry of this admin.',
  },
  TOKEN_UNKNOWN_TO_REGISTRY: {
    why: 'The registry does not know an instrument of that id.',
    fix: 'Compare the id, upper and lower case, with what the registry lists.',
  },
  TOKEN_NOT_READY: {
    why: 'What it takes to move this token safely is not there.',
    fix: 'See what is named, put it right, and enable it then.',
  },
} as const;
