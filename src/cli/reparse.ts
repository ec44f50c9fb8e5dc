/**
 * `sluice reparse`: reads the updates in quarantine again with this version, books them as if they had been read when they came, and closes their quarantine. What later updates meant depends on
 * them (a holding spent since, an offer accepted since), so the whole history of their treasury is derived again and put in place of the old one.
 */
import { Command } from 'commander';
import { switchOver } from '../books/switch-over.ts';
import type { Database } from '../db/connection.ts';
import { noFailpoints } from '../env/failpoint.ts';
import type { Treasury } from '../ingestion/effect-sink.ts';
import { dropSecondSchema } from '../ingestion/second-schema.ts';
import { parseBy } from './by.ts';
import type { CommandContext } from './command-context.ts';
import { deriveAgain } from './derive-again.ts';
import { allSinks, printResult } from './rebuild.ts';
import { listTreasuries } from './treasuries.ts';
import { withDatabase } from './with-database.ts';

type Options = { readonly update?: string; readonly all?: boolean; readonly by: string };

export function reparseCommand(context: CommandContext): Command {
  const command = new Command('reparse')
    .description('read updates in quarantine again and book them; exit code 1 where any stays in quarantine')
    .option('--update <id>', 'the treasury that has this update in quarantine')
    .option('--all', 'every treasury that has updates in quarantine')
    .option('--by <name>', 'who you are: kept with what is closed', parseBy, 'operator')
    .action(async (options: Options) => {
      if ((options.update === undefined) === (options.all !== true)) {
        command.error('Expected --update <id> or --all, one of them.');
      }
      await withDatabase(context, 'sluice-reparse', async (db, { signal, logger }) => {
        const treasuries = await withQuarantine(db, options.update);
        if (treasuries.length === 0) {
          context.terminal.print(options.update === undefined ? 'nothing is in quarantine' : 'it is not in quarantine');
          if (options.update !== undefined) context.end('no');
          return;
        }
        const sinks = allSinks(context, logger);
        const histories = await deriveAgain(context, db, treasuries, signal);
        // Nothing would change: the tables follow from the updates as they do, and what is refused is refused.
        if (histories.every(({ late }) => late.every(({ isQuarantined }) => !isQuarantined))) {
          await dropSecondSchema(db);
          context.terminal.print('none of them can be read by this version either');
          context.end('no');
          return;
        }
        const parts = { ...context, db, histories, sinks, by: options.by };
        const results = await switchOver({ ...parts, failpoint: noFailpoints });
        for (const result of results) printResult(context.terminal, result);
        if (results.some(({ stillQuarantined }) => stillQuarantined.length > 0)) context.end('no');
      });
    });
  return command;
}

async function withQuarantine(db: Database, updateId: string | undefined): Promise<readonly Treasury[]> {
  const waiting = db.selectFrom('quarantine').select('treasury_id').distinct().where('closed_at', 'is', null);
  const rows = await (updateId === undefined ? waiting : waiting.where('update_id', '=', updateId)).execute();
  const ids = new Set(rows.map((row) => row.treasury_id));
  return (await listTreasuries(db)).filter(({ id }) => ids.has(id));
}
