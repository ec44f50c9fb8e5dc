/** A mistake that is planted on purpose: lines of the product that are changed as they are loaded, never on disk. */
import { readFile } from 'node:fs/promises';

export type Change = {
  /** Below `src/`. */
  readonly file: string;
  /** Exists once in the file; as short as it can be. */
  readonly find: string;
  readonly replace: string;
};

export type Planted = {
  readonly name: string;
  /** What somebody might have thought. */
  readonly mistake: string;
  readonly changes: readonly Change[];
};

const SOURCE = new URL('../../src/', import.meta.url);

/** The address of a file below `src/`. */
export function sourceUrl(file: string): string {
  return new URL(file, SOURCE).href;
}

/** @returns `text`, which is what `file` says, with what the mistake changes in it. @throws Error where the place is not there, or there twice. */
export function withMistake({ name, changes }: Planted, file: string, text: string): string {
  return changes
    .filter((change) => change.file === file)
    .reduce((changed, { find, replace }) => {
      if (changed.split(find).length !== 2) throw new Error(`The mistake ${name} no longer fits ${file}: ${find}`);
      return changed.replace(find, () => replace);
    }, text);
}

/** @returns what no longer fits, in words; empty when all do. */
export async function misfits(all: readonly Planted[]): Promise<readonly string[]> {
  const complaints: string[] = [];
  for (const planted of all) {
    for (const file of new Set(planted.changes.map((change) => change.file))) {
      try {
        const text = await readFile(new URL(file, SOURCE), 'utf8');
        if (withMistake(planted, file, text) === text) complaints.push(`${planted.name} changes nothing in ${file}`);
      } catch (error) {
        complaints.push(error instanceof Error ? error.message : String(error));
      }
    }
  }
  return complaints;
}
