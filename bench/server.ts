/** A PostgreSQL of our own for a benchmark, migrated. */

import pg from 'pg';
import { createDatabase } from '../src/db/connection.ts';
import { startEmbeddedPostgres } from '../src/db/embedded.ts';
import { migrate } from '../src/db/migrate.ts';
import { createSystemLogger, systemClock, systemRandom } from '../src/env/system.ts';
import { type CatalogConfig, registerCatalog } from '../src/ingestion/catalog.ts';
import type { Treasury } from '../src/ingestion/effect-sink.ts';
import { registerMemos } from '../test/support/ingestion.ts';
import { parentOf } from './processor-time.ts';

/**
 * For all contestants alike: memory for the working set, and no checkpoint in the middle of a run. Commits are as durable as by default (fsync and
 * synchronous_commit stay on).
 */
const SETTINGS = { shared_buffers: '512MB', max_wal_size: '8GB', checkpoint_timeout: '1h' };

export async function withServer(
  work: (connectionString: string) => Promise<void>,
  settings: Readonly<Record<string, string>> = {},
): Promise<void> {
  const logger = createSystemLogger('error');
  const server = await startEmbeddedPostgres({
    baseDirectory: null,
    name: null,
    port: 0,
    clock: systemClock,
    random: systemRandom,
    logger,
    settings: { ...SETTINGS, ...settings },
  });
  try {
    await migrate({ connectionString: server.connectionString, logger });
    await work(server.connectionString);
  } finally {
    await server.stop();
  }
}

/** @returns the process that forks for every connection. */
export async function postmasterOf(connectionString: string): Promise<number> {
  const client = new pg.Client({ connectionString });
  await client.connect();
  try {
    const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    const [row] = rows;
    if (row === undefined) throw new Error('The server does not say which process it is.');
    return parentOf(row.pid);
  } finally {
    await client.end();
  }
}

/** @returns the treasury of `catalog`, with the memos of its customers registered. */
export async function prepareTreasury(
  connectionString: string,
  { catalog, memos }: { readonly catalog: CatalogConfig; readonly memos: Readonly<Record<string, string>> },
): Promise<Treasury> {
  const logger = createSystemLogger('error');
  const { db, close } = createDatabase({ connectionString, applicationName: 'bench', poolSizeMax: 1, logger });
  try {
    const [treasury] = await registerCatalog(db, catalog);
    if (treasury === undefined) throw new Error('The catalog is incomplete.');
    await registerMemos(db, catalog.network, memos);
    return treasury;
  } finally {
    await close();
  }
}
