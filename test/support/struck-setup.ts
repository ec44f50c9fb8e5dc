/** Counts the named points of the work at which a run killed processes, and fails it for one at which nobody was: a point that nobody is killed at is a step that nobody has tried. */
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { FAILPOINTS } from '../../src/env/failpoint.ts';
import { systemRandom } from '../../src/env/system.ts';
import { readStruck, STRUCK_FILE } from './struck.ts';

export default function setup(project: TestProject): () => Promise<void> {
  const file = join(tmpdir(), `sluice-struck-${systemRandom.uuid()}`);
  process.env[STRUCK_FILE] = file; // Before any worker is started: they, and whom they start, have it from here.
  return async () => {
    try {
      if (!(await isWholeRun(project))) return;
      const { missing } = readStruck(file);
      console.log(`failpoints ${FAILPOINTS.length - missing.length} of ${FAILPOINTS.length}`);
      if (missing.length > 0) throw new Error(`Nobody was killed at ${missing.join(', ')}.`);
    } finally {
      await rm(file, { force: true });
    }
  };
}

async function isWholeRun(project: TestProject): Promise<boolean> {
  const { testFiles } = await project.globTestFiles();
  const ran = new Set(project.vitest.state.getTestModules().map(({ moduleId }) => moduleId));
  return project.vitest.config.testNamePattern === undefined && testFiles.every((path) => ran.has(path));
}
