/** What a schedule is: one fault in a system at work, drawn from the seed, and what makes the system meet it. Whoever runs it looks at rest what became of it. */
import type { Random } from '../../src/env/random.ts';
import type { World } from './world.ts';

/** What is counted of it in the end. */
export type FaultKind = 'kill' | 'zombie' | 'postgres' | 'network' | 'other';

export type Schedule = {
  readonly name: string;
  readonly kind: FaultKind;
  /**
   * What it began and did not end, as a process that still stands still, it leaves with {@link World.later}.
   * @returns where it struck, for the table: the failpoint, or `random`.
   */
  run(world: World): Promise<string>;
};

export function pick<T>(random: Random, list: readonly T[]): T {
  const chosen = list[Math.floor(random.next() * list.length)];
  if (chosen === undefined) throw new Error('Nothing to pick from.');
  return chosen;
}

export function shuffled<T>(random: Random, list: readonly T[]): readonly T[] {
  return list
    .map((item) => ({ item, at: random.next() }))
    .sort((left, right) => left.at - right.at)
    .map(({ item }) => item);
}
