/** `sluice stuck`: every withdrawal that is older than it should be, why, and what to do; from the database alone, so also while the API is down. */
import { Command } from 'commander';
import type { Database } from '../db/connection.ts';
import { formatRecordTime } from '../env/record-time.ts';
import { readStuckWithdrawals } from '../read/stuck-withdrawals.ts';
import type { CommandContext } from './command-context.ts';
import { printFreshness } from './ledger-freshness.ts';
import { waitsAt } from './waits-at.ts';
import { withDatabase } from './with-database.ts';

const SHOWN_MAX = 200;

export function stuckCommand(context: CommandContext): Command {
  return new Command('stuck')
    .description('withdrawals that are older than they should be, why, and what to do; exit code 1 where there is any')
    .action(async () => {
      const look = async (db: Database): Promise<void> => {
        if (!(await printStuck(context, db))) context.end('no');
      };
      await withDatabase(context, 'sluice-stuck', look, { mayBeNewer: true });
    });
}

/** @returns whether there is none. */
async function printStuck(context: CommandContext, db: Database): Promise<boolean> {
  const { terminal } = context;
  await printFreshness(context, db);
  const stuck = await readStuckWithdrawals(db, { ...waitsAt(context), limit: SHOWN_MAX });
  if (stuck.length === 0) terminal.print('nothing is stuck');
  for (const { id, state, since, code, detail, advice } of stuck) {
    terminal.print(`${id}  ${state} since ${formatRecordTime(since)}: ${code}`);
    // Text of others must not be able to move the cursor or to turn the text around.
    if (detail !== null) terminal.print(`  ${detail.replaceAll(/\p{C}/gu, '\ufffd')}`);
    terminal.print(`  ${advice}`);
  }
  if (stuck.length === SHOWN_MAX) terminal.print(`… ${SHOWN_MAX} are shown`);
  return stuck.length === 0;
}
