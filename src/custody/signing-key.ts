/**
 * Public keys of external parties and their fingerprints: what a signature names as its maker.
 * @see Canton `HashPurpose.PublicKeyFingerprint` (12) and `CryptoKeys`: raw bytes for Ed25519, the DER structure for keys on other curves.
 */
import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import { SigningAlgorithmSpec } from '../gen/com/daml/ledger/api/v2/crypto.ts';
import { demand } from './custody-refusal.ts';

export type SigningAlgorithm = 'ED25519' | 'EC_DSA_SHA_256' | 'EC_DSA_SHA_384';

export type SigningKey = {
  /** `1220` and 64 hex digits. */
  readonly fingerprint: string;
  readonly algorithm: SigningAlgorithm;
  readonly publicKey: KeyObject;
};

const FINGERPRINT_PURPOSE = 12;
const SHA256_MULTIHASH_PREFIX = '1220';
const ED25519_BYTES = 32;
/** DER of an Ed25519 SubjectPublicKeyInfo up to the key itself (RFC 8410). */
const ED25519_SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');

/** @param keyBytes 32 raw bytes for Ed25519, the DER SubjectPublicKeyInfo for others. */
export function fingerprintOf(keyBytes: Uint8Array): string {
  const purpose = Buffer.alloc(4);
  purpose.writeInt32BE(FINGERPRINT_PURPOSE);
  return SHA256_MULTIHASH_PREFIX + createHash('sha256').update(purpose).update(keyBytes).digest('hex');
}

/** @throws CustodyRefusal SIGNING_REQUEST_INVALID for a key of another kind than parties may have. */
export function signingKeyOf(publicKey: KeyObject): SigningKey {
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const algorithm = algorithmOf(publicKey);
  const keyBytes = algorithm === 'ED25519' ? spki.subarray(-ED25519_BYTES) : spki;
  return { fingerprint: fingerprintOf(keyBytes), algorithm, publicKey };
}

/** @param raw 32 bytes. @throws CustodyRefusal SIGNING_REQUEST_INVALID for another length. */
export function ed25519KeyOf(raw: Uint8Array): SigningKey {
  demand(raw.length === ED25519_BYTES, 'SIGNING_REQUEST_INVALID', 'Not an Ed25519 key.', 'publicKey');
  const key = Buffer.concat([ED25519_SPKI_PREFIX, raw]);
  return signingKeyOf(createPublicKey({ key, format: 'der', type: 'spki' }));
}

/** The wire's number for an algorithm. */
export function signingAlgorithmSpec(algorithm: SigningAlgorithm): SigningAlgorithmSpec {
  return SigningAlgorithmSpec[`SIGNING_ALGORITHM_SPEC_${algorithm}`];
}

function algorithmOf({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): SigningAlgorithm {
  if (asymmetricKeyType === 'ed25519') return 'ED25519';
  const curve = asymmetricKeyType === 'ec' ? asymmetricKeyDetails?.namedCurve : undefined;
  const isKnown = curve === 'prime256v1' || curve === 'secp384r1';
  demand(isKnown, 'SIGNING_REQUEST_INVALID', 'A key that parties do not have.', 'publicKey', {
    asymmetricKeyType,
    curve,
  });
  return curve === 'prime256v1' ? 'EC_DSA_SHA_256' : 'EC_DSA_SHA_384';
}
