/** `sluice freezes`: what must not move until somebody has looked; opens and lifts. */
import { Command, InvalidArgumentError } from 'commander';
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import { PermanentError } from '../env/errors.ts';
import { formatRecordTime } from '../env/record-time.ts';
import { liftFreeze, openFreeze } from '../ingestion/freezes.ts';
import { listFreezes } from '../read/freezes.ts';
import { parseBy } from './by.ts';
import type { CommandContext } from './command-context.ts';
import { withDatabase } from './with-database.ts';

const SHOWN_MAX = 100;

type Scope = { readonly treasury?: string; readonly instrument?: string };

export function freezesCommand(context: CommandContext): Command {
  const list = new Command('list').description('what stands; exit code 1 where anything does').action(async () => {
    const look = async (db: Database): Promise<void> => {
      if (!(await print(context, db))) context.end('no');
    };
    await withDatabase(context, 'sluice-freezes', look, { mayBeNewer: true });
  });
  const open = new Command('open')
    .description('nothing is reserved or signed from now on; without --treasury and --instrument: nothing at all')
    .option('--treasury <name>', 'only of this treasury, by its name or party')
    .option('--instrument <name>', 'only this instrument, by its name')
    .requiredOption('--by <name>', 'who you are', parseBy)
    .requiredOption('--why <text>', 'for those who come after you')
    .action(async ({ by, why, ...scope }: Scope & { readonly by: string; readonly why: string }) => {
      await withDatabase(context, 'sluice-freezes', async (db) => {
        const isNew = await openFreeze(db, {
          ...(await scopeOf(db, scope)),
          reason: 'OPERATOR',
          detail: why,
          cause: 'command',
          openedBy: by,
          nowMicros: context.clock.nowMicros(),
        });
        context.terminal.print(isNew ? 'frozen' : 'was frozen by an operator already');
      });
    });
  const lift = new Command('lift')
    .description('money may move again, unless another freeze covers it')
    .argument('<id>', 'as `sluice freezes list` shows it', parseId)
    .requiredOption('--by <name>', 'who you are', parseBy)
    .requiredOption('--why <text>', 'what you found; kept for ever')
    .action(async (id: bigint, { by, why }: { readonly by: string; readonly why: string }) => {
      await withDatabase(context, 'sluice-freezes', async (db) => {
        if (await liftFreeze(db, { id, by, detail: why, nowMicros: context.clock.nowMicros() })) {
          context.terminal.print('lifted');
          return;
        }
        context.terminal.print(`there is no open freeze ${id}`);
        context.end('no');
      });
    });
  return new Command('freezes')
    .description('what must not be paid out until somebody has looked')
    .addCommand(list, { isDefault: true })
    .addCommand(open)
    .addCommand(lift);
}

/** @returns whether nothing is frozen. */
async function print({ terminal }: CommandContext, db: Database): Promise<boolean> {
  const page = { limit: SHOWN_MAX, after: null, before: null, isFromEnd: false };
  const { rows, isMore } = await listFreezes(db, { isOpen: true, treasury: null }, page);
  if (rows.length === 0) terminal.print('nothing is frozen');
  for (const { id, treasury, instrument, reason, detail, cause, openedAt, openedBy } of rows) {
    const scope = `${instrument?.name ?? 'every instrument'} of ${treasury?.name ?? 'every treasury'}`;
    terminal.print(`${id}  ${scope}  ${reason} since ${formatRecordTime(openedAt)} by ${openedBy} (${cause})`);
    terminal.print(`   ${detail}`);
  }
  if (isMore) terminal.print(`… the newest ${SHOWN_MAX} are shown`);
  return rows.length === 0;
}

function parseId(text: string): bigint {
  if (/^[1-9][0-9]{0,17}$/.test(text)) return BigInt(text);
  throw new InvalidArgumentError('Expected a number.');
}

/** @throws PermanentError SCOPE_UNKNOWN where a name is nobody's, or several treasuries' or instruments'. */
async function scopeOf(db: Database, { treasury, instrument }: Scope) {
  const only = (what: string, name: string, rows: readonly { readonly id: number }[]): number => {
    const [row] = rows;
    if (row !== undefined && rows.length === 1) return row.id;
    throw new PermanentError(
      'SCOPE_UNKNOWN',
      `${rows.length} ${what} are called ${name}: expected one. \`sluice funds\` shows the names.`,
    );
  };
  const treasuries = sql<{ id: number }>`
    SELECT id FROM treasury_party WHERE name = ${treasury ?? ''} OR party = ${treasury ?? ''}`;
  const instruments = sql<{ id: number }>`SELECT id FROM instrument WHERE is_accepted AND name = ${instrument ?? ''}`;
  return {
    treasuryId: treasury === undefined ? null : only('treasuries', treasury, (await treasuries.execute(db)).rows),
    instrumentKey:
      instrument === undefined ? null : only('accepted instruments', instrument, (await instruments.execute(db)).rows),
  };
}
