/** `sluice resume`: lets a stream try again that halted because one update kept ending its worker; with a version that can bear it. */
import { Command } from 'commander';
import { forgetCrashes } from '../ingestion/crash-guard.ts';
import type { CommandContext } from './command-context.ts';
import { listTreasuries } from './treasuries.ts';
import { withDatabase } from './with-database.ts';

export function resumeCommand(context: CommandContext): Command {
  return new Command('resume')
    .description('let a stream that halted for CRASH_LOOP try again at the next start of its worker')
    .argument('<treasury>', 'its name or party')
    .action(async (treasury: string) => {
      await withDatabase(context, 'sluice-resume', async (db) => {
        const found = (await listTreasuries(db)).filter(({ name, party }) => name === treasury || party === treasury);
        let isDone = false;
        for (const { id } of found) isDone = (await forgetCrashes(db, id)) || isDone;
        context.terminal.print(isDone ? 'its crashes are forgotten: restart its worker' : 'no such stream has crashed');
        if (!isDone) context.end('no');
      });
    });
}
