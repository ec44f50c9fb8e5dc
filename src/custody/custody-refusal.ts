/** Why custody refuses to sign: one code per reason, with the node or field at which it was found. A refusal is final for these bytes. */
import { type ErrorFacts, PermanentError } from '../env/errors.ts';

/** Stable: runbooks, tests and the API refer to them. */
export const REFUSAL_CODES = [
  // The bytes cannot be read without doubt.
  'PREPARED_TOO_LARGE',
  'PREPARED_NOT_DECODABLE',
  'PREPARED_NOT_CANONICAL',
  'PREPARED_UNKNOWN_FIELD',
  // They cannot be hashed.
  'HASH_SCHEME_UNSUPPORTED',
  'HASH_NODE_UNSUPPORTED',
  'HASH_NODE_MISSING',
  'HASH_NODE_DUPLICATE',
  'HASH_NODE_CYCLE',
  'HASH_TOO_DEEP',
  'HASH_SEED_MISSING',
  'HASH_SEED_INVALID',
  'HASH_FIELD_MISSING',
  'HASH_FIELD_NOT_COVERED',
  'HASH_LF_VERSION_UNSUPPORTED',
  'HASH_CONTRACT_ID_INVALID',
  'HASH_DIFFERS_FROM_NODE',
  // They are no well-formed transaction.
  'TREE_ROOT_COUNT',
  'TREE_MALFORMED',
  'TREE_NODE_UNREACHABLE',
  'TREE_NODE_NOT_ALLOWED',
  'TREE_CONTRACT_UNKNOWN',
  'TREE_CONTRACT_INCONSISTENT',
  'TREE_UNSIGNED_CONTENT',
  // They are not what was meant.
  'INTENT_INVALID',
  'INTENT_ROOT',
  'INTENT_ARGUMENT',
  'INTENT_RESULT',
  'INTENT_AUTHORITY',
  'INTENT_CHOICE_NOT_ALLOWED',
  'INTENT_CREATE_NOT_ALLOWED',
  'INTENT_NESTED_ARGUMENT',
  'INTENT_INPUTS',
  'INTENT_HOLDINGS',
  'INTENT_OFFER',
  'INTENT_METADATA',
  'INTENT_SYNCHRONIZER',
  'INTENT_TIME',
  // The request to sign does not fit what was signed before.
  'SIGNING_REQUEST_INVALID',
  'SIGNING_REQUEST_REUSED',
  'SIGNING_ATTEMPT_CHANGED',
  'SIGNING_SUBMISSION_CHANGED',
  'SIGNING_INPUT_NOT_KEPT',
  // The owner of the key does not want it, whatever the service was told.
  'SIGNING_LIMIT',
  'SIGNING_POLICY',
  // The signature is not what was asked for.
  'SIGNATURE_INVALID',
] as const;

export type RefusalCode = (typeof REFUSAL_CODES)[number];

export class CustodyRefusal extends PermanentError {
  /** Where it was found: `node 4 chosenValue.amount`, `metadata.commandId`. */
  readonly at: string;

  constructor(code: RefusalCode, message: string, at: string, facts: ErrorFacts = {}, options?: ErrorOptions) {
    super(code, `${message} (${at})`, { ...facts, at }, options);
    this.at = at;
  }
}

/** @throws CustodyRefusal unless `condition` holds. */
export function demand(
  condition: boolean,
  code: RefusalCode,
  message: string,
  at: string,
  facts?: ErrorFacts,
): asserts condition {
  if (!condition) throw new CustodyRefusal(code, message, at, facts);
}

/** @returns `value`. @throws CustodyRefusal when it is missing. */
export function present<T>(value: T | undefined, code: RefusalCode, at: string): T {
  if (value === undefined) throw new CustodyRefusal(code, 'A field is missing.', at);
  return value;
}
