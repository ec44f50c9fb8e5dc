/** A PostgreSQL server of our own, with fsync on, behind a proxy; and what can be done to it. Who watches it (the checker) goes around the proxy. */
import { execFile } from 'node:child_process';
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { sql } from 'kysely';
import { createDatabase, type Database } from '../../src/db/connection.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/db/embedded.ts';
import { migrate } from '../../src/db/migrate.ts';
import { createSystemLogger, systemClock, systemRandom } from '../../src/env/system.ts';
import { eventually } from '../support/eventually.ts';
import { createTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';

export type ChaosServer = {
  /** Through the proxy: for the processes under test. */
  readonly connectionString: string;
  readonly proxy: TcpProxy;
  /** Around it. */
  readonly db: Database;
  /** SIGKILL to the postmaster, and a new one on the same data as soon as the old one's children are gone. Resolves when it takes connections. */
  killPostmaster(): Promise<void>;
  /** SIGKILL to a random backend of Sluice: the server ends all others and recovers. @returns whether there was one. */
  killBackend(): Promise<boolean>;
  /** Ends some backends of Sluice as an administrator would. @returns how many. */
  terminateBackends(share: number): Promise<number>;
  /** Every transaction from now on is read-only, for Sluice's connections old and new. */
  setReadOnly(isReadOnly: boolean): Promise<void>;
  /** Files of the server as of now, for {@link ChaosServer.rewind}. Stops and starts it. */
  copy(): Promise<void>;
  /** Goes on with the files of the last copy. */
  rewind(): Promise<void>;
  stop(): Promise<void>;
};

const run = promisify(execFile);
const PATIENCE = { deadlineMs: 60_000, intervalMs: 50 };

export async function startServer(): Promise<ChaosServer> {
  const logger = createSystemLogger('silent');
  const folder = await mkdtemp(join(tmpdir(), 'sluice-chaos-'));
  await chmod(folder, 0o755); // The server may run as another user.
  const start = async (port: number): Promise<EmbeddedPostgres> =>
    await startEmbeddedPostgres({
      baseDirectory: folder,
      name: 'server',
      port,
      settings: { max_connections: '200' },
      clock: systemClock,
      random: systemRandom,
      logger,
    });
  let server = await start(0);
  const { port } = server;
  const direct = server.connectionString;
  await migrate({ connectionString: direct, logger });
  const proxy = await createTcpProxy({ host: '127.0.0.1', port });
  const behind = new URL(direct);
  behind.port = String(proxy.port);
  const { db, close } = createDatabase({ connectionString: direct, applicationName: 'chaos', poolSizeMax: 4, logger });

  const backends = async (): Promise<readonly number[]> => {
    const { rows } = await sql<{ pid: number }>`
      SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'sluice-%' AND backend_type = 'client backend' ORDER BY random()`.execute(
      db,
    );
    return rows.map(({ pid }) => pid);
  };
  const postmaster = async (): Promise<number> =>
    Number((await readFile(join(server.directory, 'data', 'postmaster.pid'), 'utf8')).split('\n')[0]);
  const startAgain = async (): Promise<void> => {
    // Children of a killed postmaster hold its shared memory until they notice.
    server = await eventually(async () => await start(port), PATIENCE);
  };

  return {
    connectionString: behind.href,
    proxy,
    db,
    killPostmaster: async () => {
      process.kill(await postmaster(), 'SIGKILL');
      await server.exited;
      await startAgain();
    },
    killBackend: async () => {
      const [pid] = await backends();
      if (pid === undefined) return false;
      process.kill(pid, 'SIGKILL');
      // It ends all connections, recovers, and takes new ones.
      await eventually(async () => await sql`SELECT 1`.execute(db), PATIENCE);
      return true;
    },
    terminateBackends: async (share) => {
      const pids = await backends();
      const chosen = pids.slice(0, Math.ceil(pids.length * share));
      for (const pid of chosen) await sql`SELECT pg_terminate_backend(${pid})`.execute(db);
      return chosen.length;
    },
    setReadOnly: async (isReadOnly) => {
      await sql.raw(`ALTER SYSTEM SET default_transaction_read_only = ${isReadOnly ? 'on' : 'off'}`).execute(db);
      await sql`SELECT pg_reload_conf()`.execute(db);
    },
    copy: async () => {
      await server.stop();
      await rm(join(folder, 'copy'), { recursive: true, force: true });
      await run('cp', ['-a', server.directory, join(folder, 'copy')]);
      await startAgain();
    },
    rewind: async () => {
      await server.stop();
      await rm(server.directory, { recursive: true });
      await run('cp', ['-a', join(folder, 'copy'), server.directory]);
      await startAgain();
    },
    stop: async () => {
      await close();
      await proxy.close();
      await server.stop();
      await rm(folder, { recursive: true });
    },
  };
}
