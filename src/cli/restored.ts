/** `sluice restored`: tells Sluice what it cannot always notice by itself, that its database was put back to an earlier state. */
import { Command } from 'commander';
import { loadConfig } from '../config/config.ts';
import { renewLogEpoch } from '../db/log-history.ts';
import { parseBy } from './by.ts';
import type { CommandContext } from './command-context.ts';
import { restoreWindowOf } from './recovery.ts';
import { withDatabase } from './with-database.ts';

export function restoredCommand(context: CommandContext): Command {
  return new Command('restored')
    .description(
      'the database was put back to an earlier state: old cursors beyond it are refused, payouts freeze until somebody has looked',
    )
    .requiredOption('--by <name>', 'who you are', parseBy)
    .requiredOption('--why <text>', 'what was done, for those who come after you')
    .action(async ({ by, why }: { readonly by: string; readonly why: string }) => {
      const { clock, random, terminal } = context;
      const window = restoreWindowOf(loadConfig(context.environment, ['withdrawalTtlSeconds', 'restoreMarginSeconds']));
      await withDatabase(context, 'sluice-restored', async (db) => {
        const epoch = await renewLogEpoch(db, { by, why, random, nowMicros: clock.nowMicros(), window });
        if (epoch !== null) {
          terminal.print(`the event log has the new epoch ${epoch}; payouts are frozen (sluice freezes)`);
          return;
        }
        terminal.print('this is a standby: name the primary in DATABASE_URL');
        context.end('no');
      });
    });
}
