/**
 * The one way to a signature. A signer gets the whole story, the intent and the prepared bytes, checks it itself and hashes it itself; there is
 * no way to have a hash signed. So neither the service nor who breaks into it can turn a signer into an oracle.
 *
 * The contract, which `src/signer/kit/signer-kit.ts` demands of every implementation:
 *
 * - A request id stands for one request. The same request again, at any time and after any lost answer or key rotation, gets the same
 *   signature; another request under the same id is refused with SIGNING_REQUEST_REUSED. A refused request leaves nothing behind.
 * - Within an attempt all tries agree on inputs and target: then the ledger lets at most one of them commit. Otherwise
 *   SIGNING_ATTEMPT_CHANGED.
 * - All attempts of a submission pay the same, or end the same offer in the same way. Otherwise SIGNING_SUBMISSION_CHANGED.
 * - A new attempt keeps at least one input of every earlier attempt, unless one of that attempt's inputs was seen spent elsewhere: so two
 *   attempts can never both commit, even where the proof that the first is dead was wrong. Otherwise SIGNING_INPUT_NOT_KEPT. A signer goes by
 *   its own log and by what the request says of earlier attempts, both: its log may be younger than the submission.
 * - What `checkIntent` refuses is refused with its code. A refusal is a CustodyRefusal and final for this request.
 * - What the owner of the key does not want is refused with SIGNING_LIMIT or SIGNING_POLICY, and only when no signature of this request was made or will be.
 * - Being unavailable, slow or waiting for people is a {@link SignerUnavailable}: the same request may be sent again. Whether it was signed is
 *   then unknown, so an attempt counts as signed from the moment it was asked for.
 */
import type { Micros } from '../env/clock.ts';
import { type ErrorFacts, RetryableError } from '../env/errors.ts';
import type { Intent } from './intent.ts';
import type { PreparedTransfer } from './intent-check.ts';
import type { SigningAlgorithm, SigningKey } from './signing-key.ts';

export type EarlierAttempt = {
  readonly attempt: number;
  /** Contract ids of its inputs. */
  readonly inputs: readonly string[];
};

/** So many of them at most are told of: a signer that is away for a day is asked for one attempt after the other, and for the same inputs most of the time. */
export const EARLIER_ATTEMPTS_MAX = 1_000;

export type SigningRequest = {
  /** One per try; chosen and stored by the caller before it asks. */
  readonly requestId: string;
  readonly submissionId: string;
  /** From 1. */
  readonly attempt: number;
  /** Attempts before this one for which a signature was ever asked: of those with the same inputs one, and of all that differ the newest. */
  readonly earlierAttempts: readonly EarlierAttempt[];
  /** Contract ids seen archived by a transaction that is none of this submission's, of all attempts before this one. */
  readonly inputsSpentElsewhere: readonly string[];
  readonly intent: Intent;
  readonly prepared: PreparedTransfer;
  /** The last record time that ingestion has seen on the intent's synchronizer. */
  readonly recordTime: Micros;
};

export type TransferSignature = {
  /** CONCAT: 64 bytes of RFC 8032, for Ed25519. DER: for ECDSA. */
  readonly format: 'CONCAT' | 'DER';
  readonly algorithm: SigningAlgorithm;
  /** Fingerprint of the key. */
  readonly signedBy: string;
  readonly signature: Uint8Array;
  /** What was signed, 32 bytes; the caller computes it again and compares. */
  readonly hash: Uint8Array;
};

export type Signer = {
  /** The key that new signatures are made with. @throws SignerUnavailable. */
  currentKey(signal?: AbortSignal): Promise<SigningKey>;
  /** @throws CustodyRefusal final; SignerUnavailable: ask again with the same request. */
  sign(request: SigningRequest, signal?: AbortSignal): Promise<TransferSignature>;
};

/** No answer now. Nothing is known about whether a signature exists. */
export class SignerUnavailable extends RetryableError {
  constructor(
    code: 'SIGNER_UNAVAILABLE' | 'SIGNATURE_PENDING',
    message: string,
    facts?: ErrorFacts,
    options?: ErrorOptions,
  ) {
    super(code, message, facts, options);
  }
}
