/** How a node answers a prepare dishonestly. What changes the command is a transaction the ledger would accept: only the client can notice. */
import type { PreparedTransaction } from '../../gen/com/daml/ledger/api/v2/interactive/interactive_submission_service.ts';
import type { Command } from '../daml/interpreter.ts';
import type { DamlRecord } from '../daml/value.ts';
import type { PrepareLie } from './submission-faults.ts';

export type TransferChange = { readonly receiver?: string; readonly amount?: string };

/** Makes the argument of a transfer anew for another receiver or amount, with the context the registry would give for that. */
export type Replan = (argument: DamlRecord, change: TransferChange) => DamlRecord;

/** @returns the command itself where the lie is not about it. */
export function lieAboutCommand(command: Command, lie: PrepareLie | undefined, replan: Replan): Command {
  if (command.kind !== 'exercise' || command.choice !== 'TransferFactory_Transfer') return command;
  switch (lie?.kind) {
    case 'receiver':
      return { ...command, argument: replan(command.argument, { receiver: lie.receiver }) };
    case 'amount':
      return { ...command, argument: replan(command.argument, { amount: lie.amount }) };
    default:
      return command;
  }
}

/** @returns another message where the lie is about it; its hash is consistent with it. */
export function lieAboutPrepared(prepared: PreparedTransaction, lie: PrepareLie | undefined): PreparedTransaction {
  switch (lie?.kind) {
    case 'maxRecordTime':
      return { ...prepared, metadata: prepared.metadata && { ...prepared.metadata, maxRecordTime: lie.micros } };
    case 'extraNode':
      return withExtraNode(prepared);
    default:
      return prepared;
  }
}

/** Creates the last created contract once more, below the root. */
function withExtraNode(prepared: PreparedTransaction): PreparedTransaction {
  const { transaction } = prepared;
  if (transaction === undefined) return prepared;
  const copied = transaction.nodes.findLast(({ versionedNode }) => versionedNode?.value.nodeType?.$case === 'create');
  const original = copied?.versionedNode?.value.nodeType;
  if (original?.$case !== 'create') return prepared;
  const nodeId = Math.max(...transaction.nodes.map((node) => Number(node.nodeId))) + 1;
  const contractId = `${original.value.contractId.slice(0, -2)}ee`;
  const [rootId] = transaction.roots;
  const nodes = transaction.nodes.map((node) => {
    const type = node.versionedNode?.value.nodeType;
    if (node.nodeId !== rootId || type?.$case !== 'exercise') return node;
    const value = { ...type.value, children: [...type.value.children, String(nodeId)] };
    return { ...node, versionedNode: { $case: 'v1', value: { nodeType: { $case: 'exercise', value } } } } as const;
  });
  const extra = {
    nodeId: String(nodeId),
    versionedNode: {
      $case: 'v1',
      value: { nodeType: { $case: 'create', value: { ...original.value, contractId } } },
    },
  } as const;
  const seed = new Uint8Array(32).fill(nodeId);
  return {
    ...prepared,
    transaction: {
      ...transaction,
      nodes: [...nodes, extra],
      nodeSeeds: [...transaction.nodeSeeds, { nodeId, seed }],
    },
  };
}
