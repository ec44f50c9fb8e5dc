/**
 * Migrated databases for simulations. Their server is never killed, and its data outlive no run: it waits for no disk, has its data in memory where the system has such a place, and does nothing by itself.
 */
import { constants } from 'node:fs';
import { access, chmod, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { startEmbeddedPostgres } from '../../src/db/embedded.ts';
import { migrate } from '../../src/db/migrate.ts';
import { createSystemLogger, systemClock, systemRandom } from '../../src/env/system.ts';

/** Where a folder is memory; elsewhere there is none, and the disk will do. */
const MEMORY = '/dev/shm';

const SETTINGS = {
  fsync: 'off',
  full_page_writes: 'off',
  wal_level: 'minimal',
  max_wal_senders: '0',
  autovacuum: 'off',
  jit: 'off',
  // What a server tells of itself, which nobody asks here.
  track_activities: 'off',
  track_counts: 'off',
  update_process_title: 'off',
  max_wal_size: '4GB',
  checkpoint_timeout: '1h',
};

type Server = { readonly connectionString: string; readonly stop: () => Promise<void> };

/** @returns the server of DATABASE_URL, or one of its own. */
async function startServer(): Promise<Server> {
  const configured = process.env['DATABASE_URL'];
  if (configured !== undefined && configured !== '')
    return { connectionString: configured, stop: async () => undefined };
  const memory = await access(MEMORY, constants.W_OK).then(
    async () => await mkdtemp(join(MEMORY, 'sluice-simulation-')),
    () => null,
  );
  const sockets = memory === null ? null : join(memory, 'sockets');
  if (memory !== null && sockets !== null) {
    await chmod(memory, 0o755); // The server runs as a user of its own where we are root.
    await mkdir(sockets);
    await chmod(sockets, 0o777);
  }
  const server = await startEmbeddedPostgres({
    baseDirectory: memory,
    name: null,
    port: 0,
    settings: { ...SETTINGS, ...(sockets !== null && { unix_socket_directories: sockets }) },
    clock: systemClock,
    random: systemRandom,
    logger: createSystemLogger('warn'),
  });
  return {
    connectionString: throughSocket(server.connectionString, sockets),
    stop: async () => {
      await server.stop();
      if (memory !== null) await rm(memory, { recursive: true, force: true });
    },
  };
}

/** A statement and its answer take less time through a socket that is a file than through one with ports: most of what a short statement costs. */
function throughSocket(connectionString: string, directory: string | null): string {
  return directory === null ? connectionString : `${connectionString}?host=${encodeURIComponent(directory)}`;
}

/** Makes `count` databases, equal to the last byte of their catalogs, and drops them after `work`. */
export async function withMigratedDatabases<T>(
  count: number,
  work: (connectionStrings: readonly string[]) => Promise<T>,
): Promise<T> {
  const server = await startServer();
  const prefix = `sluice_simulation_${systemRandom.uuid().slice(0, 8)}`;
  const names = Array.from({ length: count }, (_, index) => `${prefix}_${index}`);
  const urlOf = (name: string): string =>
    Object.assign(new URL(server.connectionString), { pathname: `/${name}` }).href;
  const admin = new pg.Client({ connectionString: server.connectionString });
  await admin.connect();
  try {
    await admin.query(`CREATE DATABASE ${prefix} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'`);
    await migrate({ connectionString: urlOf(prefix), logger: createSystemLogger('warn') });
    for (const name of names) await admin.query(`CREATE DATABASE ${name} TEMPLATE ${prefix}`);
    return await work(names.map(urlOf));
  } finally {
    for (const name of [prefix, ...names]) await admin.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
    await admin.end();
    await server.stop();
  }
}
