/** A PostgreSQL of our own for a benchmark, migrated. */
import { startEmbeddedPostgres } from '../src/db/embedded.ts';
import { migrate } from '../src/db/migrate.ts';
import { createSystemLogger, systemClock, systemRandom } from '../src/env/system.ts';

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
