/**
 * What a submission is for. Everything that happens to attempts is the same for all of them; this is what differs: whom an attempt serves, and what follows for him when it is dead. What
 * a try of it exercises is in `submission-plan.ts`.
 */
import type { RawBuilder } from 'kysely';
import type { Transaction } from '../db/connection.ts';
import type { Micros } from '../env/clock.ts';

export type Purpose = {
  readonly name: 'WITHDRAWAL' | 'OFFER_WITHDRAW' | 'OFFER' | 'SELF_TRANSFER';
  /** What the failpoints of its steps are called after. */
  readonly failpoints: 'withdrawals' | 'returns' | 'offers' | 'selfTransfers';
  /** Whom a submission `s` serves: his id. */
  readonly subject: RawBuilder<string>;
  /**
   * Over a submission `s`: whether a signature may be asked for at this moment, as far as it depends on whom it serves. Asked in the statement that writes down that one is; so it is one condition over
   * what is committed, and whatever makes it false is heeded by every process. What it forbids, nothing that opens attempts may allow, or they would be opened and released for ever.
   */
  readonly mayBeSigned: RawBuilder<boolean>;
  /** True where somebody loses by an attempt that is wrongly taken for dead: then the participant has to show, beside the proof, that an input of it is still there. */
  readonly needsWitness?: boolean;
  /** The inputs of an attempt `t` of a submission `s`, as a JSON list of `{"contractId", "amount"}` in the order of the contract ids. */
  readonly inputs: RawBuilder<unknown>;
  /** Locks those served, in the order of their ids, before any of their attempts. Those that somebody else works on are left out. */
  lockSubjects(tx: Transaction, ids: readonly string[]): Promise<string[]>;
  /** Writes what follows for the one served, whose row is locked. */
  attemptDead(tx: Transaction, subjectId: string, dead: DeadAttempt, nowMicros: Micros): Promise<void>;
};

export type DeadAttempt =
  /** The ledger passed its target without it. */
  | {
      readonly kind: 'LAPSED';
      readonly number: number;
      readonly isLast: boolean;
      /** Whether `execute` was ever called, as far as we know. */
      readonly isTried: boolean;
      readonly lapsedBy: Micros;
      readonly target: Micros;
      readonly lastError: string | null;
    }
  /** No signature was ever asked for, or none was made: the signer refused each time (`signature-refusal.ts`). */
  | { readonly kind: 'GIVEN_UP'; readonly failure: Failure };

export type Failure = {
  readonly code: string;
  readonly detail: string;
  /** Whether it lies with a service that is away rather than with what was to be done. */
  readonly isPassing?: boolean;
  /** Nothing failed: it may not go on at this moment, and waits without keeping anything from others. */
  readonly isReleased?: boolean;
};
