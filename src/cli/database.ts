/** `sluice database`: how the database is, beyond answering: what it suffers from slowly, and stops of. */
import { Command } from 'commander';
import { isUnwell, readDatabaseHealth } from '../db/database-health.ts';
import type { CommandContext } from './command-context.ts';
import { withDatabase } from './with-database.ts';

export function databaseCommand(context: CommandContext): Command {
  return new Command('database')
    .description('bloat, transaction numbers, open transactions, kept log; exit code 1 where one is past its limit')
    .option('--json', 'for machines: one JSON document')
    .action(async ({ json }: { readonly json?: boolean }) => {
      const { terminal } = context;
      await withDatabase(context, 'sluice-database', async (db) => {
        const checks = await readDatabaseHealth(db);
        if (json === true) {
          terminal.print(JSON.stringify(checks.map((check) => ({ ...check, isUnwell: isUnwell(check) }))));
        } else {
          for (const check of checks) {
            const { name, value, limit, unit, where, meaning } = check;
            const mark = isUnwell(check) ? 'LOOK' : 'ok  ';
            terminal.print(
              `${mark}  ${name}: ${value.toFixed(1)} ${unit} ${meaning}${where === null ? '' : `: ${where}`} (limit ${limit} ${unit})`,
            );
          }
        }
        if (checks.some(isUnwell)) context.end('no');
      });
    });
}
