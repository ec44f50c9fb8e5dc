/** `sluice migrate`: brings the database to the schema of this version, or says how far it is. */
import { Command } from 'commander';
import { loadConfig } from '../config/config.ts';
import { createDatabase } from '../db/connection.ts';
import { migrate, migrationStatus } from '../db/migrate.ts';
import type { CommandContext } from './command-context.ts';
import { openDatabase } from './open-database.ts';
import { untilStopped } from './shutdown.ts';

export function migrateCommand(context: CommandContext): Command {
  return new Command('migrate')
    .description('bring the database to the schema of this version')
    .option('--status', 'change nothing: list the migrations; exit code 1 when some are pending')
    .action(async (options: { readonly status?: boolean }) => {
      const config = loadConfig(context.environment, ['databaseUrl', 'dataDir', 'logLevel']);
      const logger = context.createLogger(config.logLevel);
      const { terminal } = context;
      await untilStopped({ ...context, logger }, async ({ teardown }) => {
        const { connectionString } = await openDatabase(config, { ...context, logger, teardown, isThrowAway: false });
        if (options.status === true) {
          const { db, close } = createDatabase({
            connectionString,
            applicationName: 'sluice-migrate',
            poolSizeMax: 1,
            logger,
          });
          teardown.add('database connections', close);
          const migrations = await migrationStatus(db);
          for (const { name, isApplied } of migrations) terminal.print(`${isApplied ? 'applied' : 'pending'}  ${name}`);
          if (migrations.some(({ isApplied }) => !isApplied)) context.end('no');
          return;
        }
        const applied = await migrate({ connectionString, logger });
        terminal.print(applied.length === 0 ? 'Nothing to do.' : applied.map((name) => `applied  ${name}`).join('\n'));
      });
    });
}
