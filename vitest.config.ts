import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import { COMPILE_CACHE } from './test/support/compile-cache.ts';
import { LongestFirst } from './test/support/longest-first.ts';

Object.assign(process.env, COMPILE_CACHE); // Every worker inherits it, and so does what a test starts.

export default defineConfig({
  // graphql refuses to work with a second copy of itself, and the bundler would load its ES modules where Node loads the CommonJS ones.
  resolve: { alias: [{ find: /^graphql$/, replacement: fileURLToPath(import.meta.resolve('graphql')) }] },
  test: {
    // On two cores: one begins with the schedules of the simulation, which use both for as long as nobody else does, and the files of the others spend more than half of their time waiting. Whoever waits is asked for news all the
    // while: ten files of withdrawals cost half as much again of a processor with five workers as with two.
    maxWorkers: 4,
    // A worker loads Sluice and its libraries once, not once for each of three hundred files. No module holds state, and no test replaces one.
    isolate: false,
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['src/**/*.test.ts'],
        },
      },
      {
        extends: true,
        test: {
          name: 'integration',
          include: ['test/**/*.test.ts'],
          globalSetup: ['test/support/global-setup.ts', 'test/support/struck-setup.ts'],
          testTimeout: 60_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
