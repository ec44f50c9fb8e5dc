/** `sluice screening`: whether deposits wait for the verdict of a screening service, what still waits, and how that is changed. */
import { Argument, Command } from 'commander';
import { loadConfig } from '../config/config.ts';
import type { Database } from '../db/connection.ts';
import { readDepositScreening } from '../deposits/screening-mode.ts';
import { countWaiting, switchScreening } from '../deposits/screening-switch.ts';
import { formatRecordTime } from '../env/record-time.ts';
import { parseBy } from './by.ts';
import type { CommandContext } from './command-context.ts';
import { printable } from './printable.ts';
import { withDatabase } from './with-database.ts';

type Mode = 'on' | 'off';
type Word = { readonly by: string; readonly why: string; readonly yes?: boolean };

export function screeningCommand(context: CommandContext): Command {
  const { terminal, clock } = context;
  const networkOf = (): string => loadConfig(context.environment, ['network']).network;
  const printWaiting = async (db: Database): Promise<void> => {
    terminal.print(`${await countWaiting(db, networkOf())} deposits and offers wait for a verdict`);
  };

  const change = new Command('switch')
    .description(
      'changes whether deposits wait for a verdict, at once and for every process (docs/guides/deposits.md); `off` shows what it would do, and does it with --yes',
    )
    .addArgument(new Argument('<mode>', 'whether they wait').choices(['on', 'off']))
    .requiredOption('--by <name>', 'who you are', parseBy)
    .requiredOption('--why <text>', 'for those who come after you; kept for ever')
    .option('--yes', 'with `off`: deposits are credited to customers though nobody has looked at them')
    .action(async (to: Mode, { by, why, yes = false }: Word) => {
      await withDatabase(context, 'sluice-screening', async (db) => {
        const network = networkOf();
        if (to === 'off' && !yes) {
          await printWaiting(db);
          terminal.print('From a switch on, deposits would be credited that nobody has looked at.');
          terminal.print('Nothing was changed. The same with --yes does it.');
          return;
        }
        const from = await switchScreening(db, { network, to, by, why, nowMicros: clock.nowMicros() });
        terminal.print(
          from === to ? `screening of deposits is ${to}, as before` : `screening of deposits was ${from} and is ${to}`,
        );
        await printWaiting(db);
        for (const line of AFTERWARDS[to]) terminal.print(line);
      });
    });

  return new Command('screening')
    .description('whether deposits wait for the verdict of a screening service, since when and why')
    .action(async () => {
      await withDatabase(context, 'sluice-screening', async (db) => {
        const { isOn, decided } = await readDepositScreening(db, networkOf());
        const mode = isOn ? 'on' : 'off';
        terminal.print(
          decided === null
            ? `screening of deposits is ${mode}; nobody has decided yet, the first worker will`
            : `screening of deposits is ${mode} since ${formatRecordTime(decided.at)}, by ${printable(decided.by)}: ${printable(decided.why)}`,
        );
        await printWaiting(db);
      });
    })
    .addCommand(change);
}

const AFTERWARDS: Readonly<Record<Mode, readonly string[]>> = {
  on: [
    'set SLUICE_SCREENING_URL and SLUICE_SCREENING_SECRET on every worker before it starts again; until one has them, deposits wait',
  ],
  off: [
    'what waits goes on waiting for its verdict: let one worker keep SLUICE_SCREENING_URL, with SLUICE_DEPOSIT_SCREENING=off, until nothing does',
    'set SLUICE_DEPOSIT_SCREENING=off, or unset SLUICE_SCREENING_URL, before any worker starts again',
  ],
};
