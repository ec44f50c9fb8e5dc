/** What a lying node does to a prepared transaction by hand, and how the check takes it. */
import { type CheckedTransfer, checkIntent } from '../../src/custody/intent-check.ts';
import { PREPARATION_TOLERANCE_MICROS } from '../../src/custody/intent-metadata.ts';
import { type HashScheme, preparedTransactionHash } from '../../src/custody/transaction-hash.ts';
import type { TransferIntent } from '../../src/custody/transfer-intent.ts';
import { PreparedTransaction } from '../../src/gen/com/daml/ledger/api/v2/interactive/interactive_submission_service.ts';
import type {
  Create,
  Exercise,
  Node,
} from '../../src/gen/com/daml/ledger/api/v2/interactive/transaction/v1/interactive_submission_data.ts';
import type { Value } from '../../src/gen/com/daml/ledger/api/v2/value.ts';
import { refusalOf } from './refusal-of.ts';
import { SAMPLES, type Sample } from './sample-transfers.ts';
import { cid } from './sample-values.ts';

export const sampleOf = (name: string): Sample => SAMPLES.find((sample) => sample.name === name)!;

export type Change = (prepared: PreparedTransaction) => void;
export type Attack = [what: string, sample: Sample, code: string, change: Change];

export type Lie = {
  readonly change?: Change;
  readonly intent?: Partial<TransferIntent>;
  readonly scheme?: HashScheme;
  readonly recordTime?: bigint;
};

/** Checks `sample` as changed, with the hash of what it was changed to. */
export function check(sample: Sample, lie: Lie = {}): CheckedTransfer {
  const { change, intent, scheme = sample.scheme, recordTime = sample.recordTime } = lie;
  const prepared = sample.prepared();
  change?.(prepared);
  const preparedTransaction = PreparedTransaction.encode(prepared).finish();
  const nodeHash = preparedTransactionHash(prepared, scheme);
  const window = { recordTime, toleranceMicros: PREPARATION_TOLERANCE_MICROS };
  return checkIntent({ ...sample.intent, ...intent }, { preparedTransaction, scheme, nodeHash }, window);
}

/** The code of the refusal, or `signed`. */
export const outcome = (sample: Sample, lie: Lie): string => refusalOf(() => check(sample, lie));

type NodeType = NonNullable<Node['nodeType']>;

export function nodesOf(prepared: PreparedTransaction): readonly NodeType[] {
  return prepared.transaction!.nodes.map(({ versionedNode }) => versionedNode!.value.nodeType!);
}

/** The first exercise of that choice. */
export function exercise(prepared: PreparedTransaction, choice: string): Exercise {
  const node = nodesOf(prepared).find((type) => type.$case === 'exercise' && type.value.choiceId === choice);
  return node!.value as Exercise;
}

export function create(prepared: PreparedTransaction, contract: string): Create {
  const node = nodesOf(prepared).find((type) => type.$case === 'create' && type.value.contractId === contract);
  return node!.value as Create;
}

export function fieldOf(value: Value | undefined, ...path: string[]): Value {
  let found = value;
  for (const label of path) {
    const sum = found?.sum;
    const fields = sum?.$case === 'record' ? sum.value.fields : [];
    found = fields.find((field) => field.label === label)?.value;
  }
  return found!;
}

export function set(target: Value, to: Value['sum']): void {
  target.sum = to;
}

/** Appends a node below an exercise that ends its parent, so that the order of the tree stays right. */
export function insert(prepared: PreparedTransaction, below: string, nodeType: Node['nodeType']): void {
  const { nodes, nodeSeeds } = prepared.transaction!;
  const nodeId = nodes.length;
  nodes.push({ nodeId: String(nodeId), versionedNode: { $case: 'v1', value: { nodeType } } });
  const isSeeded = nodeType?.$case === 'create' || nodeType?.$case === 'exercise';
  if (isSeeded) nodeSeeds.push({ nodeId, seed: new Uint8Array(32).fill(nodeId) });
  exercise(prepared, below).children.push(String(nodeId));
}

/** Takes out the nodes that `matches`, which must have no children. */
export function remove(prepared: PreparedTransaction, matches: (type: NodeType) => boolean): void {
  const transaction = prepared.transaction!;
  const gone = new Set(
    transaction.nodes
      .filter(({ versionedNode }) => matches(versionedNode!.value.nodeType!))
      .map(({ nodeId }) => nodeId),
  );
  transaction.nodes = transaction.nodes.filter(({ nodeId }) => !gone.has(nodeId));
  transaction.nodeSeeds = transaction.nodeSeeds.filter(({ nodeId }) => !gone.has(String(nodeId)));
  for (const type of nodesOf(prepared)) {
    if (type.$case === 'exercise') type.value.children = type.value.children.filter((child) => !gone.has(child));
  }
}

/** The choice at the root of every transfer. */
export const ROOT = 'TransferFactory_Transfer';

/** One of the fields of the transfer's result. */
export const resultOf = (prepared: PreparedTransaction, label: string): Value =>
  fieldOf(exercise(prepared, ROOT).exerciseResult, label);
/** Signed and seen by exactly these. */
export const between = (contract: Create, ...parties: string[]): void => {
  contract.signatories = parties.toSorted();
  contract.stakeholders = parties.toSorted();
};
export const created = (value: Create): Node['nodeType'] => ({ $case: 'create', value });
export const copyOf = (prepared: PreparedTransaction, from: string, to: string): Create => ({
  ...structuredClone(create(prepared, cid(from))),
  contractId: cid(to),
});
export const archiveOf = (prepared: PreparedTransaction, contract: Create): Node['nodeType'] => ({
  $case: 'exercise',
  value: {
    ...structuredClone(exercise(prepared, 'Archive')),
    contractId: contract.contractId,
    packageName: contract.packageName,
    templateId: contract.templateId,
    signatories: contract.signatories,
    stakeholders: contract.stakeholders,
    actingParties: contract.signatories,
  },
});
