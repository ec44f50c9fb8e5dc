/**
 * What the key of a new external party signs once: the topology transactions that make the party. Their hash is computed here from what is passed on; what stands inside them is the
 * participant's word, for a party that owns nothing yet. That it is hosted as it was meant is looked at afterwards, before any money comes.
 * @see Canton `HashPurpose.TopologyTransactionSignature` (11) and `MultiTopologyTransaction` (55).
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { demand } from './custody-refusal.ts';

const TRANSACTION_PURPOSE = 11;
const MULTI_PURPOSE = 55;
/** Multihash: SHA-256, 32 bytes. */
const PREFIX = Buffer.from([0x12, 0x20]);
const TRANSACTIONS_MAX = 10;

/**
 * @param claimed the hash that the participant wants signed.
 * @returns the same, computed: 34 bytes, so that it can never be taken for the 32 of a transaction's hash.
 * @throws CustodyRefusal HASH_DIFFERS_FROM_NODE, SIGNING_REQUEST_INVALID.
 */
export function topologyHash(transactions: readonly Uint8Array[], claimed: Uint8Array): Uint8Array {
  const isSane = transactions.length >= 1 && transactions.length <= TRANSACTIONS_MAX;
  demand(isSane, 'SIGNING_REQUEST_INVALID', 'No party is made by so many transactions.', 'topologyTransactions');
  const hashes = transactions.map((transaction) => multihash(TRANSACTION_PURPOSE, transaction)).sort(Buffer.compare);
  const parts = hashes.flatMap((hash) => [int32(hash.length), hash]);
  const hash = multihash(MULTI_PURPOSE, int32(hashes.length), ...parts);
  const isSame = claimed.length === hash.length && timingSafeEqual(claimed, hash);
  demand(isSame, 'HASH_DIFFERS_FROM_NODE', 'The node claims another hash.', 'multiHash');
  return hash;
}

function multihash(purpose: number, ...parts: readonly Uint8Array[]): Buffer {
  const hash = createHash('sha256').update(int32(purpose));
  for (const part of parts) hash.update(part);
  return Buffer.concat([PREFIX, hash.digest()]);
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}
