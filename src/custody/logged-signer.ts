/**
 * What every signer of ours does around its key: the check, the hash, and the rules of `signing-rules.ts` by a log of what it signed. Where the log is kept, where the key is, and what else its owner
 * demands come in as arguments.
 *
 * A request is checked and noted in one go, without waiting in between: two that contradict each other cannot both pass, however close they come. Its signature is written down before it is given away,
 * so that what left is always known; what was written and did not leave is given to whoever asks again.
 */
import { createHash, type KeyObject, sign } from 'node:crypto';
import type { Micros } from '../env/clock.ts';
import { CustodyRefusal, demand } from './custody-refusal.ts';
import { inputsOf } from './intent.ts';
import { checkIntent } from './intent-check.ts';
import { PREPARATION_TOLERANCE_MICROS } from './intent-metadata.ts';
import { type Signer, SignerUnavailable, type SigningRequest, type TransferSignature } from './signer.ts';
import type { SigningKey } from './signing-key.ts';
import { demandSignable, type Payout, payoutOf, type SignedAttempt } from './signing-rules.ts';

/** A key that can be used, and not seen. */
export type KeyInUse = {
  readonly shown: SigningKey;
  /** @param hash 32 bytes. @returns 64 bytes for Ed25519, DER for ECDSA. @throws anything; nothing is known of a signature then. */
  sign(hash: Uint8Array): Promise<Uint8Array>;
};

/** One signature, with all that later requests are judged by. */
export type SignedRequest = {
  readonly requestId: string;
  /** What makes two requests the same. */
  readonly digest: string;
  readonly submissionId: string;
  readonly attempt: number;
  readonly payout: Payout;
  /** Contract ids, in the order signed. */
  readonly inputs: readonly string[];
  readonly maxRecordTime: Micros;
  /** By the signer's own clock. */
  readonly signedAt: Micros;
  /** Whether the guard counted it as money that may leave. */
  readonly isCounted: boolean;
  readonly signature: TransferSignature;
};

/** What the owner of the key demands beyond the contract: limits, and who may be paid what. Sees every request that would be signed, once, in the step that notes it. */
export type SigningGuard = {
  /**
   * @param isExclusive whether it shares an input with every attempt that was signed before for this submission, of which there is one at least: then at most one of them commits, and this one pays
   * nothing more. By the log alone: that an input was spent elsewhere is the service's word.
   * @returns whether it was counted.
   * @throws CustodyRefusal SIGNING_LIMIT, SIGNING_POLICY, INTENT_TIME; SignerUnavailable. Nothing is noted then.
   */
  admit(request: SigningRequest, isExclusive: boolean): boolean;
};

export type LoggedSigner = Signer & {
  /** From now on signs with `key`. What was signed before stays as it was. */
  rotate(key: KeyInUse): void;
};

export type LoggedSignerOptions = {
  readonly key: KeyInUse;
  /** In the order in which they were signed. */
  readonly past?: Iterable<SignedRequest>;
  /** Resolves when it is written down for good. Called in the order of signing. */
  readonly append: (signed: SignedRequest) => Promise<void>;
  readonly guard?: SigningGuard;
  /** The signer's own clock. */
  readonly nowMicros: () => Micros;
  readonly preparationToleranceMicros?: Micros;
  /** How long after its target a request and its submission are remembered. Null: for ever. Only for guards that refuse what is past its target, or what is forgotten could be signed anew. */
  readonly rememberedMicros?: Micros | null;
  /** Nothing in the log may be forgotten before its time, so a full one stops signing. */
  readonly requestsMax?: number;
};

const REQUESTS_MAX = 200_000; // Some kilobytes each.
const REQUESTS_PER_SWEEP = 1_000;
/** 96 KiB of what a log keeps of a request: a hundred inputs are 15 of it. A line that nobody can read again would be the end of the log, so no caller may have one written. */
const KEPT_BYTES_MAX = 96 * 1024;

type Noted = { readonly digest: string; readonly maxRecordTime: Micros; readonly answer: Promise<TransferSignature> };
type Submission = { readonly payout: Payout; readonly attempts: readonly SignedAttempt[] };

