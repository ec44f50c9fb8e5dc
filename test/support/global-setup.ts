/**
 * One PostgreSQL for the whole run (embedded, or the server of DATABASE_URL) with a migrated template that each test file copies.
 * What a file left behind fails the run at its end.
 */
import { mkdir, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import type { TestProject } from 'vitest/node';
import { startEmbeddedPostgres } from '../../src/db/embedded.ts';
import { migrate } from '../../src/db/migrate.ts';
import { createSystemLogger, systemClock, systemRandom } from '../../src/env/system.ts';
import { fillCompileCache } from './compile-cache.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** Superuser or at least CREATEDB; the server all test databases are on. */
    databaseServerUrl: string;
    templateDatabase: string;
    /** Test databases of this run begin with it. */
    databasePrefix: string;
  }
}

/** Where a folder is memory, and what has to be free of it; containers often have 64 MB. */
const MEMORY = '/dev/shm';
const MEMORY_BYTES_MIN = 4 * 1024 ** 3;

type Server = { readonly connectionString: string; stop(): Promise<void> };

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const cached = fillCompileCache();
  cached.catch(() => undefined); // Awaited below.
  const server = await startServer();
  const run = systemRandom.uuid().slice(0, 8);
  const templateDatabase = `sluice_template_${run}`;
  const databasePrefix = `sluice_test_${run}_`;
  try {
    await execute(
      server,
      `CREATE DATABASE ${templateDatabase} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'`,
    );
    const url = new URL(server.connectionString);
    url.pathname = `/${templateDatabase}`;
    await migrate({ connectionString: url.href, logger: createSystemLogger('warn') });
    // The first connection after a change writes down what every other one begins with, and each copy has it from here.
    await execute({ connectionString: url.href }, 'SELECT');
    await cached;
    // Nobody may connect to it any more, or it could not be copied.
    await execute(server, `ALTER DATABASE ${templateDatabase} WITH ALLOW_CONNECTIONS false`);
  } catch (error) {
    await server.stop();
    throw error;
  }
  project.provide('databaseServerUrl', server.connectionString);
  project.provide('templateDatabase', templateDatabase);
  project.provide('databasePrefix', databasePrefix);

  return async () => {
    try {
      const left = await execute(
        server,
        `SELECT datname FROM pg_database WHERE starts_with(datname, '${databasePrefix}')`,
      );
      const names = left.map(({ datname }) => String(datname));
      for (const name of [...names, templateDatabase]) await execute(server, `DROP DATABASE ${name} WITH (FORCE)`);
      if (names.length > 0) throw new Error(`Test databases were not closed: ${names.join(', ')}`);
    } finally {
      await server.stop();
    }
  };
}

async function startServer(): Promise<Server> {
  const { DATABASE_URL } = process.env;
  if (DATABASE_URL !== undefined && DATABASE_URL !== '')
    return { connectionString: DATABASE_URL, stop: async () => undefined };
  const server = await startEmbeddedPostgres({
    baseDirectory: await memoryFolder(),
    name: null,
    port: 0,
    settings: { max_connections: '400' },
    clock: systemClock,
    random: systemRandom,
    logger: createSystemLogger('warn'),
  });
  try {
    await proveOnce(server);
    return server;
  } catch (error) {
    await server.stop();
    throw error;
  }
}

/** Of what each of thousands of connections costs us a third is proving four thousand times over that we know the password, which is random and outlives no run. */
async function proveOnce(server: Server): Promise<void> {
  const password = pg.escapeLiteral(new URL(server.connectionString).password);
  await execute(server, `SET scram_iterations = 1; ALTER ROLE CURRENT_USER PASSWORD ${password}`);
}

/**
 * Data that outlive no run need no disk: its settings are those of a service that loses nothing, and none of its commits waits.
 * The folder is the same for all runs: the next one removes what one that was killed left behind.
 */
async function memoryFolder(): Promise<string | null> {
  try {
    const { bavail, bsize } = await statfs(MEMORY);
    if (bavail * bsize < MEMORY_BYTES_MIN) return null;
    const folder = join(MEMORY, `sluice-test-${process.getuid?.() ?? 0}`);
    await mkdir(folder, { recursive: true, mode: 0o755 }); // The server runs as a user of its own where we are root.
    return folder;
  } catch {
    return null; // Not on every system; the disk will do.
  }
}

async function execute(
  server: Pick<Server, 'connectionString'>,
  statement: string,
): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: server.connectionString });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(statement)).rows;
  } finally {
    await client.end();
  }
}
