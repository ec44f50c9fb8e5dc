/**
 * The changes that nobody has taken yet, by their place in the tree. A stranger may nest ten thousand exercises around ten thousand holdings, and every
 * one of them asks for the changes below it; so what is taken is stepped over and never looked at again.
 */
import { assert } from '../env/errors.ts';

export type OpenChanges<C> = {
  /** The open changes between two node ids, both inclusive, in order. Costs what it returns. */
  within(from: number, to: number): C[];
};

/** @param changes by rising node id; `isTaken` may become true, and stays so. */
export function createOpenChanges<C extends { readonly nodeId: number; readonly isTaken: boolean }>(
  changes: readonly C[],
): OpenChanges<C> {
  // The next index that may be open, from each one on; itself until it is found taken. Paths are halved on the way, as in a union-find.
  const next = new Int32Array(changes.length + 1);
  for (let index = 0; index < next.length; index += 1) next[index] = index;
  const at = (index: number): C => {
    const change = changes[index];
    assert(change !== undefined, 'There is no such change.', { index });
    return change;
  };
  const openFrom = (start: number): number => {
    let index = start;
    while (index < changes.length) {
      const step = next[index] ?? changes.length;
      if (step !== index) {
        next[index] = next[step] ?? changes.length;
        index = step;
      } else if (at(index).isTaken) next[index] = index + 1;
      else return index;
    }
    return changes.length;
  };
  const firstAtOrAfter = (nodeId: number): number => {
    let low = 0;
    let high = changes.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (at(middle).nodeId < nodeId) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  return {
    within: (from, to) => {
      const found: C[] = [];
      for (let index = openFrom(firstAtOrAfter(from)); index < changes.length; index = openFrom(index + 1)) {
        const change = at(index);
        if (change.nodeId > to) break;
        found.push(change);
      }
      return found;
    },
  };
}
