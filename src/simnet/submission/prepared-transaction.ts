/**
 * An interpreted transaction in the form in which a participant shows it for signing: all nodes with their seeds, the contracts it reads,
 * and the metadata. Contracts that it creates have their short ids here, the 33 bytes that follow from the seed: Canton adds the suffix,
 * which authenticates the contract's content, only when the transaction is executed.
 */
import type {
  Metadata,
  Metadata_InputContract,
  PreparedTransaction,
} from '../../gen/com/daml/ledger/api/v2/interactive/interactive_submission_service.ts';
import type {
  Create,
  Node,
} from '../../gen/com/daml/ledger/api/v2/interactive/transaction/v1/interactive_submission_data.ts';
import { type Contract, stakeholdersOf } from '../daml/contract.ts';
import type { TransactionTree, TreeNode } from '../daml/tree.ts';
import { type DamlRecord, recordValue, type Value } from '../daml/value.ts';
import { nodeSeed } from '../ledger/ids.ts';
import { createdEventBlob } from '../ledger/projection.ts';

const LF_VERSION = '2.1'; // What both hashing schemes can hash.
/** Hex digits of version byte and discriminator. */
const SHORT_ID_LENGTH = 66;

export type Preparation = {
  readonly tree: TransactionTree;
  readonly transactionSeed: string;
  /** Finds the contracts that the tree reads. */
  readonly contract: (contractId: string) => Contract | undefined;
  readonly metadata: Omit<
    Metadata,
    'inputContracts' | 'globalKeyMapping' | 'minLedgerEffectiveTime' | 'maxLedgerEffectiveTime'
  >;
};

export function prepareTransaction({ tree, transactionSeed, contract, metadata }: Preparation): PreparedTransaction {
  const nodes: { readonly nodeId: number; readonly node: Node }[] = [];
  const own = new Set<string>();
  const shorten = (contractId: string): string =>
    own.has(contractId) ? contractId.slice(0, SHORT_ID_LENGTH) : contractId;
  const facts = (of: Contract) => ({
    lfVersion: LF_VERSION,
    contractId: shorten(of.contractId),
    packageName: of.packageName,
    templateId: of.templateId,
    signatories: [...of.signatories],
    stakeholders: [...stakeholdersOf(of)],
  });
  const create = (of: Contract): Create => ({
    ...facts(of),
    argument: withShortIds(recordValue(of.createArguments), shorten),
  });
  const nodeOf = (node: TreeNode): Node => {
    switch (node.kind) {
      case 'create':
        return { nodeType: { $case: 'create', value: create(node.contract) } };
      case 'fetch': {
        const actingParties = [...node.actingParties];
        return {
          nodeType: {
            $case: 'fetch',
            value: { ...facts(node.contract), actingParties, interfaceId: undefined, byKey: false },
          },
        };
      }
      case 'rollback':
        return { nodeType: { $case: 'rollback', value: { children: node.children.map(idOf) } } };
      case 'exercise':
        return {
          nodeType: {
            $case: 'exercise',
            value: {
              ...facts(node.contract),
              actingParties: [...node.actingParties],
              interfaceId: node.interfaceId,
              choiceId: node.choice,
              chosenValue: withShortIds(node.argument, shorten),
              consuming: node.consuming,
              children: node.children.map(idOf),
              exerciseResult: withShortIds(node.result, shorten),
              choiceObservers: [...node.choiceObservers],
              byKey: false,
              externalCallResults: [],
            },
          },
        };
    }
  };
  const inOrder: TreeNode[] = [];
  const collect = (node: TreeNode): void => {
    inOrder.push(node);
    if (node.kind === 'create') own.add(node.contract.contractId);
    if (node.kind === 'exercise' || node.kind === 'rollback') node.children.forEach(collect);
  };
  tree.roots.forEach(collect);
  for (const node of inOrder) nodes.push({ nodeId: node.nodeId, node: nodeOf(node) });

  const inputContracts = [...tree.inputs].sort().flatMap((contractId): Metadata_InputContract[] => {
    const found = contract(contractId);
    if (found === undefined) return [];
    return [
      {
        contract: { $case: 'v1', value: create(found) },
        createdAt: found.createdAtMicros,
        eventBlob: createdEventBlob(found),
      },
    ];
  });
  const seeded = inOrder.filter(({ kind }) => kind === 'create' || kind === 'exercise');
  return {
    transaction: {
      version: LF_VERSION,
      roots: tree.roots.map(idOf),
      nodes: nodes.map(({ nodeId, node }) => ({
        nodeId: String(nodeId),
        versionedNode: { $case: 'v1', value: node },
      })),
      nodeSeeds: seeded.map(({ nodeId }) => ({ nodeId, seed: nodeSeed(transactionSeed, nodeId) })),
    },
    metadata: {
      ...metadata,
      inputContracts,
      globalKeyMapping: [],
      minLedgerEffectiveTime: tree.ledgerTimeMinMicros,
      maxLedgerEffectiveTime: tree.ledgerTimeMaxMicros,
    },
  };
}

const idOf = ({ nodeId }: TreeNode): string => String(nodeId);

function withShortIds(value: Value, shorten: (contractId: string) => string): Value {
  const { sum } = value;
  const inner = (part: Value | undefined): Value | undefined => part && withShortIds(part, shorten);
  switch (sum?.$case) {
    case 'contractId':
      return { sum: { $case: 'contractId', value: shorten(sum.value) } };
    case 'record':
      return { sum: { $case: 'record', value: recordWithShortIds(sum.value, shorten) } };
    case 'optional':
      return { sum: { $case: 'optional', value: { value: inner(sum.value.value) } } };
    case 'variant':
      return { sum: { $case: 'variant', value: { ...sum.value, value: inner(sum.value.value) } } };
    case 'list':
      return {
        sum: {
          $case: 'list',
          value: { elements: sum.value.elements.map((element) => withShortIds(element, shorten)) },
        },
      };
    case 'textMap': {
      const entries = sum.value.entries.map((entry) => ({ key: entry.key, value: inner(entry.value) }));
      return { sum: { $case: 'textMap', value: { entries } } };
    }
    case 'genMap': {
      const entries = sum.value.entries.map((entry) => ({ key: inner(entry.key), value: inner(entry.value) }));
      return { sum: { $case: 'genMap', value: { entries } } };
    }
    default:
      return value;
  }
}

function recordWithShortIds({ recordId, fields }: DamlRecord, shorten: (contractId: string) => string): DamlRecord {
  return {
    recordId,
    fields: fields.map(({ label, value }) => ({ label, value: value && withShortIds(value, shorten) })),
  };
}
