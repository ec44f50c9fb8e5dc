/** What is told between the process that has mistakes looked for (killers.ts), the one that runs tests for it (run-killers.ts) and that one's worker (killing.ts). */

export type Kill = {
  /** The name of a mistake, and of the copy of the product that has it. */
  readonly mistake: string;
  /** Below the repository's root. */
  readonly file: string;
  /** Part of the names of the tests that run, those of the groups around them first. */
  readonly test: string;
  /** What the tests copy instead of the usual one: a wall of it has the mistake. */
  readonly templateDatabase: string | null;
};

export type KillerOrder = {
  readonly kills: readonly Kill[];
  readonly databaseServerUrl: string;
  readonly databasePrefix: string;
  readonly templateDatabase: string;
};

export type KillerAnswer = {
  /** The name of the mistake; of the product as it is {@link SOUND} and the file. */
  readonly run: string;
  /** Full names of tests, the groups around them first. */
  readonly passed: readonly string[];
  /** Likewise, with the first line of what was wrong. */
  readonly failed: readonly { readonly test: string; readonly error: string }[];
  /** Why its tests could not run, or not all. */
  readonly broken: string | null;
};

export const SOUND = 'sound: ';
/** The only test of a file that cannot be loaded. */
export const CANNOT_BE_LOADED = 'cannot be loaded';

declare module 'vitest' {
  interface ProvidedContext {
    kills: readonly Kill[];
  }
}
