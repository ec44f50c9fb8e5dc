/** The key of a treasury party for what makes the party ready, and moves nothing: its topology, and the proposal of its preapproval. For development, as the local signer. */
import { createPublicKey, type KeyObject, sign } from 'node:crypto';
import { demand } from './custody-refusal.ts';
import type { PreparedTransfer } from './intent-check.ts';
import type { PreparationWindow } from './intent-metadata.ts';
import { checkProposal, type ProposalIntent } from './proposal-check.ts';
import type { TransferSignature } from './signer.ts';
import { type SigningKey, signingKeyOf } from './signing-key.ts';
import { topologyHash } from './topology-check.ts';

export type OnboardingSigner = {
  readonly key: SigningKey;
  /** @throws CustodyRefusal: what was prepared is not the proposal that was meant. */
  signProposal(intent: ProposalIntent, prepared: PreparedTransfer, window: PreparationWindow): TransferSignature;
  /** @throws CustodyRefusal: the hash is not of these transactions. */
  signTopology(transactions: readonly Uint8Array[], claimed: Uint8Array): TransferSignature;
};

/** @param privateKey Ed25519. @throws CustodyRefusal SIGNING_REQUEST_INVALID for another kind. */
export function createOnboardingSigner(privateKey: KeyObject): OnboardingSigner {
  const key = signingKeyOf(createPublicKey(privateKey));
  demand(key.algorithm === 'ED25519', 'SIGNING_REQUEST_INVALID', 'Ed25519 keys only.', 'privateKey');
  const signed = (hash: Uint8Array): TransferSignature => ({
    format: 'CONCAT',
    algorithm: key.algorithm,
    signedBy: key.fingerprint,
    signature: new Uint8Array(sign(null, hash, privateKey)),
    hash,
  });
  return {
    key,
    signProposal: (intent, prepared, window) => signed(checkProposal(intent, prepared, window).hash),
    signTopology: (transactions, claimed) => signed(topologyHash(transactions, claimed)),
  };
}
