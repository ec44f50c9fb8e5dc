/** Ids that look like Canton's, made from a seed by hashing: the same seed always gives the same ids. */
import { createHash } from 'node:crypto';

/** Prefix of a SHA-256 multihash, which Canton's fingerprints and update ids start with. */
const MULTIHASH = '1220';
/** Between the discriminator and the suffix of contract ids of Canton 3. */
const CONTRACT_ID_SUFFIX_PREFIX = 'ca11';

export function sha256Hex(...parts: readonly string[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(`${part.length}:${part};`);
  return hash.digest('hex');
}

/** @returns `hint::1220…`. */
export function partyId(seed: string, hint: string): string {
  return `${hint}::${MULTIHASH}${sha256Hex(seed, 'namespace', hint)}`;
}

export function updateId(transactionSeed: string): string {
  return MULTIHASH + sha256Hex(transactionSeed, 'update');
}

/** @param nodeId of the creating node: ids follow from the transaction's seed alone, so they are known before it is committed. */
export function contractId(transactionSeed: string, nodeId: number): string {
  const node = String(nodeId);
  return `00${sha256Hex(transactionSeed, 'contract', node)}${CONTRACT_ID_SUFFIX_PREFIX}${MULTIHASH}${sha256Hex(transactionSeed, 'suffix', node)}`;
}

/** @param transactionSeed 64 hex digits: the seed of the root. @returns 32 bytes that a prepared transaction shows of the node. */
export function nodeSeed(transactionSeed: string, nodeId: number): Uint8Array {
  const hex = nodeId === 0 ? transactionSeed : sha256Hex(transactionSeed, 'seed', String(nodeId));
  return Uint8Array.from(Buffer.from(hex, 'hex'));
}

export function packageId(nameAndVersion: string): string {
  return sha256Hex('package', nameAndVersion);
}
