/**
 * A transaction as a tree of actions, and the same as the flat list that participants project from. Node ids are given in pre-order to
 * every node, invisible fetches and rollbacks included, which is why readers see gaps.
 */
import { type Contract, sortedUnion } from './contract.ts';
import type { Identifier, Value } from './value.ts';

type NodeBase = {
  readonly nodeId: number;
  /** Who must see this action because of what it is; whoever sees a parent sees it too. */
  readonly informees: readonly string[];
};

export type CreateNode = NodeBase & { readonly kind: 'create'; readonly contract: Contract };
export type FetchNode = NodeBase & {
  readonly kind: 'fetch';
  readonly contract: Contract;
  readonly actingParties: readonly string[];
};
export type ExerciseNode = NodeBase & {
  readonly kind: 'exercise';
  readonly contract: Contract;
  readonly interfaceId: Identifier | undefined;
  readonly choice: string;
  readonly argument: Value;
  readonly result: Value;
  readonly consuming: boolean;
  readonly actingParties: readonly string[];
  readonly choiceObservers: readonly string[];
  readonly children: readonly TreeNode[];
};
/** What happened below was undone; it took node ids and left nothing else. */
export type RollbackNode = NodeBase & { readonly kind: 'rollback'; readonly children: readonly TreeNode[] };

export type TreeNode = CreateNode | FetchNode | ExerciseNode | RollbackNode;

/** The outcome of interpreting commands. Nothing has happened to the ledger yet. */
export type TransactionTree = {
  readonly roots: readonly TreeNode[];
  readonly actAs: readonly string[];
  readonly ledgerTimeMicros: bigint;
  /** Bounds on the ledger effective time, inclusive, from the deadlines that the choices checked. */
  readonly ledgerTimeMinMicros: bigint | undefined;
  readonly ledgerTimeMaxMicros: bigint | undefined;
  readonly created: readonly Contract[];
  /** Every contract of the ledger that the transaction reads; all must still be active when it is committed. */
  readonly inputs: readonly string[];
  /** What it archives: inputs, and contracts that it created itself. */
  readonly consumed: readonly string[];
};

/** A contract on its way from one synchronizer to another. */
export type ReassignmentFacts = {
  readonly contract: Contract;
  readonly reassignmentId: string;
  /** Ids of synchronizers. */
  readonly source: string;
  readonly target: string;
  readonly submitter: string;
  /** How often it will have been assigned. */
  readonly counter: bigint;
};

/** A node of a committed transaction with everybody who may see it. */
export type CommittedNode = {
  readonly nodeId: number;
  /** Inclusive. */
  readonly lastDescendantNodeId: number;
  /** Informees of the node and of every node above it. */
  readonly witnesses: readonly string[];
} & (
  | { readonly kind: 'create'; readonly contract: Contract }
  | { readonly kind: 'hidden' }
  | ({ readonly kind: 'unassign' | 'assign' } & ReassignmentFacts)
  | {
      readonly kind: 'exercise';
      readonly contractId: string;
      readonly templateId: Identifier;
      readonly packageName: string;
      readonly stakeholders: readonly string[];
      readonly interfaces: readonly { readonly interfaceId: Identifier }[];
      readonly interfaceId: Identifier | undefined;
      readonly choice: string;
      readonly argument: Value;
      readonly result: Value;
      readonly consuming: boolean;
      readonly actingParties: readonly string[];
    }
);

/** @returns the nodes in pre-order. Fetches and rollbacks become `hidden`: they count, and nobody is shown them. */
export function flatten(tree: TransactionTree): readonly CommittedNode[] {
  const nodes: CommittedNode[] = [];
  const visit = (node: TreeNode, witnessesAbove: readonly string[]): void => {
    const witnesses = sortedUnion(witnessesAbove, node.informees);
    const base = { nodeId: node.nodeId, lastDescendantNodeId: lastDescendantOf(node), witnesses };
    switch (node.kind) {
      case 'create':
        nodes.push({ ...base, kind: 'create', contract: node.contract });
        return;
      case 'fetch':
      case 'rollback':
        nodes.push({ ...base, kind: 'hidden' });
        return;
      case 'exercise':
        nodes.push({
          ...base,
          kind: 'exercise',
          contractId: node.contract.contractId,
          templateId: node.contract.templateId,
          packageName: node.contract.packageName,
          stakeholders: sortedUnion(node.contract.signatories, node.contract.observers),
          interfaces: node.contract.interfaces,
          interfaceId: node.interfaceId,
          choice: node.choice,
          argument: node.argument,
          result: node.result,
          consuming: node.consuming,
          actingParties: node.actingParties,
        });
        for (const child of node.children) visit(child, witnesses);
    }
  };
  for (const root of tree.roots) visit(root, []);
  return nodes;
}

function lastDescendantOf(node: TreeNode): number {
  if (node.kind === 'create' || node.kind === 'fetch') return node.nodeId;
  const last = node.children.at(-1);
  return last === undefined ? node.nodeId : lastDescendantOf(last);
}
