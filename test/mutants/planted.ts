/** A mistake that is planted on purpose: lines of the product that are changed as they are loaded, never on disk. */
import { readFile } from 'node:fs/promises';
import { isCopied } from './copies.ts';

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

/** @returns `text`, which is what the module at `url` says, with what the mistake changes in it. @throws Error where the place is not there, or there twice. */
export function withMistake({ name, changes }: Planted, url: string, text: string): string {
  return changes
    .filter((change) => sourceUrl(change.file) === url)
    .reduce((changed, { file, find, replace }) => {
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
        const url = sourceUrl(file);
        if (!isCopied(url)) complaints.push(`${planted.name} would change ${file} for all`);
        const text = await readFile(new URL(url), 'utf8');
        if (withMistake(planted, url, text) === text) complaints.push(`${planted.name} changes nothing in ${file}`);
      } catch (error) {
        complaints.push(error instanceof Error ? error.message : String(error));
      }
    }
  }
  return complaints;
}

function sourceUrl(file: string): string {
  return new URL(file, SOURCE).href;
}
