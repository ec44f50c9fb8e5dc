import { generateKeyPairSync, sign } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { createLocalSigner, ed25519PrivateKey } from '../../src/custody/local-signer.ts';
import { ed25519KeyOf, fingerprintOf, signingAlgorithmSpec, signingKeyOf } from '../../src/custody/signing-key.ts';
import { verifySignature } from '../../src/custody/verify-signature.ts';
import { createSeededRandom } from '../../src/env/random.ts';
import { refusalOf } from './refusal-of.ts';
import { describeSamples, describeSigner } from './signer-contract.ts';

const random = createSeededRandom(7);
const newKey = () => ed25519PrivateKey(random.bytes(32));

describeSigner('local Ed25519 key', async () => {
  const signer = createLocalSigner({ privateKey: newKey() });
  return { signer, rotate: async () => signer.rotate(newKey()) };
});

describeSamples('local Ed25519 key', () => createLocalSigner({ privateKey: newKey() }));

describe('keys and their fingerprints', () => {
  it('have the fingerprint that Canton gives them', () => {
    const raw = Uint8Array.from({ length: 32 }, (_, index) => index);
    const expected = '122093aa96c5554371f0d1fd471ce282f3b590ab0758f35c124924c8e3715910bbe1';

    expect(fingerprintOf(raw)).toBe(expected);
    expect(ed25519KeyOf(raw).fingerprint).toBe(expected);
  });

  it('take the DER structure for elliptic curves', async () => {
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const key = signingKeyOf(publicKey);

    expect(key.fingerprint).toBe(fingerprintOf(publicKey.export({ type: 'spki', format: 'der' })));
    expect(key.algorithm).toBe('EC_DSA_SHA_256');
    expect(signingAlgorithmSpec(key.algorithm)).toBe(2);
  });

  it('are refused when parties cannot have them', () => {
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey;
    const k1 = generateKeyPairSync('ec', { namedCurve: 'secp256k1' });

    expect(refusalOf(() => signingKeyOf(rsa))).toBe('SIGNING_REQUEST_INVALID');
    expect(refusalOf(() => signingKeyOf(k1.publicKey))).toBe('SIGNING_REQUEST_INVALID');
    const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    expect(refusalOf(() => createLocalSigner({ privateKey: p256.privateKey }))).toBe('SIGNING_REQUEST_INVALID');
    expect(refusalOf(() => ed25519KeyOf(new Uint8Array(31)))).toBe('SIGNING_REQUEST_INVALID');
    expect(refusalOf(() => ed25519PrivateKey(new Uint8Array(33)))).toBe('SIGNING_REQUEST_INVALID');
  });

  it.each(['P-256', 'P-384'])('verify ECDSA over the hash: %s', async (namedCurve) => {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve });
    const key = signingKeyOf(publicKey);
    const hash = random.bytes(32);
    const signature = sign(namedCurve === 'P-256' ? 'sha256' : 'sha384', hash, { key: privateKey, dsaEncoding: 'der' });
    const { algorithm, fingerprint: signedBy } = key;

    verifySignature(hash, { format: 'DER', algorithm, signedBy, signature, hash }, [key]);
  });
});
