/**
 * A program that runs tests against the product with mistakes in it: one project of the test runner per mistake, all in one run. Reads a {@link KillerOrder} from its parent, and answers with a {@link KillerAnswer} each time
 * one is done.
 */
import { fileURLToPath } from 'node:url';
import { createVitest, type TestCase, type TestModule } from 'vitest/node';
import type { Killer } from './direct-mistake.ts';
import type { Planted } from './planted.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** Which tests of which files run. */
    killers: readonly Killer[];
  }
}

export type KillerRun = {
  /** Of the run; no two are equal. */
  readonly name: string;
  /** None: the product as it is. */
  readonly planted: Planted | null;
  readonly killers: readonly Killer[];
  readonly templateDatabase: string;
};

export type KillerOrder = {
  readonly runs: readonly KillerRun[];
  readonly databaseServerUrl: string;
  readonly databasePrefix: string;
  readonly workers: number;
};

export type KillerAnswer = {
  /** Of the run. */
  readonly name: string;
  /** Below the repository's root. */
  readonly file: string;
  /** Full names of tests, the groups around them first. */
  readonly passed: readonly string[];
  /** Likewise, with the first line of what was wrong. */
  readonly failed: readonly { readonly test: string; readonly error: string }[];
  /** The file could not be run at all. */
  readonly broken: string | null;
  readonly ms: number;
};

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const PLANT = new URL('plant.ts', import.meta.url).href;
const SETUP = fileURLToPath(new URL('killer-setup.ts', import.meta.url));
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

async function run({ runs, databaseServerUrl, databasePrefix, workers }: KillerOrder): Promise<void> {
  const vitest = await createVitest(
    'test',
    {
      root: ROOT,
      config: false,
      watch: false,
      maxWorkers: workers,
      dangerouslyIgnoreUnhandledErrors: true,
      reporters: [{ onTestModuleEnd: (module) => void process.send?.(answerOf(module)) }],
      projects: runs.map(({ name, planted, killers, templateDatabase }) => ({
        test: {
          name,
          root: ROOT,
          include: [...new Set(killers.map(({ file }) => file))],
          // With a mistake nothing is shared; without one, all of it can be.
          isolate: planted !== null,
          setupFiles: [SETUP],
          testTimeout: TEST_MS_MAX,
          hookTimeout: TEST_MS_MAX,
          execArgv: planted === null ? [] : ['--import', `${PLANT}?${encodeURIComponent(planted.name)}`],
          experimental: { viteModuleRunner: false, nodeLoader: false },
          provide: { databaseServerUrl, databasePrefix, templateDatabase, killers },
        },
      })),
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

function answerOf(module: TestModule): KillerAnswer {
  const tests = [...module.children.allTests()];
  const failed = tests.flatMap((test) => {
    const { state, errors } = test.result();
    return state === 'failed' ? [{ test: nameOf(test), error: errors?.[0]?.message.split('\n')[0] ?? '' }] : [];
  });
  const broken = [...module.errors(), ...[...module.children.allSuites()].flatMap((suite) => [...suite.errors()])];
  return {
    name: module.project.name,
    file: module.relativeModuleId,
    passed: tests.filter((test) => test.result().state === 'passed').map(nameOf),
    failed,
    broken: broken[0]?.message ?? null,
    ms: module.diagnostic().duration,
  };
}

const nameOf = (test: TestCase): string => test.fullName.replaceAll(' > ', ' ');
