/** What a run has met, counted: a harness that no longer provokes what it was built to provoke must not pass. */
export type Marks = {
  add(mark: string, times?: number): void;
  counts(): ReadonlyMap<string, number>;
};

export function createMarks(): Marks {
  const counts = new Map<string, number>();
  const add = (mark: string, times = 1): void => void counts.set(mark, (counts.get(mark) ?? 0) + times);
  return {
    add,
    counts: () => counts,
  };
}
