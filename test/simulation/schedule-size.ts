/** How much there is in a schedule. */

type Range = readonly [least: number, most: number];
export type Size = {
  readonly safetySteps: Range;
  readonly quietSteps: number;
  readonly operations: Range;
  readonly orders: Range;
  readonly tries: number;
  readonly instances: readonly number[];
};

/** How much there is in a schedule: its faults strike during enough steps for most of its traffic to be ingested. Small ones find most of what there is to find, and many of them are run in the time of a large one. */
export const SIZES: Readonly<Record<'small' | 'large', Size>> = {
  small: {
    safetySteps: [100, 350],
    quietSteps: 400,
    operations: [3, 14],
    orders: [0, 4],
    tries: 4,
    instances: [1, 2, 2, 3],
  },
  large: {
    safetySteps: [300, 1_000],
    quietSteps: 600,
    operations: [10, 40],
    orders: [0, 10],
    tries: 6,
    instances: [1, 2, 2, 3, 3],
  },
};
