/** The seeds of `regressions.txt`. */
import { readFile } from 'node:fs/promises';

/** @returns them in the order of the file. */
export async function regressionSeeds(): Promise<readonly number[]> {
  const text = await readFile(new URL('regressions.txt', import.meta.url), 'utf8');
  return text
    .split('\n')
    .filter((line) => line.trim() !== '' && !line.startsWith('#'))
    .map((line) => Number.parseInt(line, 10));
}
