/**
 * Makes everything that is generated: `node scripts/generate.ts`. With `--check` it makes it in a temporary folder instead and fails when
 * the project's files differ, which leaves the work tree untouched.
 *
 * A new generated file is a new entry of STEPS.
 */
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { startEmbeddedPostgres } from '../src/db/embedded.ts';
import { migrate } from '../src/db/migrate.ts';
import {
  faultsAgainstLock,
  LOCK_FILE,
  MIGRATIONS_DIRECTORY,
  readMigrationFiles,
  readMigrationLock,
} from '../src/db/migration-files.ts';
import { createSystemLogger, systemClock, systemRandom } from '../src/env/system.ts';
import { readUntoldBreakingChanges } from './breaking-changes.ts';
import { printClientTypes } from './generate/client-types.ts';
import { printConfigPage } from './generate/config-page.ts';
import { printDatabaseTypes } from './generate/db-types.ts';
import { printErrorsPage } from './generate/errors-page.ts';
import { printAlerts, printMetricsPage } from './generate/metrics-page.ts';

type Step = {
  /** What it owns, relative to the project: a file, or a folder whose other files are stale. */
  readonly outputs: readonly string[];
  /** Writes its outputs below `target`. */
  readonly run: (target: string) => Promise<void>;
};

const PROJECT = resolve(import.meta.dirname, '..');

// In this order: buf empties src/gen before it writes, and the types need the lock.
const STEPS: readonly Step[] = [
  { outputs: ['migrations/lock.json'], run: writeMigrationLock },
  { outputs: ['src/gen/com', 'src/gen/google'], run: generateProtocol },
  { outputs: ['src/gen/db.ts'], run: generateDatabaseTypes },
  { outputs: ['schema.graphql', 'client/src/gen/schema.ts'], run: generateSchema },
  {
    outputs: ['docs/configuration.md'],
    run: async (target) => await write(target, 'docs/configuration.md', printConfigPage()),
  },
  {
    outputs: ['docs/errors.md'],
    run: async (target) => await write(target, 'docs/errors.md', printErrorsPage()),
  },
  {
    outputs: ['docs/metrics.md', 'deploy/alerts.yaml'],
    run: async (target) => {
      await write(target, 'docs/metrics.md', printMetricsPage());
      await write(target, 'deploy/alerts.yaml', printAlerts());
    },
  },
];

/** Adds new migrations to the lock. An edited one keeps its old hash, and is reported: it may have run somewhere. */
async function writeMigrationLock(target: string): Promise<void> {
  const files = await readMigrationFiles(MIGRATIONS_DIRECTORY);
  const lock = await readMigrationLock(MIGRATIONS_DIRECTORY);
  const added = files.filter((file) => lock[`${file.name}.sql`] === undefined);
  const complete = { ...lock, ...Object.fromEntries(added.map((file) => [`${file.name}.sql`, file.sha256])) };
  const faults = faultsAgainstLock(files, complete);
  if (faults.length > 0) {
    throw new Error(
      `${faults.join('\n')}\n(A migration that never left this machine: delete its line from migrations/${LOCK_FILE}.)`,
    );
  }
  await write(target, 'migrations/lock.json', `${JSON.stringify(complete, null, 2)}\n`);
}

/** proto/ → src/gen, by the settings of buf.gen.yaml. */
async function generateProtocol(target: string): Promise<void> {
  const { PATH = '' } = process.env;
  const path = `${join(PROJECT, 'node_modules/.bin')}${delimiter}${PATH}`;
  await promisify(execFile)('buf', ['generate', '--output', target], {
    cwd: PROJECT,
    env: { ...process.env, PATH: path },
  });
  const generated = join(target, 'src/gen');
  for (const file of await readdir(generated, { recursive: true })) {
    if (!file.endsWith('.ts')) continue;
    const source = await readFile(join(generated, file), 'utf8');
    await writeFile(join(generated, file), source.replaceAll(GENERATED_DEPTH_LIMIT, OUR_DEPTH_LIMIT));
  }
}

// The generator lets messages lie in one another a hundred deep. A value of the ledger may have a hundred levels, a level takes three messages (value, record,
// field), and above them are the five of the update: whoever can show us a contract could stop the stream with one that the ledger allows.
const GENERATED_DEPTH_LIMIT = 'previousRecursionDepth >= 100';
const OUR_DEPTH_LIMIT = 'previousRecursionDepth >= 400';

