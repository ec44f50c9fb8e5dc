/**
 * A proposal for a transfer preapproval, checked before it is signed. It moves nothing and consumes nothing: one contract of one known template is created, signed by the treasury party
 * alone and shown to the provider alone.
 * @see Splice `Splice.Wallet.TransferPreapproval:TransferPreapprovalProposal`.
 */
import { timingSafeEqual } from 'node:crypto';
import type { Micros } from '../env/clock.ts';
import type { DamlTransaction } from '../gen/com/daml/ledger/api/v2/interactive/interactive_submission_service.ts';
import type { Create } from '../gen/com/daml/ledger/api/v2/interactive/transaction/v1/interactive_submission_data.ts';
import type { Value } from '../gen/com/daml/ledger/api/v2/value.ts';
import { demand, present } from './custody-refusal.ts';
import type { PreparedTransfer } from './intent-check.ts';
import { demandMetadata, type PreparationWindow } from './intent-metadata.ts';
import { decodePrepared } from './prepared-transaction.ts';
import { type HashScheme, preparedTransactionHash } from './transaction-hash.ts';
import { differenceOf } from './value-difference.ts';

export type ProposalIntent = {
  /** The treasury party. */
  readonly receiver: string;
  /** Whose validator will renew the preapproval. */
  readonly provider: string;
  /** Admin of Canton Coin: a preapproval of another network's would be worth nothing. */
  readonly dso: string;
  readonly commandId: string;
  /** The logical id. */
  readonly synchronizerId: string;
  /** Inclusive. */
  readonly maxRecordTime: Micros;
};

const PACKAGE_NAME = 'splice-wallet';
const MODULE = 'Splice.Wallet.TransferPreapproval';
const ENTITY = 'TransferPreapprovalProposal';

/** What the contract is to say; also what is asked of the participant. */
export function proposalArguments({ receiver, provider, dso }: Pick<ProposalIntent, 'receiver' | 'provider' | 'dso'>) {
  const party = (id: string): Value => ({ sum: { $case: 'party', value: id } });
  return {
    recordId: undefined,
    fields: [
      { label: 'receiver', value: party(receiver) },
      { label: 'provider', value: party(provider) },
      { label: 'expectedDso', value: { sum: { $case: 'optional', value: { value: party(dso) } } } satisfies Value },
    ],
  };
}

/**
 * @returns the hash to be signed.
 * @throws CustodyRefusal with the reason and the place. Never anything else for any bytes.
 */
export function checkProposal(
  intent: ProposalIntent,
  { preparedTransaction, scheme, nodeHash }: PreparedTransfer,
  window: PreparationWindow,
): { readonly hash: Uint8Array; readonly scheme: HashScheme } {
  const { receiver, provider } = intent;
  const isSane = receiver !== '' && provider !== '' && receiver !== provider && intent.dso !== receiver;
  demand(isSane, 'INTENT_INVALID', 'Receiver, provider and DSO are three.', 'intent.provider');
  const prepared = decodePrepared(preparedTransaction);
  const hash = preparedTransactionHash(prepared, scheme);
  const isSame = nodeHash.length === hash.length && timingSafeEqual(nodeHash, hash);
  demand(isSame, 'HASH_DIFFERS_FROM_NODE', 'The node claims another hash.', 'preparedTransactionHash');
  const metadata = present(prepared.metadata, 'TREE_MALFORMED', 'metadata');
  const terms = { ...intent, physicalSynchronizerId: null, executeBefore: intent.maxRecordTime + 1n, party: receiver };
  demandMetadata(metadata, terms, scheme, window);
  const usesNothing = metadata.inputContracts.length === 0 && metadata.globalKeyMapping.length === 0;
  demand(usesNothing, 'TREE_UNSIGNED_CONTENT', 'A proposal uses no contract.', 'metadata.inputContracts');

  const create = onlyNodeOf(present(prepared.transaction, 'TREE_MALFORMED', 'transaction'));
  const { templateId } = create;
  const isProposal =
    create.packageName === PACKAGE_NAME && templateId?.moduleName === MODULE && templateId.entityName === ENTITY;
  demand(isProposal, 'INTENT_CREATE_NOT_ALLOWED', 'Another template.', 'root', { packageName: create.packageName });
  const isOurs = create.signatories.length === 1 && create.signatories[0] === receiver;
  demand(isOurs, 'INTENT_AUTHORITY', 'Not signed by the treasury party alone.', 'root.signatories');
  const shownTo = [receiver, provider].sort().join(' ');
  const isPrivate = [...create.stakeholders].sort().join(' ') === shownTo;
  demand(isPrivate, 'INTENT_AUTHORITY', 'Shown to somebody else.', 'root.stakeholders');
  const expected: Value = { sum: { $case: 'record', value: proposalArguments(intent) } };
  const difference = differenceOf(expected, create.argument, 'root.argument');
  demand(difference === null, 'INTENT_ARGUMENT', 'Another proposal.', difference ?? 'root.argument');
  return { hash, scheme };
}

function onlyNodeOf({ roots, nodes }: DamlTransaction): Create {
  demand(roots.length === 1 && nodes.length === 1, 'TREE_ROOT_COUNT', 'More than one node.', 'transaction.nodes');
  const [node] = nodes;
  demand(node?.nodeId === roots[0], 'TREE_MALFORMED', 'The root is not the node.', 'transaction.roots');
  const type = present(node?.versionedNode?.value.nodeType, 'TREE_NODE_NOT_ALLOWED', 'root');
  demand(type.$case === 'create', 'TREE_NODE_NOT_ALLOWED', 'The root is not a create.', 'root');
  return type.value;
}
