/**
 * Transactions as trees whose nodes say who is informed of them. From one tree comes what each party sees: a node is shown to its informees and to those of
 * every node above it. Node ids are given as the ledger does, in pre-order and with gaps where something invisible (a fetch) takes one.
 */
import type { Event } from '../../../src/gen/com/daml/ledger/api/v2/event.ts';

export type Tree = {
  /** `last`: the largest node id below, or its own. */
  readonly event: (node: number, last: number) => Event;
  readonly informees: readonly string[];
  readonly children: readonly Tree[];
  /** Invisible nodes before this one. */
  readonly fetches: number;
};

export function leaf(informees: readonly string[], event: Tree['event']): Tree {
  return { event, informees, children: [], fetches: 0 };
}

/** The tree after so many fetches. */
export function after(fetches: number, tree: Tree): Tree {
  return { ...tree, fetches };
}

/** What `party` sees of a transaction, in pre-order. */
export function seenBy(trees: readonly Tree[], party: string): Event[] {
  const events: Event[] = [];
  let next = 0;
  const visit = ({ event, informees, children, fetches }: Tree, isShown: boolean): void => {
    next += fetches;
    const node = next;
    next += 1;
    const isSeen = isShown || informees.includes(party);
    const place = events.length;
    if (isSeen) events.push(event(node, node));
    for (const child of children) visit(child, isSeen);
    if (isSeen) events[place] = event(node, next - 1);
  };
  for (const tree of trees) visit(tree, false);
  return events;
}
