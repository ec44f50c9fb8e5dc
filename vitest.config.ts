import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import { COMPILE_CACHE } from './test/support/compile-cache.ts';
import { LONG_TESTS } from './test/support/long-tests.ts';
import { LongestFirst } from './test/support/longest-first.ts';
import { STRUCK_FILE } from './test/support/struck.ts';

// Every worker inherits them, and so does what a test starts.
Object.assign(process.env, COMPILE_CACHE);
const struck = join(tmpdir(), `sluice-struck-${process.pid}`);
process.env[STRUCK_FILE] = struck;
process.once('exit', () => rmSync(struck, { force: true }));

const SIMULATION = 'test/simulation/simulation.test.ts';
const DATABASE_SETUP = 'test/support/global-setup.ts';
const WITH_DATABASE = { testTimeout: 60_000, hookTimeout: 120_000, sequence: { groupOrder: 1 } };

export default defineConfig({
  // graphql refuses to work with a second copy of itself, and the bundler would load its ES modules where Node loads the CommonJS ones.
  resolve: { alias: [{ find: /^graphql$/, replacement: fileURLToPath(import.meta.resolve('graphql')) }] },
  test: {
    // On two cores: most files spend more than half of their time waiting. Whoever waits is asked for news all the while: ten files of withdrawals cost half as much again of a processor with five workers as with two.
    maxWorkers: 4,
    // A worker loads Sluice and its libraries once, not once for each of three hundred files. No module holds state, and no test replaces one.
    isolate: false,
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        extends: true,
        test: {
          name: 'simulation',
          include: [SIMULATION],
          // By itself, before the others: each of its two processes has a processor then, and does half as much again.
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['src/**/*.test.ts'],
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          ...WITH_DATABASE,
          name: 'integration',
          include: ['test/**/*.test.ts'],
          exclude: [SIMULATION, ...LONG_TESTS],
          globalSetup: [DATABASE_SETUP, 'test/support/struck-setup.ts'],
        },
      },
      {
        extends: true,
        test: {
          ...WITH_DATABASE,
          name: 'long',
          include: LONG_TESTS,
          globalSetup: [DATABASE_SETUP],
        },
      },
    ],
  },
});
