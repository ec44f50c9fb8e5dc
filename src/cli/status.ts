/** `sluice status`: how many withdrawals are where, what is halted and frozen, and how fresh all of that is; from the database alone, so also while the API is down. */
import { Command } from 'commander';
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import { formatRecordTime } from '../env/record-time.ts';
import { listFreezes } from '../read/freezes.ts';
import { readStuckWithdrawals } from '../read/stuck-withdrawals.ts';
import { OPEN_STATES } from '../read/withdrawal-filter.ts';
import type { CommandContext } from './command-context.ts';
import { printHalts } from './halt.ts';
import { printFreshness } from './ledger-freshness.ts';
import { waitsAt } from './waits-at.ts';
import { withDatabase } from './with-database.ts';

const FREEZES_MAX = 100;
const STUCK_MAX = 200;

export function statusCommand(context: CommandContext): Command {
  return new Command('status')
    .description(
      'what is queued, in flight, offered, halted and frozen, and how fresh that is; exit code 1 where somebody has to look',
    )
    .action(async () => {
      const look = async (db: Database): Promise<void> => {
        if (!(await printStatus(context, db))) context.end('no');
      };
      await withDatabase(context, 'sluice-status', look, { mayBeNewer: true });
    });
}

/** @returns whether nobody has to look. */
async function printStatus(context: CommandContext, db: Database): Promise<boolean> {
  const { terminal } = context;
  const isFresh = await printFreshness(context, db);
  const { rows } = await sql<{ state: string; count: bigint; oldest: bigint }>`
    SELECT state, count(*) AS count, min(created_at) AS oldest FROM withdrawal
    WHERE state IN (${sql.join(OPEN_STATES.map((state) => sql.lit(state)))}) GROUP BY state`.execute(db);
  for (const state of OPEN_STATES) {
    const row = rows.find((one) => one.state === state);
    const oldest = row === undefined ? '' : `, the oldest from ${formatRecordTime(row.oldest)}`;
    terminal.print(`${state.padEnd(18)} ${row?.count ?? 0}${oldest}`);
  }
  const isFree = await printHalts(context, db);
  const page = { limit: FREEZES_MAX, after: null, before: null, isFromEnd: false };
  const freezes = await listFreezes(db, { isOpen: true, treasury: null }, page);
  const more = freezes.isMore ? ' or more' : '';
  terminal.print(
    freezes.rows.length === 0 ? 'nothing is frozen' : `${freezes.rows.length}${more} freezes stand: sluice freezes`,
  );
  const stuck = await readStuckWithdrawals(db, { ...waitsAt(context), limit: STUCK_MAX });
  const most = stuck.length === STUCK_MAX ? ' or more' : '';
  terminal.print(stuck.length === 0 ? 'nothing is stuck' : `${stuck.length}${most} are stuck: sluice stuck`);
  return isFresh && isFree && freezes.rows.length === 0 && stuck.length === 0;
}
