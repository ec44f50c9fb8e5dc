/**
 * A prepared transaction as a tree that can be reasoned about: one root, every node below it exactly once, in the order in which the nodes
 * happen, and every contract that is used either created before or shown among the input contracts, saying the same of itself both times.
 *
 * Stricter than the ledger where no transfer needs the freedom: no rollbacks, no contract keys, no content that no signature covers.
 */
import type {
  DamlTransaction,
  Metadata,
  PreparedTransaction,
} from '../gen/com/daml/ledger/api/v2/interactive/interactive_submission_service.ts';
import type {
  Create,
  Exercise,
  Fetch,
  Node,
} from '../gen/com/daml/ledger/api/v2/interactive/transaction/v1/interactive_submission_data.ts';
import type { Value } from '../gen/com/daml/ledger/api/v2/value.ts';
import { qualifiedName } from '../tokens/value.ts';
import { CustodyRefusal, demand, present } from './custody-refusal.ts';
import { nameTwiceIn } from './value-names.ts';

type Placed = {
  /** `node 4`, for refusals. */
  readonly at: string;
  readonly parent: ExerciseNode | null;
};
export type CreateNode = Placed & { readonly kind: 'create'; readonly create: Create };
export type FetchNode = Placed & { readonly kind: 'fetch'; readonly fetch: Fetch };
export type ExerciseNode = Placed & { readonly kind: 'exercise'; readonly exercise: Exercise };
export type TreeNode = CreateNode | FetchNode | ExerciseNode;

export type TransactionTree = {
  readonly root: ExerciseNode;
  /** Pre-order, the root first. */
  readonly nodes: readonly TreeNode[];
  /** Contracts of earlier transactions that this one uses, by contract id. */
  readonly inputContracts: ReadonlyMap<string, Create>;
  /** Contracts that it makes, by contract id. */
  readonly created: ReadonlyMap<string, CreateNode>;
  /** Contracts that it consumes, of either kind, by contract id. */
  readonly consumed: ReadonlyMap<string, ExerciseNode>;
};

const NODES_MAX = 5_000; // 100 inputs make some 500 nodes.
const NODE_ID_PATTERN = /^(?:0|[1-9]\d{0,8})$/;

/** @throws CustodyRefusal TREE_… naming the node. */
export function readTransactionTree(prepared: PreparedTransaction): TransactionTree {
  const transaction = present(prepared.transaction, 'TREE_MALFORMED', 'transaction');
  const metadata = present(prepared.metadata, 'TREE_MALFORMED', 'metadata');
  demand(transaction.roots.length === 1, 'TREE_ROOT_COUNT', 'Not exactly one root.', 'transaction.roots', {
    roots: transaction.roots,
  });
  // Keys would be resolved by content that no signature covers.
  const hasNoKeys = metadata.globalKeyMapping.length === 0;
  demand(hasNoKeys, 'TREE_UNSIGNED_CONTENT', 'Contract keys are resolved outside the signature.', 'globalKeyMapping');

  const nodes = placeNodes(transaction);
  const inputContracts = readInputContracts(metadata);
  return { root: rootOf(nodes), nodes, inputContracts, ...followContracts(nodes, inputContracts) };
}

function rootOf(nodes: readonly TreeNode[]): ExerciseNode {
  const [root] = nodes;
  demand(root?.kind === 'exercise', 'TREE_NODE_NOT_ALLOWED', 'The root is not an exercise.', root?.at ?? 'root');
  return root;
}

