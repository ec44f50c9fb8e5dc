/** What the commands that work on the database and end have in common: configuration, connection, schema check, teardown. */
import { loadConfig } from '../config/config.ts';
import { createDatabase, type Database } from '../db/connection.ts';
import { requireMigrated } from '../db/migrate.ts';
import { PermanentError } from '../env/errors.ts';
import type { Logger } from '../env/logger.ts';
import type { CommandContext } from './command-context.ts';
import { openDatabase } from './open-database.ts';
import { untilStopped } from './shutdown.ts';

export const LONG_STATEMENT_MS = 600_000; // Commands that read whole tables.

/** What is asked of the database's version. */
type Demands = {
  /**
   * A newer version may have migrated it. While a release is rolled out the terminal at hand is often one of the version before, which goes on working with what the newer one made: what stops money, and what says how
   * things are, must not be refused there.
   */
  readonly mayBeNewer?: boolean;
};

/**
 * Runs `work` on the migrated database of DATABASE_URL, or the embedded one.
 * @param work gets a signal that aborts when the command is told to end, and the connection string for what connects by itself.
 * @throws PermanentError MIGRATION_PENDING, MIGRATION_UNKNOWN, and what `work` throws.
 */
export async function withDatabase(
  context: CommandContext,
  applicationName: string,
  work: (
    db: Database,
    more: { readonly signal: AbortSignal; readonly logger: Logger; readonly connectionString: string },
  ) => Promise<void>,
  { mayBeNewer = false }: Demands = {},
): Promise<void> {
  const config = loadConfig(context.environment, ['databaseUrl', 'dataDir', 'logLevel']);
  const logger = context.createLogger(config.logLevel);
  await untilStopped({ ...context, logger }, async ({ requested, teardown }) => {
    const { connectionString } = await openDatabase(config, {
      ...context,
      logger,
      teardown,
      isThrowAway: false,
      isGuest: true,
    });
    const { db, close } = createDatabase({
      connectionString,
      applicationName,
      poolSizeMax: 2,
      logger,
      statementTimeoutMs: LONG_STATEMENT_MS,
      idleInTransactionTimeoutMs: LONG_STATEMENT_MS, // Deriving and asking the participant happen between two statements.
    });
    teardown.add('database connections', close);
    try {
      await requireMigrated(db);
    } catch (error) {
      const isNewer = error instanceof PermanentError && error.code === 'MIGRATION_UNKNOWN';
      if (!mayBeNewer || !isNewer) throw error;
      logger.warn('The database is of a newer version than this command.', { why: error.message });
    }
    await work(db, { signal: requested, logger, connectionString });
  });
}
