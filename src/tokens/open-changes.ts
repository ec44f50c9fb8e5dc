/**
 * The changes that nobody has taken yet, by their place in the tree. A stranger may nest ten thousand exercises around ten thousand holdings, and every
 * one of them asks for the changes below it; so what is taken is stepped over and never looked at again.
 */
import { assert } from '../env/errors.ts';

export type OpenChanges<C> = {
  /** Indexes of the open changes between two node ids, both inclusive, in order. Costs what it returns. */
  within(from: number, to: number): number[];
  /** Whether `test` holds for all of them; ends at the first for which it does not. */
  every(from: number, to: number, test: (change: C) => boolean): boolean;
  at(index: number): C;
  take(indexes: readonly number[]): void;
};

/** @param changes by rising node id. */
export function createOpenChanges<C extends { readonly nodeId: number }>(changes: readonly C[]): OpenChanges<C> {
  // The next open index from each one on; itself while it is open. Paths are halved on the way, as in a union-find.
  const next = Int32Array.from({ length: changes.length + 1 }, (_, index) => index);
  const openFrom = (start: number): number => {
    let index = start;
    for (;;) {
      const step = next[index] ?? changes.length;
      if (step === index) return index;
      const further = next[step] ?? changes.length;
      next[index] = further;
      index = further;
    }
  };
  const at = (index: number): C => {
    const change = changes[index];
    assert(change !== undefined, 'There is no such change.', { index });
    return change;
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
    at,
    every: (from, to, test) => {
      for (let index = openFrom(firstAtOrAfter(from)); index < changes.length; index = openFrom(index + 1)) {
        const change = at(index);
        if (change.nodeId > to) return true;
        if (!test(change)) return false;
      }
      return true;
    },
    within: (from, to) => {
      const found: number[] = [];
      for (let index = openFrom(firstAtOrAfter(from)); index < changes.length; index = openFrom(index + 1)) {
        if (at(index).nodeId > to) break;
        found.push(index);
      }
      return found;
    },
    take: (indexes) => {
      for (const index of indexes) next[index] = index + 1;
    },
  };
}
