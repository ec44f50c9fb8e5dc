/**
 * What makes the processes that tests start begin sooner: hundreds are started in a run, and loading Sluice is most of what many of them do.
 * The worker of a test file has it in its environment (vitest.config.ts); who passes on a smaller environment adds COMPILE_CACHE.
 */
import { execFile } from 'node:child_process';
import { lstatSync } from 'node:fs';
import { resolve } from 'node:path';
import { promisify } from 'node:util';

const PROJECT = resolve(import.meta.dirname, '../..');
const MODULES = resolve(PROJECT, 'node_modules');

export const COMPILE_CACHE: Readonly<Record<string, string>> = {
  /** Where Node keeps what it has compiled: loading takes half as long the second time. */
  NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'] ?? resolve(MODULES, '.cache/node-compile'),
  // Node asks for each part of each module's path whether it is a link: a tenth of the whole. Where npm installed the packages none is; where they were linked as a whole, they would be loaded under two names.
  ...(lstatSync(MODULES).isSymbolicLink() ? {} : { NODE_PRESERVE_SYMLINKS: '1' }),
};

/** Loads all of Sluice once, in a process that ends by itself: one that is killed leaves nothing in the cache. */
export async function fillCompileCache(): Promise<void> {
  await promisify(execFile)(process.execPath, ['src/main.ts', '--help'], {
    cwd: PROJECT,
    env: { ...process.env, ...COMPILE_CACHE },
  });
}
