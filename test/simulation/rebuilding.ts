/**
 * The database as the comparison with a rebuild reaches it (src/ingestion/rebuild.ts): a session of its own, which keeps the temporary tables from one schedule to the next and has them empty each time. To make and to drop
 * them, with all their indexes, took longer than all that is done in them, and let other sessions forget plans.
 */
import pg from 'pg';
import { createDatabase, type Database } from '../../src/db/connection.ts';
import { createSystemLogger } from '../../src/env/system.ts';
import { DERIVED_TABLES } from '../../src/ingestion/rebuild.ts';
import { named, ONE_PLAN } from './server-sessions.ts';

export type Rebuilding = {
  /** For `compareWithRebuild` alone: its tables hide those of the same names. */
  readonly db: Database;
  close(): Promise<void>;
};

const CREATION = /^CREATE TEMPORARY TABLE "(\w+)" .* ON COMMIT DROP$/;
/** By DELETE it is cheaper, and leaves dead rows behind. */
const USES_PER_TRUNCATE = 300;

export async function openRebuilding(connectionString: string): Promise<Rebuilding> {
  const { db, pool, close } = createDatabase({
    connectionString,
    applicationName: 'simulation-rebuild',
    poolSizeMax: 1,
    logger: createSystemLogger('silent'),
    keepsStatements: false, // Here all are kept.
  });
  const client = new pg.Client({ ...pool.options, query_timeout: 0, statement_timeout: 120_000 });
  await client.connect();
  await client.query(ONE_PLAN);
  for (const table of DERIVED_TABLES)
    await client.query(`CREATE TEMPORARY TABLE "${table}" (LIKE "public"."${table}" INCLUDING ALL)`);
  let uses = 0;
  const query = async (statement: string, parameters: readonly unknown[] = []): Promise<pg.QueryResult> => {
    const [, table] = CREATION.exec(statement) ?? [];
    if (table === undefined) return await client.query(named(statement, parameters));
    uses += 1;
    const isTruncated = uses % USES_PER_TRUNCATE < DERIVED_TABLES.length;
    return await client.query(
      isTruncated ? `TRUNCATE pg_temp."${table}"` : named(`DELETE FROM pg_temp."${table}"`, []),
    );
  };
  // Takes the place of the pool's own connections, which are never made.
  Object.assign(pool, { connect: async () => ({ query, release: () => undefined }) });
  return {
    db,
    close: async () => {
      await close();
      await client.end();
    },
  };
}
