/**
 * `sluice rebuild`: all derived tables once more from the stored updates, in a second schema beside the ones in use, with what differs; `--switch` puts them in their place. May run beside a live
 * stream, which stands still for the moment of the switch. Owned tables are not touched, and after a crash at any point the old tables are the ones in use.
 */
import { Command } from 'commander';
import { type SwitchResult, switchOver } from '../books/switch-over.ts';
import { loadConfig } from '../config/config.ts';
import { noFailpoints } from '../env/failpoint.ts';
import type { Logger } from '../env/logger.ts';
import type { EffectSink } from '../ingestion/effect-sink.ts';
import { compareSchemas, dropSecondSchema } from '../ingestion/second-schema.ts';
import { parseBy } from './by.ts';
import type { CommandContext } from './command-context.ts';
import { deriveAgain } from './derive-again.ts';
import { createSinks } from './effect-sinks.ts';
import { paymentRecoveryOf, RECOVERY_KEYS } from './recovery.ts';
import type { Terminal } from './terminal.ts';
import { listTreasuries } from './treasuries.ts';
import { withDatabase } from './with-database.ts';

type Options = { readonly switch?: boolean; readonly by: string };

export function rebuildCommand(context: CommandContext): Command {
  return new Command('rebuild')
    .description('derive all tables again into a second schema and show what differs; exit code 1 where anything does')
    .option('--switch', 'put them in the place of the ones in use, and bring quarantine and books in line')
    .option('--by <name>', 'who you are: kept with what is closed', parseBy, 'operator')
    .action(async (options: Options) => {
      await withDatabase(context, 'sluice-rebuild', async (db, { signal, logger }) => {
        const sinks = options.switch === true ? allSinks(context, logger) : null;
        const histories = await deriveAgain(context, db, await listTreasuries(db), signal);
        let isEqual = true;
        for (const history of histories) {
          const { treasury } = history;
          const differences = await compareSchemas(db, history);
          isEqual &&= differences.length === 0;
          const verdict = differences.length === 0 ? 'all tables equal' : 'TABLES DIFFER';
          context.terminal.print(`${treasury.network} ${treasury.name}: ${verdict}`);
          for (const { table, onlyStored, onlyRebuilt } of differences) {
            for (const row of onlyStored) context.terminal.print(`  - ${table} ${row}`);
            for (const row of onlyRebuilt) context.terminal.print(`  + ${table} ${row}`);
          }
        }
        if (sinks !== null) {
          const parts = { ...context, db, histories, sinks, by: options.by, failpoint: noFailpoints };
          for (const result of await switchOver(parts)) printResult(context.terminal, result);
          return;
        }
        await dropSecondSchema(db);
        if (!isEqual) context.end('no');
      });
    });
}

/** As the service has them: what is read late is screened as well where the database says so. */
export function allSinks(
  { clock, environment }: Pick<CommandContext, 'clock' | 'environment'>,
  logger: Logger,
): readonly EffectSink[] {
  const config = loadConfig(environment, RECOVERY_KEYS);
  return createSinks({ clock, logger, recover: paymentRecoveryOf(config, { clock, logger }) });
}

export function printResult(terminal: Terminal, result: SwitchResult): void {
  const { treasury, rowsRemoved, rowsAdded, closed, stillQuarantined, corrections, creditsInDoubt } = result;
  const name = `${treasury.network} ${treasury.name}`;
  terminal.print(
    `${name}: switched, ${rowsRemoved} rows out, ${rowsAdded} rows in, ${closed.length} updates out of quarantine`,
  );
  for (const { updateId, reason, detail } of stillQuarantined) {
    terminal.print(`  still in quarantine: ${updateId} ${reason}: ${detail}`);
  }
  for (const { transferId, amount } of corrections) {
    terminal.print(`  booked against unexplained: ${amount} for transfer ${transferId}`);
  }
  for (const id of creditsInDoubt)
    terminal.print(`  CREDITED, and did not bring anything: transfer ${id}; payouts are frozen`);
  if (result.freezesLifted > 0) terminal.print(`  ${result.freezesLifted} freezes lifted`);
}
