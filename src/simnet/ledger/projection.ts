/**
 * What one reader is shown of an update or a contract: the events it may see in the shape it asked for. Facts: Ledger API v2,
 * transaction shapes (event.proto, transaction_filter.proto of Canton 3.5).
 */
import { microsToTimestamp } from '../../env/clock.ts';
import { CreatedEvent, type Event, type InterfaceView } from '../../gen/com/daml/ledger/api/v2/event.ts';
import type { Transaction } from '../../gen/com/daml/ledger/api/v2/transaction.ts';
import { type Contract, stakeholdersOf } from '../daml/contract.ts';
import { renderRecord, renderValue } from '../daml/render.ts';
import type { CommittedNode } from '../daml/tree.ts';
import type { EventFilter, Selection } from './event-filter.ts';
import { matches } from './package-directory.ts';
import { type NodePlace, type ParticipantUpdate, transientContracts } from './update.ts';

export type Shape = 'acsDelta' | 'ledgerEffects';

type ExerciseNode = Extract<CommittedNode, { kind: 'exercise' }>;
type Place = NodePlace & { readonly offset: bigint };

/** gRPC INTERNAL, as a failing view function reports. */
const VIEW_FAILED = { code: 13, message: 'Failed to compute interface view.', details: [] };

/** @returns undefined when the reader may see none of it, or asked for none of it: such updates are not sent. */
export function projectTransaction(
  stored: ParticipantUpdate,
  filter: EventFilter,
  shape: Shape,
  participantId: string,
): Transaction | undefined {
  const { update, offset } = stored;
  const transient = transientContracts(update);
  const isRecorded = update.recorded !== undefined;
  const events: Event[] = [];
  for (const node of update.nodes) {
    const place = stored.places.get(node.nodeId);
    if (place === undefined) continue;
    const at = { ...place, offset };
    if (node.kind === 'create') {
      const isTransient = transient.has(node.contract.contractId);
      if (shape === 'acsDelta' && isTransient) continue;
      const stakeholders = filter.requested(stakeholdersOf(node.contract));
      const seenBy = shape === 'acsDelta' ? stakeholders : filter.requested(node.witnesses);
      const acsDelta = !isTransient && !isRecorded && stakeholders.length > 0;
      const created = createdEvent(node.contract, filter, seenBy, at, acsDelta);
      if (created !== undefined) events.push({ event: { $case: 'created', value: created } });
    } else if (node.kind === 'exercise') {
      const event = exerciseEvent(node, filter, shape, at, { isTransient: transient.has(node.contractId), isRecorded });
      if (event !== undefined) events.push(event);
    }
  }
  if (events.length === 0) return undefined;
  const submission = update.submission?.participantId === participantId ? update.submission : undefined;
  const ids = update.recorded ?? (submission && filter.requested(submission.actAs).length > 0 ? submission : undefined);
  return {
    updateId: update.updateId,
    commandId: ids?.commandId ?? '',
    workflowId: ids?.workflowId ?? '',
    effectiveAt: microsToTimestamp(update.effectiveAtMicros),
    events,
    offset,
    synchronizerId: update.synchronizerId,
    traceContext: update.traceContext,
    recordTime: microsToTimestamp(update.recordTimeMicros),
    externalTransactionHash: update.externalTransactionHash,
    paidTrafficCost: submission?.trafficCost,
    transactionHash: undefined,
  };
}

/** @returns undefined when no filter of `seenBy` wants the contract. */
export function createdEvent(
  contract: Contract,
  filter: EventFilter,
  seenBy: readonly string[],
  place: Pick<Place, 'offset' | 'nodeId'>,
  acsDelta: boolean,
): CreatedEvent | undefined {
  const selection = seenBy.length === 0 ? undefined : filter.select(contract, seenBy);
  if (selection === undefined) return undefined;
  return {
    offset: place.offset,
    nodeId: place.nodeId,
    contractId: contract.contractId,
    templateId: contract.templateId,
    contractKey: undefined,
    createArguments: renderRecord(contract.createArguments, filter.verbose),
    createdEventBlob: selection.includeBlob ? createdEventBlob(contract) : new Uint8Array(),
    interfaceViews: interfaceViews(contract, selection, filter.verbose),
    witnessParties: [...seenBy],
    signatories: [...contract.signatories],
    observers: [...contract.observers],
    createdAt: microsToTimestamp(contract.createdAtMicros),
    packageName: contract.packageName,
    acsDelta,
    representativePackageId: contract.templateId.packageId,
    contractKeyHash: new Uint8Array(),
  };
}

/** @returns the contract as one opaque piece, to be disclosed with a command: enough to restore it. */
export function createdEventBlob(contract: Contract): Uint8Array {
  const { contractId, templateId, createArguments, signatories, observers, packageName } = contract;
  return CreatedEvent.encode(
    CreatedEvent.fromPartial({
      contractId,
      templateId,
      createArguments,
      signatories: [...signatories],
      observers: [...observers],
      packageName,
      createdAt: microsToTimestamp(contract.createdAtMicros),
    }),
  ).finish();
}

function interfaceViews(contract: Contract, selection: Selection, verbose: boolean): InterfaceView[] {
  return contract.interfaces
    .filter(({ interfaceId }) => selection.views.some((reference) => matches(reference, interfaceId)))
    .map(({ interfaceId, view }) => ({
      interfaceId,
      viewStatus: view === undefined ? VIEW_FAILED : { code: 0, message: '', details: [] },
      viewValue: view && renderRecord(view, verbose),
      implementationPackageId: contract.templateId.packageId,
    }));
}

function exerciseEvent(
  node: ExerciseNode,
  filter: EventFilter,
  shape: Shape,
  place: Place,
  facts: { readonly isTransient: boolean; readonly isRecorded: boolean },
): Event | undefined {
  const stakeholders = filter.requested(node.stakeholders);
  if (shape === 'acsDelta' && (!node.consuming || facts.isTransient)) return undefined;
  const seenBy = shape === 'acsDelta' ? stakeholders : filter.requested(node.witnesses);
  const selection = seenBy.length === 0 ? undefined : filter.select(node, seenBy);
  if (selection === undefined) return undefined;
  const implementedInterfaces = node.consuming
    ? node.interfaces
        .map(({ interfaceId }) => interfaceId)
        .filter((interfaceId) => selection.views.some((reference) => matches(reference, interfaceId)))
    : [];
  const base = {
    offset: place.offset,
    nodeId: place.nodeId,
    contractId: node.contractId,
    templateId: node.templateId,
    packageName: node.packageName,
    witnessParties: [...seenBy],
    implementedInterfaces,
  };
  if (shape === 'acsDelta') return { event: { $case: 'archived', value: base } };
  return {
    event: {
      $case: 'exercised',
      value: {
        ...base,
        interfaceId: node.interfaceId,
        choice: node.choice,
        choiceArgument: renderValue(node.argument, filter.verbose),
        actingParties: [...node.actingParties],
        consuming: node.consuming,
        lastDescendantNodeId: place.lastDescendantNodeId,
        exerciseResult: renderValue(node.result, filter.verbose),
        acsDelta: node.consuming && !facts.isTransient && !facts.isRecorded && stakeholders.length > 0,
      },
    },
  };
}
