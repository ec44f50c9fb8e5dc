/**
 * What has to be right before any test runs: style, types, arrows between modules, and what is generated. Two checks at a time, each with one thread for its work: the compiler shares out what it checks among as many as it
 * likes, and each of them then works out for itself what the others know as well, for twice the time of a processor.
 *
 *   node scripts/check.ts        prints what failed, and how long each took
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';

const PROJECT = resolve(import.meta.dirname, '..');
const AT_ONCE = 2;
const OUTPUT_MAX = 64 * 1024 ** 2;
const TSC = 'node_modules/typescript-native/bin/tsc';
const FOLDERS = ['src', 'client', 'examples', 'test', 'scripts', 'bench'].filter((each) =>
  existsSync(resolve(PROJECT, each)),
);

type Check = { readonly name: string; readonly command: string; readonly args: readonly string[] };

const node = (name: string, ...args: string[]): Check => ({ name, command: process.execPath, args });

/** The longest first. */
const CHECKS: readonly Check[] = [
  { name: 'style', command: 'node_modules/.bin/biome', args: ['check', '--error-on-warnings'] },
  node('types', TSC, '-p', '.', '--singleThreaded'),
  node(
    'arrows',
    'node_modules/dependency-cruiser/bin/dependency-cruiser.mjs',
    '--config',
    '.dependency-cruiser.json',
    ...FOLDERS,
  ),
  node('generated', 'scripts/generate.ts', '--check'),
  node('types of the client', TSC, '-p', 'client', '--singleThreaded'),
  node('types of the page', TSC, '-p', 'examples/balance-page', '--singleThreaded'),
];

/** @returns whether it passed. */
async function run({ name, command, args }: Check): Promise<boolean> {
  const startedAt = performance.now();
  const { said, why } = await new Promise<{ readonly said: string; readonly why: string | null }>((settle) => {
    execFile(command, args, { cwd: PROJECT, maxBuffer: OUTPUT_MAX }, (error, stdout, stderr) => {
      settle({ said: `${stdout}${stderr}`, why: error === null ? null : `${error.code ?? error.signal}` });
    });
  });
  const seconds = ((performance.now() - startedAt) / 1_000).toFixed(1);
  if (why !== null) process.stdout.write(`${said.trimEnd()}\n`);
  console.log(`${why === null ? 'passed' : `FAILED (${why})`}  ${name}, ${seconds} s`);
  return why === null;
}

const waiting = [...CHECKS];
const results: boolean[] = [];
await Promise.all(
  Array.from({ length: AT_ONCE }, async () => {
    for (let check = waiting.shift(); check !== undefined; check = waiting.shift()) results.push(await run(check));
  }),
);
if (results.includes(false)) process.exitCode = 1;