/** migrations/ → a real database → src/gen/db.ts. */
async function generateDatabaseTypes(target: string): Promise<void> {
  const logger = createSystemLogger('warn');
  const env = { clock: systemClock, random: systemRandom, logger };
  const server = await startEmbeddedPostgres({ baseDirectory: null, name: null, port: 0, ...env });
  try {
    const directory = await lockedMigrationsOf(target);
    await migrate({ connectionString: server.connectionString, logger, directory });
    await write(target, 'src/gen/db.ts', await printDatabaseTypes(server.connectionString));
  } finally {
    await server.stop();
  }
}

/** src/schema → schema.graphql, and the types of the client. */
async function generateSchema(target: string): Promise<void> {
  // Loaded late: with src/gen missing or broken, the steps before this one can still repair it.
  const { createSchema, printSchemaSdl } = await import('../src/schema/index.ts');
  await write(target, 'schema.graphql', printSchemaSdl());
  await write(target, 'client/src/gen/schema.ts', printClientTypes(createSchema()));
}

/** The migrations with the lock as this run writes it, so that a new migration and its types come out of one run. */
async function lockedMigrationsOf(target: string): Promise<string> {
  const directory = join(target, 'migrations');
  for (const file of await readMigrationFiles(MIGRATIONS_DIRECTORY)) {
    await cp(join(MIGRATIONS_DIRECTORY, `${file.name}.sql`), join(directory, `${file.name}.sql`));
  }
  return directory;
}

async function write(target: string, path: string, text: string): Promise<void> {
  const file = join(target, path);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, text);
}

/** @returns path → content of the file `path`, or of all files below it; empty when there is none. */
async function readTree(root: string, path: string): Promise<ReadonlyMap<string, string>> {
  const full = join(root, path);
  try {
    const entries = await readdir(full, { recursive: true, withFileTypes: true });
    const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
    return new Map(
      await Promise.all(
        files.map(async (file) => [file.slice(root.length + 1), await readFile(file, 'utf8')] as const),
      ),
    );
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOTDIR') return new Map([[path, await readFile(full, 'utf8')]]);
    if (code === 'ENOENT') return new Map();
    throw error;
  }
}

/** @returns the paths that differ, are missing, or should not be there. */
async function differences(target: string, outputs: readonly string[]): Promise<readonly string[]> {
  const paths: string[] = [];
  for (const output of outputs) {
    const [made, found] = await Promise.all([readTree(target, output), readTree(PROJECT, output)]);
    for (const path of new Set([...made.keys(), ...found.keys()])) {
      if (made.get(path) !== found.get(path)) paths.push(path);
    }
  }
  return paths;
}

/** Fails where the API breaks clients and the changelog does not say so. */
async function tellBreakingChanges(): Promise<void> {
  const untold = await readUntoldBreakingChanges(PROJECT);
  if (untold.length === 0) return;
  console.error(
    `These break clients: tell them under "### Breaking" of the changelog's "Unreleased", each by its name in backticks.\n${untold.map((change) => `  ${change}`).join('\n')}`,
  );
  process.exitCode = 1;
}

async function main(): Promise<void> {
  const isCheck = process.argv.includes('--check');
  const target = await mkdtemp(join(tmpdir(), 'sluice-generate-'));
  const outputs = STEPS.flatMap((step) => step.outputs);
  try {
    for (const step of STEPS) await step.run(target);
    const stale = await differences(target, outputs);
    if (isCheck) await tellBreakingChanges();
    if (isCheck && stale.length > 0) {
      console.error(
        `Not as generated: run \`npm run generate\` and commit.\n${stale.map((path) => `  ${path}`).join('\n')}`,
      );
      process.exitCode = 1;
    } else if (!isCheck) {
      for (const output of outputs) {
        await rm(join(PROJECT, output), { recursive: true, force: true });
        await mkdir(dirname(join(PROJECT, output)), { recursive: true });
        await cp(join(target, output), join(PROJECT, output), { recursive: true });
      }
      for (const path of stale) console.log(`changed ${path}`);
    }
  } finally {
    await rm(target, { recursive: true, force: true });
  }
}

await main();
