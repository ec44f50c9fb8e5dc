/** `sluice deposit-accounts`: registers many memos from a file. From the database alone, so also while the API is down. */
import { createReadStream } from 'node:fs';
import { Command } from 'commander';
import pg from 'pg';
import type { Database } from '../db/connection.ts';
import {
  IMPORT_PORTION_MAX,
  type ImportedRow,
  type ImportResult,
  importDepositAccounts,
} from '../deposits/deposit-account-import.ts';
import { NetworkUnknownError } from '../deposits/deposit-accounts.ts';
import { importLines } from '../deposits/import-lines.ts';
import { PermanentError, RetryableError } from '../env/errors.ts';
import { parseBy } from './by.ts';
import type { CommandContext } from './command-context.ts';
import { withDatabase } from './with-database.ts';

const REFUSED_SHOWN_MAX = 20;

type Options = { readonly network?: string; readonly by: string };

export function depositAccountsCommand(context: CommandContext): Command {
  const importing = new Command('import')
    .description(
      'register the memos of a file, one JSON object a line; run it again after a failure; exit code 1 where any is refused',
    )
    .argument('<file>', 'lines like {"account": "alice", "memo": "A-1", "metadata": {"tier": "gold"}}')
    .option('--network <name>', 'of the memos; needed where there are several')
    .option('--by <name>', 'who you are: kept with what is registered', parseBy, 'import')
    .action(async (file: string, { network, by }: Options) => {
      await withDatabase(context, 'sluice-import', async (db, { signal, connectionString }) => {
        const target = await findNetwork(db, network ?? null);
        const client = new pg.Client({ connectionString, application_name: 'sluice-import' });
        await client.connect();
        try {
          const total = await importFile(context, client, file, { network: target, by, signal });
          context.terminal.print(
            `${total.added} registered, ${total.known} known before, ${total.refused.length} refused`,
          );
          if (total.refused.length === 0) return;
          const shown = total.refused.slice(0, REFUSED_SHOWN_MAX).join(', ');
          const more = total.refused.length > REFUSED_SHOWN_MAX ? ' …' : '';
          context.terminal.print(`these lines have memos that stand for another account: ${shown}${more}`);
          context.end('no');
        } finally {
          await client.end();
        }
      });
    });
  return new Command('deposit-accounts').description('which memo stands for whom').addCommand(importing);
}

async function importFile(
  { clock, terminal }: CommandContext,
  client: pg.Client,
  file: string,
  parts: {
    readonly network: { readonly id: number; readonly name: string };
    readonly by: string;
    readonly signal: AbortSignal;
  },
): Promise<ImportResult> {
  let total: ImportResult = { added: 0, known: 0, refused: [] };
  let portion: ImportedRow[] = [];
  const flush = async (): Promise<void> => {
    if (parts.signal.aborted) throw new RetryableError('STOPPED', 'Stopped; run it again to go on.');
    if (portion.length === 0) return;
    const done = await importDepositAccounts(client, portion, { ...parts, clock });
    portion = [];
    total = {
      added: total.added + done.added,
      known: total.known + done.known,
      refused: [...total.refused, ...done.refused],
    };
  };
  for await (const row of importLines(textOf(file))) {
    portion.push(row);
    if (portion.length < IMPORT_PORTION_MAX) continue;
    await flush();
    terminal.print(`up to line ${row.line}: ${total.added} registered`);
  }
  await flush();
  return total;
}

/** @throws PermanentError IMPORT_INVALID for bytes that are no UTF-8: a memo that was changed on the way would credit nobody. */
async function* textOf(file: string): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  try {
    for await (const chunk of createReadStream(file)) yield decoder.decode(chunk, { stream: true });
    yield decoder.decode();
  } catch (error) {
    if (error instanceof TypeError) throw new PermanentError('IMPORT_INVALID', 'The file is not UTF-8.', { file });
    throw error;
  }
}

async function findNetwork(db: Database, name: string | null): Promise<{ readonly id: number; readonly name: string }> {
  const networks = await db.selectFrom('network').select(['id', 'name']).orderBy('name').execute();
  const found = name === null && networks.length === 1 ? networks[0] : networks.find((one) => one.name === name);
  if (found !== undefined) return found;
  throw new NetworkUnknownError(
    networks.map((one) => one.name),
    name !== null,
  );
}
