/** A mistake that a test of its own finds within seconds, so that nobody has to search for it by schedules. */
import type { Planted } from './planted.ts';

export type Killer = {
  /** Below the repository's root. */
  readonly file: string;
  /** Part of the names of the tests that run, those of the groups around them first: as few as find it. */
  readonly test: string;
};

export type DirectMistake = Planted & {
  /** Makes a hole in a wall of the database: statements, run in the copy that the killing test gets. */
  readonly database?: string;
  /** Who must find it. */
  readonly killer: Killer;
};
