/**
 * A signer with its key in this process: for development and tests, never for a treasury with money in it.
 *
 * Its log is in memory and so as young as the process; that is why requests carry the earlier attempts along. The key is imported once, and
 * signatures are made on the thread pool.
 */
import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign } from 'node:crypto';
import type { Micros } from '../env/clock.ts';
import { CustodyRefusal, demand } from './custody-refusal.ts';
import { inputsOf } from './intent.ts';
import { type CheckedTransfer, checkIntent } from './intent-check.ts';
import { PREPARATION_TOLERANCE_MICROS } from './intent-metadata.ts';
import { type Signer, SignerUnavailable, type SigningRequest, type TransferSignature } from './signer.ts';
import { type SigningKey, signingKeyOf } from './signing-key.ts';
import { demandSignable, type Payout, payoutOf, type SignedAttempt } from './signing-rules.ts';

export type LocalSigner = Signer & {
  /** From now on signs with `key`. What was signed before stays as it was. */
  rotate(key: KeyObject): void;
};

/** Some 300 bytes each. Nothing in the log may be forgotten, so a full one stops signing. */
const LOGGED_REQUESTS_MAX = 200_000;
/** DER of a PKCS #8 Ed25519 key up to the seed (RFC 8410). */
const ED25519_PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');
const SEED_BYTES = 32;

type Logged = { readonly digest: string; readonly answer: Promise<TransferSignature> };
type Submission = { readonly payout: Payout; readonly attempts: SignedAttempt[] };

/** @param seed 32 bytes. @throws CustodyRefusal SIGNING_REQUEST_INVALID for another length. */
export function ed25519PrivateKey(seed: Uint8Array): KeyObject {
  demand(seed.length === SEED_BYTES, 'SIGNING_REQUEST_INVALID', 'Not an Ed25519 seed.', 'seed');
  return createPrivateKey({ key: Buffer.concat([ED25519_PKCS8_PREFIX, seed]), format: 'der', type: 'pkcs8' });
}

/**
 * @param privateKey Ed25519.
 * @param preparationToleranceMicros how old a preparation may be when it is signed.
 */
export function createLocalSigner({
  privateKey,
  preparationToleranceMicros = PREPARATION_TOLERANCE_MICROS,
}: {
  readonly privateKey: KeyObject;
  readonly preparationToleranceMicros?: Micros;
}): LocalSigner {
  let key = ownKeyOf(privateKey);
  const requests = new Map<string, Logged>();
  const submissions = new Map<string, Submission>();

  return {
    currentKey: async (signal) => {
      demandTime(signal);
      return key.shown;
    },
    rotate: (next) => {
      key = ownKeyOf(next);
    },
    sign: async (request, signal) => {
      demandTime(signal);
      demandWhole(request);
      const digest = digestOf(request);
      const logged = requests.get(request.requestId);
      if (logged !== undefined) {
        demand(logged.digest === digest, 'SIGNING_REQUEST_REUSED', 'Another request under the same id.', 'requestId');
        return await logged.answer;
      }
      if (requests.size >= LOGGED_REQUESTS_MAX) {
        throw new SignerUnavailable('SIGNER_UNAVAILABLE', 'The log is full.', { requests: requests.size });
      }
      const window = { recordTime: request.recordTime, toleranceMicros: preparationToleranceMicros };
      const checked = checkIntent(request.intent, request.prepared, window);
      const submission = submissions.get(request.submissionId);
      demandSignable(request, submission);

      // Noted before it is made, and in one go with the check: two requests at once cannot both pass it.
      submissions.set(request.submissionId, withAttempt(submission, request));
      const answer = signWith(key, checked);
      requests.set(request.requestId, { digest, answer });
      try {
        return await answer;
      } catch (error) {
        requests.delete(request.requestId); // So that it can be asked again. The attempt stays: it was asked for.
        throw error;
      }
    },
  };
}

type OwnKey = { readonly privateKey: KeyObject; readonly shown: SigningKey };

function ownKeyOf(privateKey: KeyObject): OwnKey {
  const shown = signingKeyOf(createPublicKey(privateKey));
  const isEd25519 = shown.algorithm === 'ED25519';
  demand(isEd25519, 'SIGNING_REQUEST_INVALID', 'The local signer has Ed25519 keys only.', 'privateKey');
  return { privateKey, shown };
}

function signWith({ privateKey, shown }: OwnKey, { hash }: CheckedTransfer): Promise<TransferSignature> {
  return new Promise((resolve, reject) => {
    sign(null, hash, privateKey, (error, signature) => {
      if (error !== null) reject(new SignerUnavailable('SIGNER_UNAVAILABLE', 'Signing failed.', {}, { cause: error }));
      else {
        const { algorithm, fingerprint: signedBy } = shown;
        resolve({ format: 'CONCAT', algorithm, signedBy, signature: new Uint8Array(signature), hash });
      }
    });
  });
}

function withAttempt(submission: Submission | undefined, { attempt, intent }: SigningRequest): Submission {
  const signed = {
    attempt,
    inputs: inputsOf(intent),
    maxRecordTime: intent.maxRecordTime,
  };
  if (submission === undefined) return { payout: payoutOf(intent), attempts: [signed] };
  const isKnown = submission.attempts.some((entry) => entry.attempt === attempt);
  return isKnown ? submission : { ...submission, attempts: [...submission.attempts, signed] };
}

/** Requests may come from outside the type system; one without its story is the bare hash that is never signed. */
function demandWhole(request: Partial<SigningRequest>): void {
  const { requestId, submissionId, attempt, intent, prepared, recordTime } = request;
  const isWhole =
    typeof requestId === 'string' &&
    requestId !== '' &&
    typeof submissionId === 'string' &&
    submissionId !== '' &&
    Number.isSafeInteger(attempt) &&
    (attempt ?? 0) >= 1 &&
    typeof intent === 'object' &&
    prepared?.preparedTransaction instanceof Uint8Array &&
    prepared.nodeHash instanceof Uint8Array &&
    Array.isArray(request.earlierAttempts) &&
    Array.isArray(request.inputsSpentElsewhere) &&
    typeof recordTime === 'bigint';
  if (!isWhole) throw new CustodyRefusal('SIGNING_REQUEST_INVALID', 'Intent and transaction are needed.', 'request');
}

/** What makes two requests the same: what is signed, for which submission and attempt. Not what was known when it was asked. */
function digestOf({ submissionId, attempt, intent, prepared }: SigningRequest): string {
  const { preparedTransaction, scheme } = prepared;
  return createHash('sha256')
    .update(JSON.stringify({ submissionId, attempt, scheme, intent }, printed))
    .update(preparedTransaction)
    .digest('hex');
}

function printed(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return `${value}n`;
  return value instanceof Map ? [...value] : value;
}

function demandTime(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw new SignerUnavailable('SIGNER_UNAVAILABLE', 'Asked to stop.');
}
