/** A committed update as the network knows it, and the place it takes in one participant's history. */
import type { TraceContext } from '../../gen/com/daml/ledger/api/v2/trace_context.ts';
import type { CommittedNode } from '../daml/tree.ts';

export type Submission = {
  /** The participant that submitted; only its readers of `actAs` are told the rest. */
  readonly participantId: string;
  readonly actAs: readonly string[];
  readonly commandId: string;
  readonly workflowId: string;
  /** Bytes. */
  readonly trafficCost: bigint;
};

export type LedgerUpdate = {
  readonly updateId: string;
  readonly synchronizerId: string;
  readonly recordTimeMicros: bigint;
  readonly effectiveAtMicros: bigint;
  readonly nodes: readonly CommittedNode[];
  readonly traceContext: TraceContext;
  readonly externalTransactionHash: Uint8Array | undefined;
  readonly submission: Submission | undefined;
  /** Replayed from a capture: shown as it was captured, without `acs_delta`, which captures of older nodes lack. */
  readonly recorded: { readonly commandId: string; readonly workflowId: string } | undefined;
};

/** Where a node of an update stands in one participant's numbering. */
export type NodePlace = { readonly nodeId: number; readonly lastDescendantNodeId: number };

export type ParticipantUpdate = {
  readonly offset: bigint;
  readonly update: LedgerUpdate;
  readonly places: ReadonlyMap<number, NodePlace>;
};

/** @returns contracts that the update both creates and archives: no change to anybody's active contracts. */
export function transientContracts(update: LedgerUpdate): ReadonlySet<string> {
  const created = new Set(update.nodes.flatMap((node) => (node.kind === 'create' ? [node.contract.contractId] : [])));
  return new Set(
    update.nodes.flatMap((node) =>
      node.kind === 'exercise' && node.consuming && created.has(node.contractId) ? [node.contractId] : [],
    ),
  );
}

/**
 * Numbers the nodes as a participant does that only receives the parts its parties may see: in pre-order over those parts, `gap` ids apart.
 * A participant that receives everything keeps the submitter's numbers, and so shows gaps where its readers see nothing.
 */
export function placeNodes(
  update: LedgerUpdate,
  isHosted: (party: string) => boolean,
  gap: number,
): ReadonlyMap<number, NodePlace> {
  const visible = update.nodes.filter(({ witnesses }) => witnesses.some(isHosted));
  if (update.recorded !== undefined || (gap === 0 && visible.length === update.nodes.length)) {
    return new Map(visible.map(({ nodeId, lastDescendantNodeId }) => [nodeId, { nodeId, lastDescendantNodeId }]));
  }
  const step = gap + 1;
  const places = new Map<number, NodePlace>();
  visible.forEach(({ nodeId, lastDescendantNodeId }, index) => {
    // Whoever sees a node sees its subtree, so the subtree is the run of visible nodes up to the last descendant.
    const after = visible.findIndex((other) => other.nodeId > lastDescendantNodeId);
    const last = (after === -1 ? visible.length : after) - 1;
    places.set(nodeId, { nodeId: index * step, lastDescendantNodeId: last * step });
  });
  return places;
}
