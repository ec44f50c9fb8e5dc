/** A migrated database for a run outside the test runner. */
import pg from 'pg';
import { startEmbeddedPostgres } from '../../src/db/embedded.ts';
import { migrate } from '../../src/db/migrate.ts';
import { createSystemLogger, systemClock, systemRandom } from '../../src/env/system.ts';

/** Makes it on the server of DATABASE_URL, or on a throw-away one, and drops it afterwards. */
export async function withMigratedDatabase(work: (connectionString: string) => Promise<void>): Promise<void> {
  const logger = createSystemLogger('warn');
  const configured = process.env['DATABASE_URL'];
  const server =
    configured === undefined || configured === ''
      ? await startEmbeddedPostgres({
          baseDirectory: null,
          name: null,
          port: 0,
          clock: systemClock,
          random: systemRandom,
          logger,
        })
      : { connectionString: configured, stop: async () => undefined };
  const name = `sluice_simulation_${systemRandom.uuid().slice(0, 8)}`;
  const admin = new pg.Client({ connectionString: server.connectionString });
  await admin.connect();
  try {
    await admin.query(`CREATE DATABASE ${name} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'`);
    const url = new URL(server.connectionString);
    url.pathname = `/${name}`;
    await migrate({ connectionString: url.href, logger });
    await work(url.href);
    await admin.query(`DROP DATABASE ${name} WITH (FORCE)`);
  } finally {
    await admin.end();
    await server.stop();
  }
}
