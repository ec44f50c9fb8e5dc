/** A key inside a hardware module: found by its label, never read, used for one signature after the other. What it made is verified before it leaves: a module that errs is no reason to send anything. */
import { createHash, createPublicKey, verify } from 'node:crypto';
import type { KeyInUse } from '../../custody/logged-signer.ts';
import { type SigningKey, signingKeyOf } from '../../custody/signing-key.ts';
import { PermanentError, RetryableError } from '../../env/errors.ts';
import { readPrivateFile } from '../key-file.ts';
import { CKA, CKM, CKO, type Cryptoki, openCryptoki, word } from './cryptoki.ts';

export type Pkcs11Key = { readonly key: KeyInUse; close(): void };

export type Pkcs11Options = {
  /** Path of the vendor's library. */
  readonly module: string;
  readonly tokenLabel: string;
  readonly keyLabel: string;
  /** A file that holds the PIN and nothing else. */
  readonly pinFile: string;
  /** Of this process. */
  readonly uid: number;
};

/**
 * @throws PermanentError SIGNER_KEY_FILE (the PIN's file), SIGNER_TOKEN_MISSING, SIGNER_KEY_MISSING: none, or several, of that label; SIGNER_KEY_OPEN: it can be taken out of the module;
 * RetryableError SIGNER_MODULE.
 */
export async function openPkcs11Key(options: Pkcs11Options): Promise<Pkcs11Key> {
  const connect = async (): Promise<Connected> => {
    const pin = readPrivateFile(options.pinFile, options.uid).trim();
    const cryptoki = await openCryptoki({ ...options, pin });
    try {
      return { cryptoki, ...findKey(cryptoki, options.keyLabel) };
    } catch (error) {
      cryptoki.close();
      throw error;
    }
  };
  let connected: Connected | null = await connect();
  const { shown } = connected;
  let last: Promise<unknown> = Promise.resolve();

  const signOnce = async (hash: Uint8Array): Promise<Uint8Array> => {
    connected ??= await connect();
    if (connected.shown.fingerprint !== shown.fingerprint) {
      throw new PermanentError('SIGNER_KEY_MISSING', 'The module has another key under this label now: start again.');
    }
    const { cryptoki, handle } = connected;
    try {
      return await signWith(cryptoki, handle, shown, hash);
    } catch (error) {
      // The token was taken out, or its session ended: the next one begins anew.
      connected = null;
      cryptoki.close();
      throw error;
    }
  };
  return {
    key: {
      shown,
      sign: async (hash) => {
        const made = last.then(async () => await signOnce(hash));
        last = made.catch(() => undefined);
        return await made;
      },
    },
    close: () => {
      connected?.cryptoki.close();
      connected = null;
    },
  };
}

type Connected = { readonly cryptoki: Cryptoki; readonly handle: bigint; readonly shown: SigningKey };

async function signWith(cryptoki: Cryptoki, handle: bigint, shown: SigningKey, hash: Uint8Array): Promise<Uint8Array> {
  // EDDSA signs the 32 bytes themselves; for ECDSA the ledger hashes them once more, which the module leaves to us.
  const digest = { ED25519: null, EC_DSA_SHA_256: 'sha256', EC_DSA_SHA_384: 'sha384' }[shown.algorithm];
  const signature =
    digest === null
      ? await cryptoki.sign(CKM.EDDSA, handle, hash)
      : derOf(await cryptoki.sign(CKM.ECDSA, handle, createHash(digest).update(hash).digest()));
  const isValid = verify(digest, hash, { key: shown.publicKey, dsaEncoding: 'der' }, signature);
  if (!isValid) throw new RetryableError('SIGNER_MODULE', 'The module made a signature that does not verify.');
  return signature;
}

function findKey(cryptoki: Cryptoki, keyLabel: string): { readonly handle: bigint; readonly shown: SigningKey } {
  const only = (objectClass: bigint, what: string): bigint => {
    const found = cryptoki.find([
      [CKA.CLASS, word(objectClass)],
      [CKA.LABEL, Buffer.from(keyLabel)],
    ]);
    const [first] = found;
    if (first !== undefined && found.length === 1) return first;
    throw new PermanentError(
      'SIGNER_KEY_MISSING',
      `${found.length} ${what} keys of the label ${JSON.stringify(keyLabel)}, expected one.`,
    );
  };
  const handle = only(CKO.PRIVATE_KEY, 'private');
  const isClosed =
    cryptoki.attribute(handle, CKA.EXTRACTABLE)?.[0] === 0 && cryptoki.attribute(handle, CKA.SENSITIVE)?.[0] === 1;
  if (!isClosed) throw new PermanentError('SIGNER_KEY_OPEN', 'The key can be taken out of the module.');
  const publicHandle = only(CKO.PUBLIC_KEY, 'public');
  const parameters = cryptoki.attribute(publicHandle, CKA.EC_PARAMS);
  const point = cryptoki.attribute(publicHandle, CKA.EC_POINT);
  if (parameters === null || point === null) throw foreignKey();
  return { handle, shown: publicKeyOf(Buffer.from(parameters), Buffer.from(point)) };
}

/** Two ways of naming the curve: PrintableString `edwards25519`, and the object identifier of RFC 8410. */
const ED25519_NAMES: readonly string[] = ['130c656477617264733235353139', '06032b6570'];
const ED25519_SPKI = '302a300506032b6570032100';
/** DER of a SubjectPublicKeyInfo up to the point, by the curve's identifier. */
const CURVES: Readonly<Record<string, { readonly spki: string; readonly pointBytes: number }>> = {
  '06082a8648ce3d030107': { spki: '3059301306072a8648ce3d020106082a8648ce3d030107034200', pointBytes: 65 },
  '06052b81040022': { spki: '3076301006072a8648ce3d020106052b81040022036200', pointBytes: 97 },
};

function publicKeyOf(parameters: Buffer, wrapped: Buffer): SigningKey {
  const name = parameters.toString('hex');
  const curve = ED25519_NAMES.includes(name) ? { spki: ED25519_SPKI, pointBytes: 32 } : CURVES[name];
  if (curve === undefined) throw foreignKey();
  // The point comes in an OCTET STRING, from some modules bare.
  const point = wrapped.length === curve.pointBytes ? wrapped : wrapped.subarray(2);
  if (point.length !== curve.pointBytes) throw foreignKey();
  const der = Buffer.concat([Buffer.from(curve.spki, 'hex'), point]);
  return signingKeyOf(createPublicKey({ key: der, format: 'der', type: 'spki' }));
}

function foreignKey(): PermanentError {
  return new PermanentError('SIGNER_KEY_MISSING', 'Not a key that parties may have: Ed25519, P-256 or P-384.');
}

/** Both halves of what a module makes, as ASN.1. */
function derOf(halves: Uint8Array): Uint8Array {
  const size = halves.length / 2;
  const body = Buffer.concat([integer(halves.subarray(0, size)), integer(halves.subarray(size))]);
  return new Uint8Array(Buffer.concat([Buffer.from([0x30, body.length]), body]));
}

function integer(bytes: Uint8Array): Buffer {
  const first = bytes.findIndex((byte) => byte !== 0);
  const trimmed = Buffer.from(bytes.subarray(first === -1 ? bytes.length - 1 : first));
  const positive = (trimmed[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.from([0]), trimmed]) : trimmed;
  return Buffer.concat([Buffer.from([0x02, positive.length]), positive]);
}
