/** The database a command works on: that of DATABASE_URL, or an embedded one that lives as long as the command. */
import type { Config } from '../config/config.ts';
import { findRunningPostgres, startEmbeddedPostgres } from '../db/embedded.ts';
import type { Clock } from '../env/clock.ts';
import { PermanentError } from '../env/errors.ts';
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
 * @param options.isGuest where another process of ours runs the embedded server, its database is taken, for as long as that process lives.
 * @throws as startEmbeddedPostgres does. Nothing is connected to here.
 */
export async function openDatabase(
  config: Pick<Config, 'databaseUrl' | 'dataDir'>,
  options: {
    readonly isThrowAway: boolean;
    readonly isGuest?: boolean;
    readonly teardown: Teardown;
    readonly clock: Clock;
    readonly random: Random;
    readonly logger: Logger;
  },
): Promise<OpenedDatabase> {
  const ofAnother = (connectionString: string): OpenedDatabase => ({
    connectionString,
    isEmbedded: false,
    exited: Promise.withResolvers<void>().promise,
  });
  if (config.databaseUrl !== null) return ofAnother(config.databaseUrl.reveal());
  const { isThrowAway, isGuest = false, teardown, ...env } = options;
  const place = { ...env, baseDirectory: config.dataDir };
  const started = startEmbeddedPostgres({ ...place, name: isThrowAway ? null : PERSISTENT_NAME, port: 0 });
  const server = await started.catch(async (error: unknown) => {
    const isTaken = error instanceof PermanentError && error.code === 'EMBEDDED_IN_USE';
    const running = isTaken && isGuest ? await findRunningPostgres({ ...place, name: PERSISTENT_NAME }) : null;
    if (running === null) throw error;
    return running;
  });
  if (typeof server === 'string') return ofAnother(server);
  teardown.add('embedded PostgreSQL', async () => await server.stop());
  return { connectionString: server.connectionString, isEmbedded: true, exited: server.exited };
}