/** The nodes in pre-order, without recursion. Node ids must rise on the way: that rules out cycles and sharing, and fixes the order. */
function placeNodes({ roots, nodes, nodeSeeds }: DamlTransaction): readonly TreeNode[] {
  demand(nodes.length <= NODES_MAX, 'TREE_MALFORMED', 'Too many nodes.', 'transaction', { nodes: nodes.length });
  const byId = new Map<string, Node>();
  for (const { nodeId, versionedNode } of nodes) {
    const at = `node ${nodeId}`;
    demand(NODE_ID_PATTERN.test(nodeId), 'TREE_MALFORMED', 'Not a node id.', at);
    demand(!byId.has(nodeId), 'TREE_MALFORMED', 'Two nodes have one id.', at);
    byId.set(nodeId, present(versionedNode?.value, 'TREE_NODE_NOT_ALLOWED', at));
  }
  for (const { nodeId } of nodeSeeds) {
    const kind = byId.get(String(nodeId))?.nodeType?.$case;
    const isSeeded = kind === 'create' || kind === 'exercise';
    demand(
      isSeeded,
      'TREE_MALFORMED',
      'A seed for something else than a create or exercise.',
      `seed of node ${nodeId}`,
    );
  }

  const placed: TreeNode[] = [];
  const pending = roots.map((id) => ({ id, parent: null as ExerciseNode | null })).reverse();
  let lastId = -1;
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const at = `node ${next.id}`;
    const id = Number(next.id);
    const raw = present(byId.get(next.id), 'TREE_MALFORMED', at);
    demand(id > lastId, 'TREE_MALFORMED', 'Node ids do not rise in the order of the tree.', at);
    lastId = id;
    const node = placeNode(raw, at, next.parent);
    placed.push(node);
    if (node.kind !== 'exercise') continue;
    for (const child of node.exercise.children.toReversed()) pending.push({ id: child, parent: node });
    demand(pending.length <= NODES_MAX, 'TREE_MALFORMED', 'Too many children.', at);
  }
  if (placed.length !== byId.size) {
    const reached = new Set(placed.map(({ at }) => at));
    const lost = [...byId.keys()].filter((id) => !reached.has(`node ${id}`));
    throw new CustodyRefusal('TREE_NODE_UNREACHABLE', 'Nodes that hang on no root.', `node ${lost[0]}`, { lost });
  }
  return placed;
}

function placeNode({ nodeType }: Node, at: string, parent: ExerciseNode | null): TreeNode {
  switch (nodeType?.$case) {
    case 'create': {
      const { key } = nodeType.value;
      demand(key === undefined, 'TREE_NODE_NOT_ALLOWED', 'A contract with a key.', at);
      demandContract(nodeType.value, at);
      demandReadable(nodeType.value.argument, at);
      return { kind: 'create', at, parent, create: nodeType.value };
    }
    case 'fetch': {
      const { key, byKey, actingParties } = nodeType.value;
      demand(key === undefined && !byKey, 'TREE_NODE_NOT_ALLOWED', 'A fetch by key.', at);
      demandContract(nodeType.value, at);
      demandParties(actingParties, `${at} actingParties`);
      return { kind: 'fetch', at, parent, fetch: nodeType.value };
    }
    case 'exercise': {
      const { key, byKey, actingParties, choiceObservers, externalCallResults, choiceId, chosenValue } = nodeType.value;
      const isPlain = key === undefined && !byKey && externalCallResults.length === 0;
      demand(isPlain, 'TREE_NODE_NOT_ALLOWED', 'An exercise by key or with external calls.', at);
      demandContract(nodeType.value, at);
      demandParties(actingParties, `${at} actingParties`);
      demandParties(choiceObservers, `${at} choiceObservers`);
      demandReadable(chosenValue, at);
      demandReadable(nodeType.value.exerciseResult, at);
      // Daml names the type of a choice's argument after the choice.
      const argument = chosenValue?.sum?.$case === 'record' ? chosenValue.sum.value.recordId?.entityName : undefined;
      demand(argument === choiceId, 'TREE_MALFORMED', 'An argument of another choice.', at, { choiceId, argument });
      const isArchive = nodeType.value.consuming && isSameList(actingParties, nodeType.value.signatories);
      demand(choiceId !== 'Archive' || isArchive, 'TREE_MALFORMED', 'Archived by others than its signatories.', at);
      return { kind: 'exercise', at, parent, exercise: nodeType.value };
    }
    default:
      throw new CustodyRefusal('TREE_NODE_NOT_ALLOWED', 'A kind of node that no transfer has.', at, {
        kind: nodeType?.$case,
      });
  }
}

type ContractFacts = Pick<
  Create,
  'contractId' | 'packageName' | 'templateId' | 'signatories' | 'stakeholders' | 'lfVersion'
