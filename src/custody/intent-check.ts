/**
 * What you sign is what was meant. Given an intent and the bytes a node prepared for it, says what may be signed, or why not.
 *
 * Pure and complete in itself: the service asks it before it calls a signer, and every signer asks it again. It believes nothing of the node:
 * the hash is computed from the bytes, the argument compared with our own, every node of the tree looked at.
 *
 * What it cannot know, because the node chooses it and no intent says otherwise: contract ids of what will be created, seeds, the transaction
 * uuid, the mediator group, results of nested choices and the contents of event logs. The participants of the instrument's admin and of the
 * receiver recompute all that before they confirm, so a lie there makes the transaction fail, not pay otherwise.
 */
import { timingSafeEqual } from 'node:crypto';
import { demand, present } from './custody-refusal.ts';
import { type Intent, isOfferIntent } from './intent.ts';
import { demandAuthority } from './intent-authority.ts';
import { demandEffects } from './intent-effects.ts';
import { demandEffectsOfOther } from './intent-effects-other.ts';
import { demandMetadata, type PreparationWindow } from './intent-metadata.ts';
import { demandRoot } from './intent-root.ts';
import { demandOffer } from './offer-check.ts';
import { demandSaneOffer, sidesOf } from './offer-intent.ts';
import { decodePrepared } from './prepared-transaction.ts';
import { IMPLEMENTATIONS, templateName } from './registry-implementations.ts';
import { type HashScheme, preparedTransactionHash } from './transaction-hash.ts';
import { readTransactionTree, type TransactionTree } from './transaction-tree.ts';
import { demandSaneIntent, type TransferIntent } from './transfer-intent.ts';

export type PreparedTransfer = {
  /** As PrepareSubmission returned it. */
  readonly preparedTransaction: Uint8Array;
  readonly scheme: HashScheme;
  /** The hash that the node claims. It is not used, but a node that claims another one is not to be trusted with anything. */
  readonly nodeHash: Uint8Array;
};

export type CheckedTransfer = {
  /** 32 bytes, to be signed. */
  readonly hash: Uint8Array;
  readonly scheme: HashScheme;
  /** Whether the signature covers the last record time. If not (V2), that bound is the executing node's word. */
  readonly isMaxRecordTimeSigned: boolean;
  /** Whether the amounts of all holdings were read. If not, they are the word of the instrument's admin. */
  readonly areAmountsProven: boolean;
};

/**
 * @param window where preparation must have happened in time.
 * @throws CustodyRefusal with the reason and the node or field. Never anything else for any bytes.
 */
export function checkIntent(
  intent: Intent,
  { preparedTransaction, scheme, nodeHash }: PreparedTransfer,
  window: PreparationWindow,
): CheckedTransfer {
  if (isOfferIntent(intent)) demandSaneOffer(intent);
  else demandSaneIntent(intent);
  const prepared = decodePrepared(preparedTransaction);
  const hash = preparedTransactionHash(prepared, scheme);
  const isSame = nodeHash.length === hash.length && timingSafeEqual(nodeHash, hash);
  demand(isSame, 'HASH_DIFFERS_FROM_NODE', 'The node claims another hash.', 'preparedTransactionHash');

  const tree = readTransactionTree(prepared);
  const terms = {
    ...intent,
    party: isOfferIntent(intent) ? sidesOf(intent).us : intent.sender,
    // What nobody accepted in time is taken back after its deadline.
    executeBefore: intent.kind === 'WITHDRAW' ? null : intent.executeBefore,
  };
  demandMetadata(present(prepared.metadata, 'TREE_MALFORMED', 'metadata'), terms, scheme, window);
  const implementation = isOfferIntent(intent) ? intent.implementation : implementationOf(tree, intent);
  if (isOfferIntent(intent)) demandOffer(tree, intent);
  else demandTransfer(tree, { ...intent, implementation });
  const areAmountsProven = IMPLEMENTATIONS[implementation] !== null;
  return { hash, scheme, isMaxRecordTimeSigned: scheme === 'V3', areAmountsProven };
}

/**
 * Where nobody said whose code moves the instrument, the factory says it: a transfer through one that the admin signed and whose template we know is held to all that is known of it, to the last node and
 * coin. The name is no proof, here as little as where it is configured: the admin has to have signed, and nothing runs on our host whose package nobody vetted there.
 */
function implementationOf({ root }: TransactionTree, intent: TransferIntent): TransferIntent['implementation'] {
  const { exercise } = root;
  if (intent.implementation !== 'OTHER' || !exercise.signatories.includes(intent.instrument.admin)) {
    return intent.implementation;
  }
  const name = templateName(exercise);
  return KNOWN.find((known) => IMPLEMENTATIONS[known]?.roots.has(name) === true) ?? intent.implementation;
}

const KNOWN = ['SPLICE_AMULET', 'UTILITY_REGISTRY'] as const;

function demandTransfer(tree: TransactionTree, intent: TransferIntent): void {
  const result = demandRoot(tree.root, intent);
  demandAuthority(tree, intent);
  const implementation = IMPLEMENTATIONS[intent.implementation];
  if (implementation === null) demandEffectsOfOther(tree, result, intent);
  else demandEffects(tree, result, intent, implementation);
}
