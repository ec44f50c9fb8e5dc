/** Counts the named points of the work at which a run killed processes, and fails it for one at which nobody was: a point that nobody is killed at is a step that nobody has tried. */
import type { TestProject } from 'vitest/node';
import { FAILPOINTS } from '../../src/env/failpoint.ts';
import { readStruck, STRUCK_FILE } from './struck.ts';

export default function setup(project: TestProject): () => Promise<void> {
  const file = process.env[STRUCK_FILE] ?? '';
  return async () => {
    if (!(await isWholeRun(project))) return;
    const { missing } = readStruck(file);
    console.log(`failpoints ${FAILPOINTS.length - missing.length} of ${FAILPOINTS.length}`);
    if (missing.length > 0) throw new Error(`Nobody was killed at ${missing.join(', ')}.`);
  };
}

async function isWholeRun(project: TestProject): Promise<boolean> {
  const { testFiles } = await project.globTestFiles();
  const ran = new Set(project.vitest.state.getTestModules().map(({ moduleId }) => moduleId));
  return project.vitest.config.testNamePattern === undefined && testFiles.every((path) => ran.has(path));
}
