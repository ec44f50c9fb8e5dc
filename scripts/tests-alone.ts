/**
 * A reporter of vitest that says with the exit code whether tests failed and nothing else did: what fails beside them (a file that could not be loaded, a hook of a file, an error that nobody awaited, the end of the run, which
 * finds what was left behind) is found by no second run of those tests.
 *
 *     vitest run --reporter=./scripts/tests-alone.ts
 */
import type { TestModule, TestRunEndReason } from 'vitest/node';

/** The exit code where tests failed, and nothing else. Vitest itself ends with 1, whatever it was. */
export const TESTS_FAILED = 9;

export default class TestsAlone {
  /** Vitest has set its exit code by now, and sets it once more where the end of the run fails. */
  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[], reason: TestRunEndReason): void {
    const isMore =
      errors.length > 0 ||
      modules.some((module) => module.state() === 'pending' || module.state() === 'queued' || isWhole(module));
    if (reason === 'failed' && modules.length > 0 && !isMore) process.exitCode = TESTS_FAILED;
  }
}

/** Whether something of the file failed that is none of its tests. */
function isWhole(module: TestModule): boolean {
  return module.errors().length > 0 || [...module.children.allSuites()].some((suite) => suite.errors().length > 0);
}
