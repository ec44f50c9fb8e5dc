/**
 * A signer in another process, as the service sees it. There is no other way to a signature than this one: while the signer is away, nothing is signed.
 *
 * What it answers is not believed: a signature counts only when it is over the hash that was computed here, by a key that is registered for the party. A lost answer is asked for again with the very same
 * request, to which a signer gives the very same signature.
 */
import { createPublicKey } from 'node:crypto';
import { CustodyRefusal, demand } from '../custody/custody-refusal.ts';
import { type Intent, isOfferIntent } from '../custody/intent.ts';
import { sidesOf } from '../custody/offer-intent.ts';
import { type Signer, SignerUnavailable, type SigningRequest, type TransferSignature } from '../custody/signer.ts';
import { type SigningKey, signingKeyOf } from '../custody/signing-key.ts';
import { verifySignature } from '../custody/verify-signature.ts';
import type { Clock } from '../env/clock.ts';
import type { Random } from '../env/random.ts';
import { type RetryPolicy, retry } from '../env/retry.ts';
import { createSignerExchange, type SignerAddress, type SignerAnswer } from './signer-exchange.ts';
import { KEY_PATH, parseKeys, parseRefused, parseSignature, parseUnavailable, requestJson, SIGN_PATH } from './wire.ts';

export type RemoteSigner = Signer & { close(): void };

export type RemoteSignerOptions = {
  readonly address: SignerAddress;
  /** @param party the treasury party. @returns fingerprints of the keys that are registered for it. */
  readonly registeredKeys: (party: string) => readonly string[];
  readonly clock: Clock;
  readonly random: Random;
  /** Of one question. Some signers ask a person, and say SIGNATURE_PENDING meanwhile. */
  readonly timeoutMs?: number;
  readonly tries?: RetryPolicy;
};

const TIMEOUT_MS = 10_000; // Hardware takes tens of milliseconds; beyond this the attempt's own time is better spent on another try.
/** A restart of the signer is over within these. The attempt is tried again later anyway. */
const TRIES: RetryPolicy = { attemptsMax: 3, delayMsMin: 200, delayMsMax: 1_000 };

export function createRemoteSigner(options: RemoteSignerOptions): RemoteSigner {
  const { address, registeredKeys, clock, random, timeoutMs = TIMEOUT_MS, tries = TRIES } = options;
  const exchange = createSignerExchange(address, { clock });
  const known = new Map<string, SigningKey>();
  const never = new AbortController().signal;

  const fetchKeys = async (signal?: AbortSignal): Promise<SigningKey> => {
    const answer = await exchange.ask({ method: 'GET', path: KEY_PATH }, { timeoutMs, ...(signal && { signal }) });
    const told = answer.status === 200 ? parseKeys(answer.body) : null;
    if (told === null) throw notOfThisProtocol(answer);
    for (const { publicKey } of told.keys) {
      const key = keyOf(publicKey);
      // By what it is, not by what it is said to be.
      known.set(key.fingerprint, key);
    }
    const current = known.get(told.current);
    if (current === undefined) throw notOfThisProtocol(answer);
    return current;
  };

  const askOnce = async (request: SigningRequest, body: string, signal?: AbortSignal): Promise<TransferSignature> => {
    const answer = await exchange.ask(
      { method: 'POST', path: SIGN_PATH, body },
      { timeoutMs, ...(signal && { signal }) },
    );
    return signatureOf(request.requestId, answer);
  };

  return {
    currentKey: fetchKeys,
    sign: async (request, signal) => {
      const body = JSON.stringify(requestJson(request));
      let isUnanswered = false;
      const ask = async (): Promise<TransferSignature> => {
        try {
          return await askOnce(request, body, signal);
        } catch (error) {
          // It may have been signed when it was asked first: this refusal does not say that there is no signature.
          if (error instanceof CustodyRefusal && isUnanswered) throw refusedTooLate(error);
          isUnanswered = true;
          throw error;
        }
      };
      const signature = await retry(ask, tries, { clock, random, signal: signal ?? never });
      if (!known.has(signature.signedBy)) await fetchKeys(signal);
      const registered = registeredKeys(partyOf(request.intent));
      const keys = [...known.values()].filter(({ fingerprint }) => registered.includes(fingerprint));
      const isRegistered = registered.includes(signature.signedBy);
      demand(
        isRegistered,
        'SIGNATURE_INVALID',
        'A key that the party does not have: neither the one that its id ends in, nor one of SLUICE_SIGNER_KEYS.',
        'signature.signedBy',
        {
          signedBy: signature.signedBy,
          registered,
        },
      );
      verifySignature(request.prepared.nodeHash, signature, keys);
      return signature;
    },
    close: exchange.close,
  };
}

/** The keys of parties, when one key is their namespace's and signs for them: the second half of their id. What was registered later comes beside it. */
export function keysOfParties(fingerprints: readonly string[]): (party: string) => readonly string[] {
  return (party) => {
    const separator = party.indexOf('::');
    return [...fingerprints, ...(separator === -1 ? [] : [party.slice(separator + 2)])];
  };
}

function signatureOf(requestId: string, answer: SignerAnswer): TransferSignature {
  const { status, body } = answer;
  if (status === 200) {
    const signature = parseSignature(body);
    if (signature === null) throw notOfThisProtocol(answer);
    const { requestId: answered, ...rest } = signature;
    if (answered !== requestId) throw notOfThisProtocol(answer);
    return rest;
  }
  // A refusal is final, so it has to be one beyond doubt; anything else is no answer.
  const refused = status >= 400 && status < 500 ? parseRefused(body) : null;
  if (refused !== null) throw new CustodyRefusal(refused.code, refused.message, refused.at);
  const unavailable = status === 503 ? parseUnavailable(body) : null;
  if (unavailable === null) throw notOfThisProtocol(answer);
  throw new SignerUnavailable(unavailable.code, unavailable.message);
}

function refusedTooLate(cause: CustodyRefusal): SignerUnavailable {
  const message = `Refused after an answer was lost: ${cause.message}`;
  return new SignerUnavailable('SIGNER_UNAVAILABLE', message, { code: cause.code }, { cause });
}

function keyOf(publicKey: Uint8Array): SigningKey {
  try {
    return signingKeyOf(createPublicKey({ key: Buffer.from(publicKey), format: 'der', type: 'spki' }));
  } catch (cause) {
    throw new SignerUnavailable('SIGNER_UNAVAILABLE', 'The signer shows a key that cannot be read.', {}, { cause });
  }
}

function partyOf(intent: Intent): string {
  return isOfferIntent(intent) ? sidesOf(intent).us : intent.sender;
}

function notOfThisProtocol({ status }: SignerAnswer): SignerUnavailable {
  return new SignerUnavailable('SIGNER_UNAVAILABLE', `The signer answered ${status} with something else.`, { status });
}
