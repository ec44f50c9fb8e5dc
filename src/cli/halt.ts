/** `sluice halt` and `sluice lift`: the kill switch, for when the API cannot be reached or trusted. */
import { Command } from 'commander';
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import { PermanentError } from '../env/errors.ts';
import { formatRecordTime } from '../env/record-time.ts';
import { type Halt, listHalts } from '../read/halts.ts';
import { type HaltScope, haltMoney, liftHalt } from '../submissions/halts.ts';
import { parseBy } from './by.ts';
import type { CommandContext } from './command-context.ts';
import { printable } from './printable.ts';
import { withDatabase } from './with-database.ts';

const SHOWN_MAX = 100;

type Scope = { readonly treasury?: string; readonly instrument?: string };
type Word = { readonly by: string; readonly why: string };

export function haltCommand(context: CommandContext): Command {
  return new Command('halt')
    .description('nothing is signed from now on, in any process; without --treasury and --instrument: nothing at all')
    .option('--treasury <name>', 'only of this treasury, by its name or party')
    .option('--instrument <name>', 'only this instrument, by its name or `admin/id`')
    .requiredOption('--by <name>', 'who you are', parseBy)
    .requiredOption('--why <text>', 'for those who come after you')
    .action(async ({ by, why, ...scope }: Scope & Word) => {
      const halt = async (db: Database): Promise<void> => {
        const word = { by, why, nowMicros: context.clock.nowMicros() };
        const { haltId, isReplayed } = await haltMoney(db, await scopeOf(db, scope), word);
        context.terminal.print(isReplayed ? `${haltId} stands already` : `${haltId} stands: nothing is signed`);
      };
      await withDatabase(context, 'sluice-halt', halt, { mayBeNewer: true });
    });
}

export function liftCommand(context: CommandContext): Command {
  return new Command('lift')
    .description('lifts a halt, once two people have asked for it; without an id: shows what stands')
    .argument('[id]', '`ht_…`')
    .option('--by <name>', 'who you are', parseBy)
    .option('--why <text>', 'what you found; kept for ever')
    .action(async (id: string | undefined, { by, why }: Partial<Word>) => {
      await withDatabase(context, 'sluice-halt', async (db) => {
        if (id === undefined) {
          if (!(await printHalts(context, db))) context.end('no');
          return;
        }
        if (by === undefined || why === undefined) {
          throw new PermanentError('WORD_MISSING', 'Say who you are and what you found: --by and --why.');
        }
        const { isLifted } = await liftHalt(db, id, { by, why, nowMicros: context.clock.nowMicros() });
        context.terminal.print(isLifted ? 'lifted' : 'asked for: it stands until somebody else asks for it as well');
        if (!isLifted) context.end('no');
      });
    });
}

/** @returns whether none stands. */
export async function printHalts({ terminal }: CommandContext, db: Database): Promise<boolean> {
  const page = { limit: SHOWN_MAX, after: null, before: null, isFromEnd: false };
  const { rows, isMore } = await listHalts(db, { isOpen: true }, page);
  if (rows.length === 0) terminal.print('nothing is halted');
  for (const halt of rows) for (const line of linesOf(halt)) terminal.print(line);
  if (isMore) terminal.print(`… ${SHOWN_MAX} are shown`);
  return rows.length === 0;
}

function linesOf({ id, treasury, instrument, why, haltedAt, haltedBy, liftAskedBy, liftWhy }: Halt): readonly string[] {
  const scope = `${instrument?.name ?? 'every instrument'} of ${treasury?.name ?? 'every treasury'}`;
  const head = `HALTED ${scope} since ${formatRecordTime(haltedAt)} by ${printable(haltedBy)}: ${printable(why)}`;
  const wish =
    liftAskedBy === null
      ? `  sluice lift ${id} --by <name> --why <text>, by two people`
      : `  ${printable(liftAskedBy)} wants it lifted (${printable(liftWhy ?? '')}): somebody else says sluice lift ${id} --by <name> --why <text>`;
  return [head, wish];
}

/** @throws PermanentError SCOPE_UNKNOWN where a name is nobody's, or several treasuries' or instruments'. */
async function scopeOf(db: Database, { treasury, instrument }: Scope): Promise<HaltScope> {
  const only = <Row>(what: string, name: string, rows: readonly Row[]): Row => {
    const [row] = rows;
    if (row !== undefined && rows.length === 1) return row;
    throw new PermanentError(
      'SCOPE_UNKNOWN',
      `${rows.length} ${what} are called ${name}: expected one. \`sluice funds\` shows the names.`,
    );
  };
  const treasuries = sql<{ network: string; party: string }>`
    SELECT n.name AS network, t.party FROM treasury_party t JOIN network n ON n.id = t.network_id
    WHERE t.name = ${treasury ?? ''} OR t.party = ${treasury ?? ''}`;
  const instruments = sql<{ admin: string; id: string }>`
    SELECT admin, instrument_id AS id FROM instrument
    WHERE (is_accepted AND name = ${instrument ?? ''}) OR admin || '/' || instrument_id = ${instrument ?? ''}`;
  return {
    treasury: treasury === undefined ? null : only('treasuries', treasury, (await treasuries.execute(db)).rows),
    instrument: instrument === undefined ? null : only('instruments', instrument, (await instruments.execute(db)).rows),
  };
}
