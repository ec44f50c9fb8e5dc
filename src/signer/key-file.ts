/** A key in a file, for a signer without a hardware module: PEM (PKCS #8), or the 64 hex digits of an Ed25519 seed. Nobody but its owner may read the file, and nothing of it is ever printed. */
import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { ed25519PrivateKey } from '../custody/local-signer.ts';
import { type KeyInUse, keyInProcess } from '../custody/logged-signer.ts';
import { signingKeyOf } from '../custody/signing-key.ts';
import { messageOf, PermanentError } from '../env/errors.ts';

const KEY_BYTES_MAX = 16 * 1024;
const SEED = /^[0-9a-f]{64}$/i;
const OTHERS = 0o077;

/**
 * @param uid of this process.
 * @throws PermanentError SIGNER_KEY_FILE: missing, readable by others, somebody else's, or no key that parties have. The message names the path, never the content.
 */
export function readKeyFile(path: string, uid: number): KeyInUse {
  const privateKey = parseKey(readPrivateFile(path, uid), path);
  try {
    return keyInProcess(signingKeyOf(createPublicKey(privateKey)), privateKey);
  } catch {
    throw invalid(path, 'not a key that parties may have: Ed25519, P-256 or P-384');
  }
}

/** A file that nobody but its owner may read. @throws PermanentError SIGNER_KEY_FILE. */
export function readPrivateFile(path: string, uid: number): string {
  let descriptor: number;
  try {
    descriptor = openSync(path, 'r');
  } catch (error) {
    throw invalid(path, messageOf(error));
  }
  try {
    // Of the open file, so that it cannot be another one by the time it is read.
    const facts = fstatSync(descriptor);
    if (!facts.isFile()) throw invalid(path, 'not a file');
    if ((facts.mode & OTHERS) !== 0) throw invalid(path, 'others may read it: expected mode 0600 or 0400');
    if (facts.uid !== uid && facts.uid !== 0) throw invalid(path, 'it belongs to somebody else');
    if (facts.size > KEY_BYTES_MAX) throw invalid(path, 'too large');
    return readFileSync(descriptor, 'utf8');
  } finally {
    closeSync(descriptor);
  }
}

function parseKey(content: string, path: string): KeyObject {
  const line = content.trim();
  if (SEED.test(line)) return ed25519PrivateKey(Buffer.from(line, 'hex'));
  try {
    return createPrivateKey(content);
  } catch {
    // What the parser says may quote what it read.
    throw invalid(path, 'neither PEM nor a seed in hex');
  }
}

function invalid(path: string, why: string): PermanentError {
  return new PermanentError('SIGNER_KEY_FILE', `The key file ${path} cannot be used: ${why}.`, { path });
}
