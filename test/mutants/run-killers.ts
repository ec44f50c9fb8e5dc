/**
 * A program that runs tests against the product with mistakes in it: all in one worker of the test runner, which has a copy of the product for each (killing.ts). Reads a {@link KillerOrder} from its parent, and answers with one
 * {@link KillerAnswer} after the other.
 */
import { fileURLToPath } from 'node:url';
import { createVitest, type TestCase, type TestModule, type TestSuite } from 'vitest/node';
import { CANNOT_BE_LOADED, type KillerAnswer, type KillerOrder } from './kill.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** A mistake may let a test wait for what never comes. */
const TEST_MS_MAX = 30_000;

process.once('message', (message) => {
  void run(message as KillerOrder).then(
    () => process.disconnect(),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
});
process.send?.('ready');

async function run(provide: KillerOrder): Promise<void> {
  const vitest = await createVitest(
    'test',
    {
      root: ROOT,
      config: false,
      watch: false,
      include: ['test/mutants/killing.ts'],
      maxWorkers: 1,
      isolate: false,
      dangerouslyIgnoreUnhandledErrors: true,
      testTimeout: TEST_MS_MAX,
      hookTimeout: TEST_MS_MAX,
      experimental: { viteModuleRunner: false, nodeLoader: false },
      provide,
      reporters: [{ onTestModuleEnd: tell }],
    },
    {},
  );
  try {
    await vitest.start();
  } finally {
    await vitest.close();
    process.exitCode = 0; // Tests that fail are what was asked for.
  }
}

function tell(module: TestModule): void {
  for (const error of module.errors()) console.error(error);
  for (const suite of module.children.suites()) process.send?.(answerOf(suite));
}

function answerOf(suite: TestSuite): KillerAnswer {
  const nameOf = (test: TestCase): string => test.fullName.replace(`${suite.name} > `, '').replaceAll(' > ', ' ');
  const tests = [...suite.children.allTests()];
  const failed = tests.flatMap((test) => {
    const { state, errors } = test.result();
    return state === 'failed' ? [{ test: nameOf(test), error: errors?.[0]?.message.split('\n')[0] ?? '' }] : [];
  });
  const unloaded = failed.find(({ test }) => test === CANNOT_BE_LOADED)?.error;
  const [broken] = [suite, ...suite.children.allSuites()].flatMap((one) => one.errors().map(({ message }) => message));
  return {
    run: suite.name,
    passed: tests.filter((test) => test.result().state === 'passed').map(nameOf),
    failed: failed.filter(({ test }) => test !== CANNOT_BE_LOADED),
    broken: unloaded ?? broken ?? null,
  };
}
