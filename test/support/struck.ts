/**
 * At which named points of the work processes were killed in a run, so that the run can tell of a point that nobody was ever killed at. Whoever is about to be struck there notes it, in a file whose name all processes
 * of the run have in their environment.
 */
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { FAILPOINTS, type FailpointName } from '../../src/env/failpoint.ts';

/** The variable with the file's name; without it nobody counts. */
export const STRUCK_FILE = 'SLUICE_STRUCK_FILE';

/** Synchronously: the next thing that happens to the process may be its end. */
export function noteStruck(point: string): void {
  const file = process.env[STRUCK_FILE];
  if (file !== undefined && file !== '') appendFileSync(file, `${point}\n`);
}

/** @returns points at which nobody was killed, and how often others were. */
export function readStruck(file: string): {
  readonly missing: readonly FailpointName[];
  readonly counts: ReadonlyMap<string, number>;
} {
  const lines = existsSync(file) ? readFileSync(file, 'utf8').split('\n') : [];
  const counts = new Map<string, number>();
  for (const line of lines) if (line !== '') counts.set(line, (counts.get(line) ?? 0) + 1);
  return { missing: FAILPOINTS.filter((point) => !counts.has(point)), counts };
}
