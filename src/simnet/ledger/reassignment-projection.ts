/** What one reader is shown of contracts that move between synchronizers. Facts: Ledger API v2, reassignment.proto of Canton 3.5. */
import { microsToTimestamp } from '../../env/clock.ts';
import type {
  Reassignment,
  ReassignmentEvent,
  UnassignedEvent,
} from '../../gen/com/daml/ledger/api/v2/reassignment.ts';
import { stakeholdersOf } from '../daml/contract.ts';
import type { ReassignmentFacts } from '../daml/tree.ts';
import type { EventFilter } from './event-filter.ts';
import { createdEvent } from './projection.ts';
import type { ParticipantUpdate } from './update.ts';

type Place = { readonly offset: bigint; readonly nodeId: number };

/** Whether the update is one, instead of a transaction. */
export function isReassignment({ update }: ParticipantUpdate): boolean {
  return update.nodes.some(({ kind }) => kind === 'unassign' || kind === 'assign');
}

/** @returns undefined when the reader may see none of it, or asked for none of it. */
export function projectReassignment(stored: ParticipantUpdate, filter: EventFilter): Reassignment | undefined {
  const { update, offset, places } = stored;
  const events = update.nodes.flatMap((node): ReassignmentEvent[] => {
    const nodeId = places.get(node.nodeId)?.nodeId;
    if (nodeId === undefined) return [];
    if (node.kind === 'unassign') {
      const value = unassignedEvent(node, filter, { offset, nodeId });
      return value === undefined ? [] : [{ event: { $case: 'unassigned', value } }];
    }
    if (node.kind !== 'assign') return [];
    const seenBy = filter.requested(stakeholdersOf(node.contract));
    const created = createdEvent(node.contract, filter, seenBy, { offset, nodeId }, true);
    if (created === undefined) return [];
    const { source, target, reassignmentId, submitter, counter } = node;
    const value = { source, target, reassignmentId, submitter, reassignmentCounter: counter, createdEvent: created };
    return [{ event: { $case: 'assigned', value } }];
  });
  if (events.length === 0) return undefined;
  return {
    updateId: update.updateId,
    commandId: '',
    workflowId: '',
    offset,
    events,
    traceContext: update.traceContext,
    recordTime: microsToTimestamp(update.recordTimeMicros),
    synchronizerId: update.synchronizerId,
    paidTrafficCost: undefined,
  };
}

/** @returns undefined when no filter of the reader wants the contract. */
export function unassignedEvent(
  facts: ReassignmentFacts,
  filter: EventFilter,
  { offset, nodeId }: Place,
): UnassignedEvent | undefined {
  const { contract, reassignmentId, source, target, submitter, counter } = facts;
  const witnesses = filter.requested(stakeholdersOf(contract));
  if (witnesses.length === 0 || filter.select(contract, witnesses) === undefined) return undefined;
  return {
    reassignmentId,
    contractId: contract.contractId,
    templateId: contract.templateId,
    source,
    target,
    submitter,
    reassignmentCounter: counter,
    assignmentExclusivity: undefined,
    witnessParties: [...witnesses],
    packageName: contract.packageName,
    offset,
    nodeId,
  };
}
