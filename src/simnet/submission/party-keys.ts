/**
 * Signing keys of external parties and the check of their signatures, as every confirming participant makes it.
 * @see Canton 3.5 `HashPurpose.PublicKeyFingerprint` (12); crypto.proto of the Ledger API.
 */
import { createHash, createPublicKey, type KeyObject, verify } from 'node:crypto';
import { PermanentError } from '../../env/errors.ts';
import { type Signature, SignatureFormat, SigningAlgorithmSpec } from '../../gen/com/daml/ledger/api/v2/crypto.ts';
import type { SinglePartySignatures } from '../../gen/com/daml/ledger/api/v2/interactive/interactive_submission_service.ts';
import { cantonError } from '../ledger/canton-error.ts';

export type PartyKeys = {
  /** @param publicKey 32 raw bytes (Ed25519) or a DER SubjectPublicKeyInfo. @returns the fingerprint. Registering twice changes nothing. */
  register(party: string, publicKey: Uint8Array): string;
  revoke(party: string, fingerprint: string): void;
  fingerprints(party: string): readonly string[];
  /**
   * @param hash the 32 bytes that were to be signed.
   * @throws CantonError FAILED_TO_EXECUTE_TRANSACTION for what is no signature at all, INVALID_EXTERNAL_SIGNATURE for one that is not valid.
   */
  verify(hash: Uint8Array, actAs: readonly string[], signatures: readonly SinglePartySignatures[]): void;
  /**
   * @param multiHash over the topology transactions. @param publicKey of the party that is to be.
   * @throws CantonError INVALID_EXTERNAL_SIGNATURE.
   */
  verifyTopology(multiHash: Uint8Array, signatures: readonly Signature[], publicKey: Uint8Array): void;
};

const SIGNATURES_MAX = 50; // Per party, Canton 3.5.
const ED25519_BYTES = 32;
/** SubjectPublicKeyInfo of an Ed25519 key, up to the key (RFC 8410). */
const ED25519_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');
const FINGERPRINT_PURPOSE = Buffer.from([0, 0, 0, 12]);

/** @param publicKey as for {@link PartyKeys.register}. @returns `1220` and 64 hex digits. */
export function fingerprintOf(publicKey: Uint8Array): string {
  return fingerprintOfKey(keyOf(publicKey));
}

export function createPartyKeys(): PartyKeys {
  const byParty = new Map<string, Map<string, KeyObject>>();
  return {
    register: (party, publicKey) => {
      const key = keyOf(publicKey);
      const fingerprint = fingerprintOfKey(key);
      const keys = byParty.get(party) ?? new Map<string, KeyObject>();
      byParty.set(party, keys.set(fingerprint, key));
      return fingerprint;
    },
    revoke: (party, fingerprint) => {
      byParty.get(party)?.delete(fingerprint);
    },
    fingerprints: (party) => [...(byParty.get(party)?.keys() ?? [])],
    verify: (hash, actAs, signatures) => {
      for (const party of actAs) {
        const given = signatures.filter((entry) => entry.party === party).flatMap((entry) => entry.signatures);
        if (given.length === 0) throw failedToExecute(`No signature was given for the party ${party}`);
        if (given.length > SIGNATURES_MAX) throw failedToExecute(`More than ${SIGNATURES_MAX} signatures for ${party}`);
        const keys = byParty.get(party) ?? new Map<string, KeyObject>();
        for (const signature of given) requireValid(hash, signature, keys, party);
      }
    },
    verifyTopology: (multiHash, signatures, publicKey) => {
      const key = keyOf(publicKey);
      const keys = new Map([[fingerprintOfKey(key), key]]);
      if (signatures.length === 0) throw invalidSignature('No signature was given for the topology transactions');
      for (const signature of signatures) requireValid(multiHash, signature, keys, 'to be allocated');
    },
  };
}

function requireValid(
  hash: Uint8Array,
  signature: Signature,
  keys: ReadonlyMap<string, KeyObject>,
  party: string,
): void {
  const key = keys.get(signature.signedBy);
  if (key === undefined) {
    throw invalidSignature(`The key ${signature.signedBy} is not registered for the party ${party}`);
  }
  const { spec, format, digest } = schemeOf(key);
  if (signature.signingAlgorithmSpec !== spec || signature.format !== format) {
    throw failedToExecute(`Signature format or algorithm does not fit the key ${signature.signedBy}`);
  }
  if (!verify(digest, hash, { key, dsaEncoding: 'der' }, signature.signature)) {
    throw invalidSignature(`Received 0 valid signatures from distinct keys for the party ${party}, expected 1`);
  }
}

function keyOf(publicKey: Uint8Array): KeyObject {
  const spki = publicKey.length === ED25519_BYTES ? Buffer.concat([ED25519_PREFIX, publicKey]) : Buffer.from(publicKey);
  try {
    const key = createPublicKey({ key: spki, format: 'der', type: 'spki' });
    schemeOf(key);
    return key;
  } catch (cause) {
    throw new PermanentError('SIMNET_BAD_KEY', 'Not a public key that parties may have.', {}, { cause });
  }
}

function fingerprintOfKey(key: KeyObject): string {
  const spki = key.export({ type: 'spki', format: 'der' });
  const bytes = key.asymmetricKeyType === 'ed25519' ? spki.subarray(-ED25519_BYTES) : spki;
  return `1220${createHash('sha256').update(FINGERPRINT_PURPOSE).update(bytes).digest('hex')}`;
}

type KeyScheme = {
  readonly spec: SigningAlgorithmSpec;
  readonly format: SignatureFormat;
  readonly digest: string | null;
};

/** Ed25519 signs the 32 bytes as they are; ECDSA hashes them once more. */
function schemeOf(key: KeyObject): KeyScheme {
  const curve = key.asymmetricKeyDetails?.namedCurve;
  if (key.asymmetricKeyType === 'ed25519') {
    return {
      spec: SigningAlgorithmSpec.SIGNING_ALGORITHM_SPEC_ED25519,
      format: SignatureFormat.SIGNATURE_FORMAT_CONCAT,
      digest: null,
    };
  }
  const format = SignatureFormat.SIGNATURE_FORMAT_DER;
  if (curve === 'prime256v1') {
    return { spec: SigningAlgorithmSpec.SIGNING_ALGORITHM_SPEC_EC_DSA_SHA_256, format, digest: 'sha256' };
  }
  if (curve === 'secp384r1') {
    return { spec: SigningAlgorithmSpec.SIGNING_ALGORITHM_SPEC_EC_DSA_SHA_384, format, digest: 'sha384' };
  }
  throw new PermanentError('SIMNET_BAD_KEY', 'A kind of key that parties do not have.', { curve });
}

/** Refusals of execute that the submitter's own request causes. */
export function failedToExecute(text: string): Error {
  return cantonError({
    code: 'FAILED_TO_EXECUTE_TRANSACTION',
    category: 'invalidRequest',
    text,
    definiteAnswer: true,
  });
}

function invalidSignature(text: string): Error {
  return cantonError({ code: 'INVALID_EXTERNAL_SIGNATURE', category: 'invalidRequest', text, definiteAnswer: true });
}
