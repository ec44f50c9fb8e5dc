/** A transaction message of another network as an update of this one: same ids, times and node numbers, only the offset will be new. */
import { timestampToMicros } from '../../env/clock.ts';
import type { CreatedEvent, Event, ExercisedEvent } from '../../gen/com/daml/ledger/api/v2/event.ts';
import type { Transaction } from '../../gen/com/daml/ledger/api/v2/transaction.ts';
import type { Contract } from '../daml/contract.ts';
import type { CommittedNode } from '../daml/tree.ts';
import type { Identifier } from '../daml/value.ts';
import type { PackageDirectory } from '../ledger/package-directory.ts';
import type { LedgerUpdate } from '../ledger/update.ts';

const NO_TIME = { seconds: 0n, nanos: 0 };
const UNKNOWN: Identifier = { packageId: '', moduleName: '', entityName: '' };

export type RecordedUpdate = {
  readonly update: LedgerUpdate;
  /** Parties that see any of it; the participant has to host them. */
  readonly witnesses: readonly string[];
};

/**
 * @param stakeholdersOf of a contract seen before; the message does not say for what it archives.
 */
export function recordedUpdate(
  transaction: Transaction,
  stakeholdersOf: (contractId: string) => readonly string[],
): RecordedUpdate {
  const nodes = transaction.events.flatMap(({ event }): CommittedNode[] => {
    if (event?.$case === 'created') return [createNode(event.value)];
    if (event?.$case === 'exercised') return [exerciseNode(event.value, stakeholdersOf)];
    return [];
  });
  return {
    witnesses: [...new Set(nodes.flatMap(({ witnesses }) => witnesses))],
    update: {
      updateId: transaction.updateId,
      synchronizerId: transaction.synchronizerId,
      recordTimeMicros: timestampToMicros(transaction.recordTime ?? NO_TIME),
      effectiveAtMicros: timestampToMicros(transaction.effectiveAt ?? NO_TIME),
      nodes,
      traceContext: transaction.traceContext ?? { traceparent: undefined, tracestate: undefined },
      externalTransactionHash: transaction.externalTransactionHash,
      submission: undefined,
      recorded: { commandId: transaction.commandId, workflowId: transaction.workflowId },
    },
  };
}

/** Lets filters name what the recording contains. */
export function addSeenPackages(events: readonly Event[], packages: PackageDirectory): void {
  const nameOfInterface = ({ packageId }: Identifier): string => packages.nameOf(packageId) ?? packageId;
  for (const { event } of events) {
    if (event === undefined) continue;
    if (event.value.templateId !== undefined)
      packages.addSeen(event.value.packageName, event.value.templateId, 'template');
    const interfaces =
      event.$case === 'created'
        ? event.value.interfaceViews.flatMap(({ interfaceId }) => interfaceId ?? [])
        : event.value.implementedInterfaces;
    for (const id of interfaces) packages.addSeen(nameOfInterface(id), id, 'interface');
  }
}

function createNode(created: CreatedEvent): CommittedNode {
  const contract: Contract = {
    contractId: created.contractId,
    templateId: created.templateId ?? UNKNOWN,
    packageName: created.packageName,
    createArguments: created.createArguments ?? { recordId: undefined, fields: [] },
    signatories: created.signatories,
    observers: created.observers,
    createdAtMicros: timestampToMicros(created.createdAt ?? NO_TIME),
    interfaces: created.interfaceViews.map(({ interfaceId, viewValue }) => ({
      interfaceId: interfaceId ?? UNKNOWN,
      view: viewValue,
    })),
  };
  return {
    kind: 'create',
    nodeId: created.nodeId,
    lastDescendantNodeId: created.nodeId,
    witnesses: created.witnessParties,
    contract,
  };
}

function exerciseNode(
  exercised: ExercisedEvent,
  stakeholdersOf: (contractId: string) => readonly string[],
): CommittedNode {
  const unit = { sum: { $case: 'unit', value: {} } } as const;
  return {
    kind: 'exercise',
    nodeId: exercised.nodeId,
    lastDescendantNodeId: exercised.lastDescendantNodeId,
    witnesses: exercised.witnessParties,
    contractId: exercised.contractId,
    templateId: exercised.templateId ?? UNKNOWN,
    packageName: exercised.packageName,
    stakeholders: stakeholdersOf(exercised.contractId),
    interfaces: exercised.implementedInterfaces.map((interfaceId) => ({ interfaceId })),
    interfaceId: exercised.interfaceId,
    choice: exercised.choice,
    argument: exercised.choiceArgument ?? unit,
    result: exercised.exerciseResult ?? unit,
    consuming: exercised.consuming,
    actingParties: exercised.actingParties,
  };
}
