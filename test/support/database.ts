/** A database of its own for a test file, copied from the migrated template (about 30 ms). */
import pg from 'pg';
import { inject } from 'vitest';
import { createDatabase, type Database } from '../../src/db/connection.ts';
import type { Logger } from '../../src/env/logger.ts';
import { createSystemLogger, systemClock, systemRandom } from '../../src/env/system.ts';
import { eventually } from './eventually.ts';

export type TestDatabase = {
  /** For whatever connects by itself, another process included. */
  readonly connectionString: string;
  readonly db: Database;
  /** Warnings and errors, on standard error. */
  readonly logger: Logger;
  /**
   * Drops the database.
   *
   * @throws when somebody is still connected two seconds later: a pool or a listener was not closed. The database is dropped all the same.
   */
  close(): Promise<void>;
};

/**
 * Call it once per file and close it after all tests:
 *
 *     const database = await createTestDatabase();
 *     afterAll(() => database.close());
 *
 * @param options.isMigrated false: an empty database instead of a copy of the template.
 * @param options.copyOf a copy of this one instead, as it is now, as a backup has it; whoever is connected to it is cut off.
 */
export async function createTestDatabase(
  options: { readonly isMigrated?: boolean; readonly copyOf?: TestDatabase } = {},
): Promise<TestDatabase> {
  const serverUrl = inject('databaseServerUrl');
  const name = `${inject('databasePrefix')}${systemRandom.uuid().replaceAll('-', '')}`;
  const original = options.copyOf && new URL(options.copyOf.connectionString).pathname.slice(1);
  const template = original ?? (options.isMigrated === false ? 'template0' : inject('templateDatabase'));
  await eventually(
    async () => {
      if (original !== undefined) {
        await execute(
          serverUrl,
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${original}'`,
        );
      }
      // By files: through the log it costs three times as much, and the checkpoints are those of a server in memory.
      await execute(serverUrl, `CREATE DATABASE ${name} TEMPLATE ${template} STRATEGY FILE_COPY`);
    },
    { deadlineMs: original === undefined ? 0 : 10_000, clock: systemClock },
  );

  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  const logger = createSystemLogger('warn');
  const own = createDatabase({ connectionString: url.href, applicationName: 'sluice-test', poolSizeMax: 5, logger });
  return {
    connectionString: url.href,
    db: own.db,
    logger,
    close: async () => {
      await own.close();
      try {
        // A closed connection takes the server a moment to notice.
        await eventually(async () => assertNobodyConnected(await readConnections(serverUrl, name)), {
          deadlineMs: 2_000,
          clock: systemClock,
        });
      } finally {
        await execute(serverUrl, `DROP DATABASE ${name} WITH (FORCE)`);
      }
    },
  };
}

type Connection = { readonly application_name: string; readonly state: string | null; readonly query: string };

async function readConnections(serverUrl: string, database: string): Promise<readonly Connection[]> {
  // Autovacuum is no leak of ours.
  const statement = `SELECT application_name, state, query FROM pg_stat_activity WHERE datname = '${database}' AND backend_type = 'client backend'`;
  return await execute<Connection>(serverUrl, statement);
}

function assertNobodyConnected(connections: readonly Connection[]): void {
  if (connections.length === 0) return;
  const lines = connections.map((leak) => `  ${leak.application_name}, ${leak.state}: ${leak.query}`);
  throw new Error(`Database connections were not closed:\n${lines.join('\n')}`);
}

async function execute<Row extends pg.QueryResultRow>(
  connectionString: string,
  statement: string,
): Promise<readonly Row[]> {
  const client = new pg.Client({ connectionString, application_name: 'sluice-test-harness' });
  await client.connect();
  try {
    return (await client.query<Row>(statement)).rows;
  } finally {
    await client.end();
  }
}
