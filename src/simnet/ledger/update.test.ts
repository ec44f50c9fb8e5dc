import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { CommittedNode } from '../daml/tree.ts';
import { type LedgerUpdate, placeNodes } from './update.ts';

/** Hidden nodes are enough: numbering looks at witnesses and subtrees alone. */
const updateOf = (nodes: readonly CommittedNode[]): LedgerUpdate => ({
  updateId: 'u',
  synchronizerId: 's',
  recordTimeMicros: 1n,
  effectiveAtMicros: 1n,
  nodes,
  traceContext: { traceparent: undefined, tracestate: undefined },
  externalTransactionHash: undefined,
  submission: undefined,
  recorded: undefined,
});

/** Per node in pre-order: how far it climbs back up before it is added, and whether it is seen for its own sake. */
const steps = fc.array(fc.record({ up: fc.nat(3), isSeen: fc.boolean() }), { minLength: 1, maxLength: 30 });

/** Who sees a node sees what is below it. */
function nodesOf(shape: readonly { readonly up: number; readonly isSeen: boolean }[]): CommittedNode[] {
  const nodes: { kind: 'hidden'; nodeId: number; lastDescendantNodeId: number; witnesses: string[] }[] = [];
  let path: typeof nodes = [];
  shape.forEach(({ up, isSeen }, nodeId) => {
    path = path.slice(0, Math.max(path.length - up, 0));
    const isSeenAbove = path.some(({ witnesses }) => witnesses.includes('me'));
    const witnesses = [isSeen || isSeenAbove ? 'me' : 'other'];
    const node = { kind: 'hidden' as const, nodeId, lastDescendantNodeId: nodeId, witnesses };
    for (const ancestor of path) ancestor.lastDescendantNodeId = nodeId;
    nodes.push(node);
    path = [...path, node];
  });
  return nodes;
}

test("a participant's own numbering keeps order and says the same about what lies inside what", () => {
  fc.assert(
    fc.property(steps, fc.integer({ min: 0, max: 3 }), (shape, gap) => {
      const nodes = nodesOf(shape);
      const visible = nodes.filter(({ witnesses }) => witnesses.includes('me'));

      const places = placeNodes(updateOf(nodes), (party) => party === 'me', gap);

      const placed = visible.map((node) => ({
        node,
        place: places.get(node.nodeId) ?? { nodeId: -1, lastDescendantNodeId: -1 },
      }));
      expect(placed.map(({ place }) => place.nodeId)).toEqual(
        placed.map(({ place }) => place.nodeId).toSorted((a, b) => a - b),
      );
      for (const outer of placed) {
        for (const inner of placed) {
          const isInside =
            inner.node.nodeId > outer.node.nodeId && inner.node.nodeId <= outer.node.lastDescendantNodeId;
          expect(
            inner.place.nodeId > outer.place.nodeId && inner.place.nodeId <= outer.place.lastDescendantNodeId,
          ).toBe(isInside);
        }
      }
    }),
  );
});
