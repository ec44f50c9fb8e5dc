/**
 * Where Node keeps what it has compiled, for all processes that tests start: loading Sluice takes half as long the second time, and there are hundreds of starts in a run.
 * The worker of a test file has it in its environment (vitest.config.ts); who passes on a smaller environment adds COMPILE_CACHE.
 */
import { execFile } from 'node:child_process';
import { resolve } from 'node:path';
import { promisify } from 'node:util';

const PROJECT = resolve(import.meta.dirname, '../..');

export const COMPILE_CACHE = {
  NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'] ?? resolve(PROJECT, 'node_modules/.cache/node-compile'),
};

/** Loads all of Sluice once, in a process that ends by itself: one that is killed leaves nothing in the cache. */
export async function fillCompileCache(): Promise<void> {
  await promisify(execFile)(process.execPath, ['src/main.ts', '--help'], {
    cwd: PROJECT,
    env: { ...process.env, ...COMPILE_CACHE },
  });
}
