/**
 * What a signer may still sign of a submission, given what it signed before. Pure; the log around it belongs to each signer.
 *
 * Two attempts that share an input cannot both commit: the ledger spends a contract once. So from one attempt to the next an input must stay,
 * and then a double payout needs more than a wrong belief about the first attempt.
 */
import type { Micros } from '../env/clock.ts';
import type { Amount } from '../tokens/amount.ts';
import type { Instrument } from '../tokens/transfer-record.ts';
import { demand } from './custody-refusal.ts';
import { type Intent, inputsOf } from './intent.ts';
import type { SigningRequest } from './signer.ts';

/** What all attempts of a submission have in common. */
export type Payout = Pick<Intent, 'sender' | 'receiver' | 'amount' | 'kind' | 'meta' | 'synchronizerId'> & {
  readonly instrument: Instrument;
  readonly amount: Amount;
};

/** What all tries of an attempt have in common. */
export type SignedAttempt = {
  readonly attempt: number;
  /** Contract ids, in the order signed. */
  readonly inputs: readonly string[];
  readonly maxRecordTime: Micros;
};

/** @param signed attempts of the same submission in the signer's log. @throws CustodyRefusal SIGNING_…. */
export function demandSignable(
  request: SigningRequest,
  logged: { readonly payout: Payout; readonly attempts: readonly SignedAttempt[] } | undefined,
): void {
  const { intent, attempt, earlierAttempts, inputsSpentElsewhere } = request;
  const inputs = inputsOf(intent);

  if (logged !== undefined) {
    const isSame = isSamePayout(logged.payout, intent);
    demand(isSame, 'SIGNING_SUBMISSION_CHANGED', 'Another payout under the same submission.', 'intent');
    const same = logged.attempts.find((signed) => signed.attempt === attempt);
    const isSameTarget = same === undefined || same.maxRecordTime === intent.maxRecordTime;
    demand(isSameTarget, 'SIGNING_ATTEMPT_CHANGED', 'Another try with another target.', 'intent.maxRecordTime');
  }

  const kept = new Set(inputs);
  const spent = new Set(inputsSpentElsewhere);
  for (const earlier of [...(logged?.attempts ?? []), ...earlierAttempts]) {
    demand(earlier.attempt <= attempt, 'SIGNING_ATTEMPT_CHANGED', 'An attempt after a later one.', 'attempt');
    if (earlier.attempt === attempt) {
      const isUnchanged = isSameList(earlier.inputs, inputs);
      demand(isUnchanged, 'SIGNING_ATTEMPT_CHANGED', 'Another try with other inputs.', 'intent.inputs');
      continue;
    }
    // All inputs of an attempt are spent together or not at all: with one gone elsewhere, it can never commit.
    const isHarmless = earlier.inputs.some((contractId) => kept.has(contractId) || spent.has(contractId));
    demand(isHarmless, 'SIGNING_INPUT_NOT_KEPT', 'No input of an earlier attempt is kept.', 'intent.inputs', {
      earlierAttempt: earlier.attempt,
    });
  }
}

export function payoutOf({ sender, receiver, amount, kind, meta, synchronizerId, instrument }: Intent): Payout {
  return { sender, receiver, amount, kind, meta: new Map(meta), synchronizerId, instrument };
}

function isSamePayout(left: Payout, right: Payout): boolean {
  return (
    left.sender === right.sender &&
    left.receiver === right.receiver &&
    left.amount === right.amount &&
    wayOf(left.kind) === wayOf(right.kind) &&
    left.synchronizerId === right.synchronizerId &&
    left.instrument.admin === right.instrument.admin &&
    left.instrument.id === right.instrument.id &&
    left.meta.size === right.meta.size &&
    [...left.meta].every(([key, value]) => right.meta.get(key) === value)
  );
}

/** Whether a receiver is paid at once or has to accept is the registry's to say, and may change from one try to the next. Either spends the same inputs, so one of them commits at most. */
function wayOf(kind: Payout['kind']): 'TRANSFER' | Payout['kind'] {
  return kind === 'DIRECT' || kind === 'OFFER' ? 'TRANSFER' : kind;
}

function isSameList(left: readonly string[], right: readonly string[]): boolean {
  return left.length === right.length && left.every((item, index) => item === right[index]);
}
