/** One entry of the corpus: some updates of a ledger, and what each of them means to each party that looks at it, written out by hand. */
import type { Given } from './telling.ts';
import type { Tree } from './tree.ts';

export type Case = {
  readonly name: string;
  /** The shapes (`4.4 a` … ) and tricky cases (`6.3 1` …) of the fact sheet on transactions that it covers. */
  readonly covers: readonly string[];
  readonly given?: readonly Given[];
  readonly updates: readonly (readonly Tree[])[];
  /** By party, per update: the lines of `story.ts`, or that the party cannot read it. */
  readonly views: Readonly<Record<string, readonly (readonly string[] | 'refused')[]>>;
};
