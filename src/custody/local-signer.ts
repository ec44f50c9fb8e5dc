/**
 * A signer with its key in this process: for development and tests, never for a treasury with money in it.
 *
 * Its log is in memory and so as young as the process; that is why requests carry the earlier attempts along. The key is imported once, and
 * signatures are made on the thread pool.
 */
import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import type { Micros } from '../env/clock.ts';
import { demand } from './custody-refusal.ts';
import { createLoggedSigner, type KeyInUse, keyInProcess } from './logged-signer.ts';
import type { Signer } from './signer.ts';
import { signingKeyOf } from './signing-key.ts';

export type LocalSigner = Signer & {
  /** From now on signs with `key`. What was signed before stays as it was. */
  rotate(key: KeyObject): void;
};

/** DER of a PKCS #8 Ed25519 key up to the seed (RFC 8410). */
const ED25519_PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');
const SEED_BYTES = 32;

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
  ...options
}: {
  readonly privateKey: KeyObject;
  readonly preparationToleranceMicros?: Micros;
}): LocalSigner {
  const signer = createLoggedSigner({
    ...options,
    key: ownKeyOf(privateKey),
    append: async () => undefined,
    nowMicros: () => 0n, // It keeps no times.
  });
  return { ...signer, rotate: (next) => signer.rotate(ownKeyOf(next)) };
}

function ownKeyOf(privateKey: KeyObject): KeyInUse {
  const shown = signingKeyOf(createPublicKey(privateKey));
  const isEd25519 = shown.algorithm === 'ED25519';
  demand(isEd25519, 'SIGNING_REQUEST_INVALID', 'The local signer has Ed25519 keys only.', 'privateKey');
  return keyInProcess(shown, privateKey);
}
