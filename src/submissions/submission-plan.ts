/** What a try of an attempt exercises: the other half of what differs from one kind of submission to the next. */
import type { Intent } from '../custody/intent.ts';
import type { RetryableError } from '../env/errors.ts';
import type { DisclosedContract } from '../gen/com/daml/ledger/api/v2/commands.ts';
import type { Identifier, Value } from '../gen/com/daml/ledger/api/v2/value.ts';
import type { OpenAttempt } from './attempts.ts';
import type { Failure } from './submission-purpose.ts';

/** The one command of a try, and what it means. */
export type Exercise = {
  readonly kind: 'EXERCISE';
  readonly intent: Intent;
  readonly contractId: string;
  /** The interface the choice belongs to. */
  readonly interfaceId: Identifier;
  readonly choice: string;
  readonly argument: Value;
  readonly disclosedContracts: readonly DisclosedContract[];
};

export type Plan =
  | Exercise
  /** It cannot be done as things are: the attempt is given up where nothing was signed; else `later` is noted and it waits for its end. */
  | { readonly kind: 'CANNOT'; readonly failure: Failure; readonly later: RetryableError };

/** Asks whoever must be asked what to exercise for `attempt`. @throws what they threw; the ledger is untouched. */
export type Planner = (attempt: OpenAttempt) => Promise<Plan>;
