/** The last look before execute: a signer that answers with another key, format or hash must not get through. */
import { timingSafeEqual, verify } from 'node:crypto';
import { demand } from './custody-refusal.ts';
import type { TransferSignature } from './signer.ts';
import type { SigningAlgorithm, SigningKey } from './signing-key.ts';

/** ECDSA hashes the 32 bytes once more; Ed25519 signs them as they are. */
const DIGEST: Readonly<Record<SigningAlgorithm, string | null>> = {
  ED25519: null,
  EC_DSA_SHA_256: 'sha256',
  EC_DSA_SHA_384: 'sha384',
};

/**
 * @param hash as computed here, never as the signer says.
 * @param keys registered for the party; the signature names one of them.
 * @throws CustodyRefusal SIGNATURE_INVALID. Ask for a new signature with a new request id, and alarm.
 */
export function verifySignature(hash: Uint8Array, signature: TransferSignature, keys: readonly SigningKey[]): void {
  const check = (condition: boolean, message: string, at: string): void =>
    demand(condition, 'SIGNATURE_INVALID', message, `signature.${at}`, { signedBy: signature.signedBy });
  const isSame = signature.hash.length === hash.length && timingSafeEqual(signature.hash, hash);
  check(isSame, 'Another hash was signed.', 'hash');
  const key = keys.find(({ fingerprint }) => fingerprint === signature.signedBy);
  demand(key !== undefined, 'SIGNATURE_INVALID', 'A key that the party does not have.', 'signature.signedBy', {
    signedBy: signature.signedBy,
  });
  check(key.algorithm === signature.algorithm, 'Another algorithm than the key’s.', 'algorithm');
  check((key.algorithm === 'ED25519' ? 'CONCAT' : 'DER') === signature.format, 'Another format.', 'format');
  const isValid = verify(DIGEST[key.algorithm], hash, { key: key.publicKey, dsaEncoding: 'der' }, signature.signature);
  check(isValid, 'It does not verify.', 'signature');
}
