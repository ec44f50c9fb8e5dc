/** The count of a run of CI, of real runs of the test runner: what is no test's failure is not mended by a second run. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { TESTS_FAILED } from '../../scripts/tests-alone.ts';

const PROJECT = resolve(import.meta.dirname, '../..');
const VITEST = join(PROJECT, 'node_modules/vitest/vitest.mjs');
const REPORTER = join(PROJECT, 'scripts/tests-alone.ts');

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-count-'));
  await writeFile(
    join(folder, 'one.test.mjs'),
    `import { afterAll, test } from ${JSON.stringify(join(PROJECT, 'node_modules/vitest/dist/index.js'))};
    test('stands', () => undefined);
    test('fails at first', () => { if (process.env.RUN !== 'AGAIN') throw new Error('Not yet.'); });
    afterAll(() => { if (process.env.RUN === 'HOOK') throw new Error('Something was not closed.'); });\n`,
  );
  await writeFile(
    join(folder, 'setup.mjs'),
    `export default () => () => { if (process.env.RUN === 'END') throw new Error('Something was left behind.'); };\n`,
  );
  await writeFile(
    join(folder, 'vitest.config.mjs'),
    `export default { test: { globalSetup: ['setup.mjs'], maxWorkers: 1 } };\n`,
  );
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

type Ended = { readonly status: string; readonly said: string };

async function node(args: readonly string[], environment: Record<string, string> = {}): Promise<Ended> {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('VITEST'));
  const env = { ...Object.fromEntries(inherited), ...environment };
  return await new Promise((settle) => {
    execFile(process.execPath, args, { cwd: PROJECT, env }, (error, stdout) => {
      settle({ status: String(error === null ? 0 : error.code), said: stdout.trimEnd() });
    });
  });
}

/** @returns the exit code, and the file of the report. */
async function run(kind: string): Promise<readonly [string, string]> {
  const report = join(folder, `${kind}.json`);
  const reporters = [`--reporter=${REPORTER}`, '--reporter=json', `--outputFile.json=${report}`];
  const { status } = await node([VITEST, 'run', `--root=${folder}`, ...reporters], { RUN: kind });
  return [status, report];
}

async function count(...runs: readonly (readonly [string, string])[]): Promise<Ended> {
  return await node(['scripts/test-count.ts', 'count', ...runs.flat()]);
}

test('a test that passes when it runs again is named, and what failed beside it fails the whole', async () => {
  const [first, end, hook, again] = await Promise.all(['FIRST', 'END', 'HOOK', 'AGAIN'].map(run));
  if (first === undefined || end === undefined || hook === undefined || again === undefined)
    throw new Error('No runs.');

  expect([first[0], end[0], hook[0], again[0]]).toEqual([String(TESTS_FAILED), '1', '1', '0']);
  const failed = async (kind: readonly [string, string]): Promise<string> =>
    (await node(['scripts/test-count.ts', 'failed', ...kind])).said;
  expect([await failed(first), await failed(end), await failed(hook)]).toEqual([join(folder, 'one.test.mjs'), '', '']);
  expect(await count(first)).toEqual({ status: '1', said: '1 passed, 1 failed' });
  expect(await count(first, again)).toEqual({
    status: '0',
    said: expect.stringMatching(/^passed only when run again, alone: .*: fails at first\n2 passed, 0 failed$/),
  });
  for (const broken of [end, hook]) {
    const { status, said } = await count(broken, again);
    expect(status).toBe('1');
    expect(said).toMatch(/\nsomething failed that is no test: see above\n2 passed, 1 failed$/);
  }
  // Two runs that together are everything; of one that ended early only that it failed.
  const both = (kind: readonly [string, string]): readonly [string, string] => [
    `${first[0]},${kind[0]}`,
    `${first[1]},${kind[1]}`,
  ];
  expect((await count(both(again))).said).toBe('3 passed, 1 failed');
  expect((await count(both(['1', join(folder, 'none.json')]))).said).toMatch(/1 passed, 2 failed$/);
  expect([await failed(both(again)), await failed(both(end))]).toEqual([join(folder, 'one.test.mjs'), '']);
  // What failed in the end of the second run.
  expect((await count(first, ['1', again[1]])).status).toBe('1');
  // The checks, before any test.
  expect(await count(['1', join(folder, 'none.json')])).toMatchObject({
    status: '1',
    said: expect.stringMatching(/0 passed, 1 failed$/),
  });
});
