/** The database a command works on: that of DATABASE_URL, or an embedded one that lives as long as the command. */
import type { Config } from '../config/config.ts';
import { startEmbeddedPostgres } from '../db/embedded.ts';
import type { Clock } from '../env/clock.ts';
import type { Logger } from '../env/logger.ts';
import type { Random } from '../env/random.ts';
import type { Teardown } from './teardown.ts';

/** The folder of the persistent embedded server below SLUICE_DATA_DIR. */
const PERSISTENT_NAME = 'postgres';

export type OpenedDatabase = {
  /** May hold a password: not for logs. */
  readonly connectionString: string;
  readonly isEmbedded: boolean;
  /** Settles when an embedded server has ended, ours or by itself; never for another. */
  readonly exited: Promise<void>;
};

/**
 * @param options.isThrowAway an embedded server starts empty and its data goes with it.
 * @throws as startEmbeddedPostgres does. Another's database is not connected to here.
 */
export async function openDatabase(
  config: Pick<Config, 'databaseUrl' | 'dataDir'>,
  options: {
    readonly isThrowAway: boolean;
    readonly teardown: Teardown;
    readonly clock: Clock;
    readonly random: Random;
    readonly logger: Logger;
  },
): Promise<OpenedDatabase> {
  if (config.databaseUrl !== null) {
    return {
      connectionString: config.databaseUrl.reveal(),
      isEmbedded: false,
      exited: Promise.withResolvers<void>().promise,
    };
  }
  const { isThrowAway, teardown, ...env } = options;
  const server = await startEmbeddedPostgres({
    ...env,
    baseDirectory: config.dataDir,
    name: isThrowAway ? null : PERSISTENT_NAME,
    port: 0,
  });
  teardown.add('embedded PostgreSQL', async () => await server.stop());
  return { connectionString: server.connectionString, isEmbedded: true, exited: server.exited };
}