>;

function demandContract({ templateId, signatories, stakeholders }: ContractFacts, at: string): void {
  demand(templateId !== undefined, 'TREE_MALFORMED', 'No template.', at);
  demandParties(signatories, `${at} signatories`);
  demandParties(stakeholders, `${at} stakeholders`);
  const areIncluded = signatories.every((party) => stakeholders.includes(party));
  demand(areIncluded && signatories.length > 0, 'TREE_MALFORMED', 'Signatories that are no stakeholders.', at);
}

function demandReadable(value: Value | undefined, at: string): void {
  const name = nameTwiceIn(value);
  demand(name === null, 'TREE_MALFORMED', 'A value says two things under one name.', at, { name });
}

/** Nodes print parties sorted and once; another order would only give a hash that nobody else computes. */
function demandParties(parties: readonly string[], at: string): void {
  const isSorted = parties.every((party, index) => index === 0 || (parties[index - 1] ?? '') < party);
  demand(isSorted, 'TREE_MALFORMED', 'Parties out of order.', at);
}

function readInputContracts({ inputContracts }: Metadata): ReadonlyMap<string, Create> {
  const contracts = new Map<string, Create>();
  for (const [index, { contract }] of inputContracts.entries()) {
    const create = present(contract?.value, 'TREE_MALFORMED', `metadata.inputContracts[${index}]`);
    const at = `input contract ${create.contractId}`;
    demandContract(create, at);
    demandReadable(create.argument, at);
    demand(create.key === undefined, 'TREE_NODE_NOT_ALLOWED', 'A contract with a key.', at);
    demand(!contracts.has(create.contractId), 'TREE_MALFORMED', 'Shown twice.', at);
    contracts.set(create.contractId, create);
  }
  return contracts;
}

/** Follows every contract through the transaction: known before it is used, the same all the way, not used after it is gone. */
function followContracts(
  nodes: readonly TreeNode[],
  inputContracts: ReadonlyMap<string, Create>,
): Pick<TransactionTree, 'created' | 'consumed'> {
  const created = new Map<string, CreateNode>();
  const consumed = new Map<string, ExerciseNode>();
  const used = new Set<string>();
  for (const node of nodes) {
    if (node.kind === 'create') {
      const { contractId } = node.create;
      const isNew = !created.has(contractId) && !inputContracts.has(contractId);
      demand(isNew, 'TREE_CONTRACT_INCONSISTENT', 'A contract is created twice.', node.at, { contractId });
      created.set(contractId, node);
      continue;
    }
    const use = node.kind === 'fetch' ? node.fetch : node.exercise;
    const known = created.get(use.contractId)?.create ?? inputContracts.get(use.contractId);
    demand(known !== undefined, 'TREE_CONTRACT_UNKNOWN', 'A contract that is not shown.', node.at);
    demandSame(use, known, node.at);
    const isActive = !consumed.has(use.contractId);
    demand(isActive, 'TREE_CONTRACT_INCONSISTENT', 'A contract is used after it was consumed.', node.at);
    used.add(use.contractId);
    if (node.kind === 'exercise' && node.exercise.consuming) consumed.set(use.contractId, node);
  }
  for (const contractId of inputContracts.keys()) {
    demand(used.has(contractId), 'TREE_CONTRACT_UNKNOWN', 'Shown, but not used.', `input contract ${contractId}`);
  }
  return { created, consumed };
}

/** The package id may differ, as packages are upgraded; nothing else may. */
function demandSame(use: ContractFacts, known: ContractFacts, at: string): void {
  const isSame =
    use.packageName === known.packageName &&
    qualifiedName(use.templateId) === qualifiedName(known.templateId) &&
    isSameList(use.signatories, known.signatories) &&
    isSameList(use.stakeholders, known.stakeholders);
  demand(isSame, 'TREE_CONTRACT_INCONSISTENT', 'A contract is shown differently where it is used.', at);
}

function isSameList(left: readonly string[], right: readonly string[]): boolean {
  return left.length === right.length && left.every((item, index) => item === right[index]);
}