export function createLoggedSigner(options: LoggedSignerOptions): LoggedSigner {
  const { append, guard, nowMicros, past = [], requestsMax = REQUESTS_MAX, rememberedMicros = null } = options;
  const toleranceMicros = options.preparationToleranceMicros ?? PREPARATION_TOLERANCE_MICROS;
  let { key } = options;
  const requests = new Map<string, Noted>();
  const submissions = new Map<string, Submission>();
  /** Submissions that the guard counted for a signature that was not made after all: the next one of them is the one that counts, in the log as well. */
  const countedInVain = new Set<string>();
  let sinceSweep = 0;

  for (const signed of past) {
    const { requestId, digest, maxRecordTime, signature } = signed;
    requests.set(requestId, { digest, maxRecordTime, answer: Promise.resolve(signature) });
    submissions.set(signed.submissionId, withAttempt(submissions.get(signed.submissionId), signed));
  }
  sweep();

  return {
    currentKey: async (signal) => {
      demandTime(signal);
      return key.shown;
    },
    rotate: (next) => {
      key = next;
    },
    sign: async (request, signal) => {
      demandTime(signal);
      demandWhole(request);
      const digest = digestOf(request);
      const noted = requests.get(request.requestId);
      if (noted !== undefined) {
        demand(noted.digest === digest, 'SIGNING_REQUEST_REUSED', 'Another request under the same id.', 'requestId');
        return await noted.answer;
      }
      sinceSweep += 1;
      if (sinceSweep >= REQUESTS_PER_SWEEP || requests.size >= requestsMax) sweep();
      if (requests.size >= requestsMax) {
        throw new SignerUnavailable('SIGNER_UNAVAILABLE', 'The log is full.', { requests: requests.size });
      }
      const { intent, prepared, recordTime, submissionId, attempt } = request;
      const { hash } = checkIntent(intent, prepared, { recordTime, toleranceMicros });
      demandKeepable(request);
      const submission = submissions.get(submissionId);
      demandSignable(request, submission);
      const isAdmittedAndCounted = guard?.admit(request, isExclusive(submission, inputsOf(intent))) ?? false;
      const isCounted = countedInVain.delete(submissionId) || isAdmittedAndCounted;

      // Noted before it is made, and in one go with the check: two requests at once cannot both pass it.
      const noticed = {
        attempt,
        inputs: inputsOf(intent),
        maxRecordTime: intent.maxRecordTime,
        payout: payoutOf(intent),
      };
      submissions.set(submissionId, withAttempt(submission, noticed));
      const { requestId } = request;
      const answer = makeSignature(key, hash).then(async (signature) => {
        await append({ requestId, digest, submissionId, ...noticed, signedAt: nowMicros(), isCounted, signature });
        return signature;
      });
      requests.set(requestId, { digest, maxRecordTime: intent.maxRecordTime, answer });
      try {
        return await answer;
      } catch (error) {
        requests.delete(requestId); // So that it can be asked again. The attempt stays: it was asked for.
        if (isCounted) countedInVain.add(submissionId);
        throw error;
      }
    },
  };

  function sweep(): void {
    sinceSweep = 0;
    if (rememberedMicros === null) return;
    const before = nowMicros() - rememberedMicros;
    for (const [id, { maxRecordTime }] of requests) if (maxRecordTime < before) requests.delete(id);
    for (const [id, { attempts }] of submissions) {
      if (!attempts.every(({ maxRecordTime }) => maxRecordTime < before)) continue;
      submissions.delete(id);
      countedInVain.delete(id);
    }
  }
}

/** A private key in this process. Signatures are made on the thread pool. */
export function keyInProcess(shown: SigningKey, privateKey: KeyObject): KeyInUse {
  const digest = { ED25519: null, EC_DSA_SHA_256: 'sha256', EC_DSA_SHA_384: 'sha384' }[shown.algorithm];
  return {
    shown,
    sign: (hash) =>
      new Promise((resolve, reject) => {
        sign(digest, hash, { key: privateKey, dsaEncoding: 'der' }, (error, signature) => {
          if (error === null) resolve(new Uint8Array(signature));
          else reject(error);
        });
      }),
  };
}

async function makeSignature({ shown, sign: make }: KeyInUse, hash: Uint8Array): Promise<TransferSignature> {
  try {
    const { algorithm, fingerprint: signedBy } = shown;
    const format = algorithm === 'ED25519' ? 'CONCAT' : 'DER';
    return { format, algorithm, signedBy, signature: await make(hash), hash };
  } catch (cause) {
    throw new SignerUnavailable('SIGNER_UNAVAILABLE', 'Signing failed.', {}, { cause });
  }
}

function isExclusive(submission: Submission | undefined, inputs: readonly string[]): boolean {
  if (submission === undefined) return false;
  return submission.attempts.every((signed) => signed.inputs.some((contractId) => inputs.includes(contractId)));
}

function withAttempt(
  submission: Submission | undefined,
  { attempt, inputs, maxRecordTime, payout }: SignedAttempt & { readonly payout: Payout },
): Submission {
  const signed = { attempt, inputs, maxRecordTime };
  if (submission === undefined) return { payout, attempts: [signed] };
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

function demandKeepable({ requestId, submissionId, intent }: SigningRequest): void {
  const kept = JSON.stringify({ requestId, submissionId, inputs: inputsOf(intent), payout: payoutOf(intent) }, printed);
  const isKeepable = Buffer.byteLength(kept) <= KEPT_BYTES_MAX;
  demand(isKeepable, 'SIGNING_REQUEST_INVALID', 'More than can be kept of a request.', 'intent.meta');
}

/** What makes two requests the same: what is signed, for which submission and attempt. Not what was known when it was asked, nor the order of fields. */
function digestOf({ submissionId, attempt, intent, prepared }: SigningRequest): string {
  const { preparedTransaction, scheme } = prepared;
  return createHash('sha256')
    .update(JSON.stringify({ submissionId, attempt, scheme, intent }, printed))
    .update(preparedTransaction)
    .digest('hex');
}

function printed(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return `${value}n`;
  if (value instanceof Map) return [...value].sort(([left], [right]) => (left < right ? -1 : 1));
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([left], [right]) => (left < right ? -1 : 1)));
}

function demandTime(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw new SignerUnavailable('SIGNER_UNAVAILABLE', 'Asked to stop.');
}
