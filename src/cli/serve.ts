/** `sluice serve`: everything from the environment. Ends in order by a signal, or with an exit code that says whether to start again. */
import { Command } from 'commander';
import { loadConfig } from '../config/config.ts';
import { migrate } from '../db/migrate.ts';
import { RetryableError } from '../env/errors.ts';
import { noFailpoints } from '../env/failpoint.ts';
import { isOpen } from './access.ts';
import type { CommandContext } from './command-context.ts';
import { openDatabase } from './open-database.ts';
import { startService } from './service.ts';
import { aborted, untilStopped } from './shutdown.ts';

export function serveCommand(context: CommandContext): Command {
  return new Command('serve')
    .description('follow the ledger and serve the API, configured by environment variables')
    .option('--migrate', 'bring the database of DATABASE_URL to the schema of this version first')
    .option(
      '--opening-at <record time>',
      'what was held then is opening balance, the rest deposits (SLUICE_OPENING_AT)',
    )
    .action(async (options: { readonly migrate?: boolean; readonly openingAt?: string }) => {
      const { openingAt } = options;
      const config = loadConfig({
        ...context.environment,
        ...(openingAt === undefined ? {} : { SLUICE_OPENING_AT: openingAt }),
      });
      const logger = context.createLogger(config.logLevel);
      await untilStopped({ ...context, logger }, async ({ requested, teardown }) => {
        const database = await openDatabase(config, { ...context, logger, teardown, isThrowAway: false });
        const { connectionString } = database;
        // Somebody else's database is changed on request only; ours has nobody else to do it.
        if (database.isEmbedded || options.migrate === true) await migrate({ connectionString, logger });

        const env = { clock: context.clock, random: context.random, logger, failpoint: noFailpoints };
        const service = await startService({ config, connectionString, env });
        teardown.add('service', service.stop, service.stopping);
        const { url } = service;
        context.terminal.print(
          url === null ? `Sluice follows ${config.ledgerUrls.join(', ')}` : `Sluice serves ${url}/graphql`,
        );
        if (url !== null && isOpen(config)) context.terminal.print(`GraphiQL: ${url}/graphiql`);

        const databaseEnded = database.exited.then(
          () => new RetryableError('EMBEDDED_ENDED', 'The embedded PostgreSQL has ended.'),
        );
        const failure = await Promise.race([aborted(requested), service.failed, databaseEnded]);
        if (failure !== undefined) throw failure;
      });
    });
}
