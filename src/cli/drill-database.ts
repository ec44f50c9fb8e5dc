/** A database that a drill may lose: made for it on the server that it was given, copied and put back with PostgreSQL's own means. Nothing else on that server is touched. */
import { sql } from 'kysely';
import { createDatabase } from '../db/connection.ts';
import type { Logger } from '../env/logger.ts';

export type DrillDatabase = {
  readonly connectionString: string;
  /** A copy as it is now; the one before is forgotten. Whoever is connected is cut off. */
  backUp(): Promise<void>;
  /** The last copy in place of what there is, under the same name. */
  restore(): Promise<void>;
  /** All of it. */
  drop(): Promise<void>;
};

/** @param serverUrl of any database of a server on which we may make others. */
export async function createDrillDatabase(serverUrl: string, seed: string, logger: Logger): Promise<DrillDatabase> {
  const live = `sluice_drill_${seed}`;
  const copy = `${live}_backup`;
  const execute = async (...statements: readonly string[]): Promise<void> => {
    const server = createDatabase({
      connectionString: serverUrl,
      applicationName: 'sluice-drill',
      poolSizeMax: 1,
      logger,
    });
    try {
      // None of these statements can be part of a transaction, nor take a parameter; the names are ours.
      for (const statement of statements) await sql.raw(statement).execute(server.db);
    } finally {
      await server.close();
    }
  };
  await execute(`CREATE DATABASE ${live}`);
  const url = new URL(serverUrl);
  url.pathname = `/${live}`;
  return {
    connectionString: url.href,
    backUp: async () =>
      await execute(
        `DROP DATABASE IF EXISTS ${copy} WITH (FORCE)`,
        `ALTER DATABASE ${live} ALLOW_CONNECTIONS false`,
        `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '${live}'`,
        `CREATE DATABASE ${copy} TEMPLATE ${live}`,
        `ALTER DATABASE ${live} ALLOW_CONNECTIONS true`,
      ),
    restore: async () =>
      await execute(`DROP DATABASE ${live} WITH (FORCE)`, `CREATE DATABASE ${live} TEMPLATE ${copy}`),
    drop: async () =>
      await execute(`DROP DATABASE IF EXISTS ${live} WITH (FORCE)`, `DROP DATABASE IF EXISTS ${copy} WITH (FORCE)`),
  };
}
