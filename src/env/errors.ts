/**
 * The two roots that decide behaviour: what may be tried again, and what may not. Every error of ours extends one of them, has a stable
 * `code` and carries its facts as fields.
 */
import { storableText } from './storable-text.ts';

export type ErrorFacts = Readonly<Record<string, unknown>>;

abstract class SluiceError extends Error {
  abstract readonly retryable: boolean;
  readonly code: string;
  readonly facts: ErrorFacts;

  constructor(code: string, message: string, facts: ErrorFacts = {}, options?: ErrorOptions) {
    super(shownText(message), options);
    this.name = new.target.name;
    this.code = code;
    this.facts = facts;
  }
}

/** The same call may succeed later; nothing was half-done that a retry could double. */
export class RetryableError extends SluiceError {
  readonly retryable = true;
}

/** Trying again cannot help: the input, the configuration or the state must change first. */
export class PermanentError extends SluiceError {
  readonly retryable = false;
}

/** A broken invariant. Stops the work at hand; never caught to carry on. */
export class AssertionError extends PermanentError {
  constructor(message: string, facts: ErrorFacts = {}) {
    super('ASSERTION_FAILED', message, facts);
  }
}

/** @throws AssertionError when `condition` is false. Stays on in production. */
export function assert(condition: boolean, message: string, facts: ErrorFacts = {}): asserts condition {
  if (!condition) throw new AssertionError(message, facts);
}

/** For exhaustive switches: does not compile while a case is missing. */
export function unreachable(value: never, message = 'Unhandled case.'): never {
  throw new AssertionError(message, { value });
}

/** The text of anything that was thrown, for log fields, operator messages and columns: whatever others put into it, it can be stored, and is not long. */
export function messageOf(error: unknown): string {
  return shownText(error instanceof Error ? error.message : String(error));
}

const TEXT_MAX = 8_000; // Longer than all faults of a configuration together; a registry may answer a megabyte.

function shownText(text: string): string {
  return storableText(text.length > TEXT_MAX ? `${text.slice(0, TEXT_MAX)}…` : text);
}
