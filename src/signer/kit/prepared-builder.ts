/** Builds prepared transactions node by node, as a participant would show them: labels and type ids everywhere, parties sorted, ids in pre-order. */
import {
  type Metadata,
  type Metadata_InputContract,
  PreparedTransaction,
} from '../../gen/com/daml/ledger/api/v2/interactive/interactive_submission_service.ts';
import type { Node } from '../../gen/com/daml/ledger/api/v2/interactive/transaction/v1/interactive_submission_data.ts';
import type { Identifier, Value } from '../../gen/com/daml/ledger/api/v2/value.ts';

export type Contract = {
  readonly contractId: string;
  readonly packageName: string;
  readonly templateId: Identifier;
  readonly argument: Value;
  readonly signatories: readonly string[];
  readonly observers?: readonly string[];
};

export type ExerciseSpec = {
  readonly on: Contract;
  readonly choice: string;
  readonly acting: readonly string[];
  readonly argument: Value;
  readonly result: Value;
  readonly consuming?: boolean;
  readonly interfaceId?: Identifier;
  readonly observers?: readonly string[];
};

export const id = (packageId: string, moduleName: string, entityName: string): Identifier => ({
  packageId,
  moduleName,
  entityName,
});
export const party = (value: string): Value => ({ sum: { $case: 'party', value } });
export const text = (value: string): Value => ({ sum: { $case: 'text', value } });
export const numeric = (value: string): Value => ({ sum: { $case: 'numeric', value } });
export const time = (value: bigint): Value => ({ sum: { $case: 'timestamp', value } });
export const int64 = (value: bigint): Value => ({ sum: { $case: 'int64', value } });
export const unit: Value = { sum: { $case: 'unit', value: {} } };
export const contractId = (value: string): Value => ({ sum: { $case: 'contractId', value } });
export const list = (...elements: Value[]): Value => ({ sum: { $case: 'list', value: { elements } } });
export const some = (value: Value | undefined): Value => ({ sum: { $case: 'optional', value: { value } } });
export const variant = (variantId: Identifier, name: string, value: Value): Value => ({
  sum: { $case: 'variant', value: { variantId, constructor: name, value } },
});
export const textMap = (values: Readonly<Record<string, Value>>): Value => ({
  sum: { $case: 'textMap', value: { entries: Object.entries(values).map(([key, value]) => ({ key, value })) } },
});
export const record = (recordId: Identifier, fields: Readonly<Record<string, Value>>): Value => ({
  sum: {
    $case: 'record',
    value: { recordId, fields: Object.entries(fields).map(([label, value]) => ({ label, value })) },
  },
});

const sorted = (parties: readonly string[]): string[] => [...new Set(parties)].sort();

export type TreeBuilder = {
  fetch(contract: Contract, acting: readonly string[]): void;
  create(contract: Contract): void;
  exercise(spec: ExerciseSpec, below?: () => void): void;
  archive(contract: Contract, acting: readonly string[]): void;
  prepared(metadata: Omit<Metadata, 'inputContracts' | 'globalKeyMapping'>): PreparedTransaction;
};

/** @param known contracts of earlier transactions; those that are used become the input contracts. */
export function createTreeBuilder(known: readonly Contract[]): TreeBuilder {
  const nodes: { id: number; node: Node }[] = [];
  const roots: string[] = [];
  const used = new Set<string>();
  let siblings = roots;

  const add = (nodeType: NonNullable<Node['nodeType']>): number => {
    const nodeId = nodes.length;
    nodes.push({ id: nodeId, node: { nodeType } });
    siblings.push(String(nodeId));
    return nodeId;
  };
  const facts = (contract: Contract) => ({
    lfVersion: '2.1',
    contractId: contract.contractId,
    packageName: contract.packageName,
    templateId: contract.templateId,
    signatories: sorted(contract.signatories),
    stakeholders: sorted([...contract.signatories, ...(contract.observers ?? [])]),
  });
  const builder: TreeBuilder = {
    fetch: (contract, acting) => {
      used.add(contract.contractId);
      add({
        $case: 'fetch',
        value: { ...facts(contract), actingParties: sorted(acting), interfaceId: undefined, byKey: false },
      });
    },
    create: (contract) => void add({ $case: 'create', value: { ...facts(contract), argument: contract.argument } }),
    exercise: (spec, below) => {
      used.add(spec.on.contractId);
      const children: string[] = [];
      add({
        $case: 'exercise',
        value: {
          ...facts(spec.on),
          actingParties: sorted(spec.acting),
          interfaceId: spec.interfaceId,
          choiceId: spec.choice,
          chosenValue: spec.argument,
          consuming: spec.consuming ?? false,
          children,
          exerciseResult: spec.result,
          choiceObservers: sorted(spec.observers ?? []),
          byKey: false,
          externalCallResults: [],
        },
      });
      const outer = siblings;
      siblings = children;
      below?.();
      siblings = outer;
    },
    archive: (contract, acting) =>
      builder.exercise({
        on: contract,
        choice: 'Archive',
        acting,
        argument: record(
          id('9e70a8b3510d617f8a136213f33d6a903a10ca0eeec76bb06ba55d1ed9680f69', 'DA.Internal.Template', 'Archive'),
          {},
        ),
        result: unit,
        consuming: true,
      }),
    prepared: (metadata) => {
      const inputContracts: Metadata_InputContract[] = known
        .filter((contract) => used.has(contract.contractId))
        .toSorted((left, right) => (left.contractId < right.contractId ? -1 : 1))
        .map((contract) => ({
          contract: { $case: 'v1', value: { ...facts(contract), argument: contract.argument } },
          createdAt: 1_780_000_000_000_000n,
          eventBlob: new Uint8Array([1, 2, 3]),
        }));
      const seeded = nodes.filter(({ node }) => node.nodeType?.$case !== 'fetch');
      const message: PreparedTransaction = {
        transaction: {
          version: '2.1',
          roots,
          nodes: nodes.map((entry) => ({
            nodeId: String(entry.id),
            versionedNode: { $case: 'v1', value: entry.node },
          })),
          nodeSeeds: seeded.map((entry) => ({ nodeId: entry.id, seed: new Uint8Array(32).fill(entry.id + 1) })),
        },
        metadata: { ...metadata, inputContracts, globalKeyMapping: [] },
      };
      // Once over the wire, so that what tests change is what a node would have sent.
      return PreparedTransaction.decode(PreparedTransaction.encode(message).finish());
    },
  };
  return builder;
}
