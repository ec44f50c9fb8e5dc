/** `sluice books`: who keeps the balances of customers, what the books add up to, and how that is changed. */
import { Argument, Command } from 'commander';
import { readBookSums } from '../books/book-sums.ts';
import type { BooksMode } from '../books/books-mode.ts';
import { confirmPosts, NegativeCustomersError, switchBooks } from '../books/books-switch.ts';
import { loadConfig } from '../config/config.ts';
import { formatRecordTime } from '../env/record-time.ts';
import { readCustomerBooks } from '../read/customer-books.ts';
import { parseBy } from './by.ts';
import type { CommandContext } from './command-context.ts';
import { printable } from './printable.ts';
import { withDatabase } from './with-database.ts';

const MODES: Readonly<Record<string, BooksMode>> = { external: 'EXTERNAL', opening: 'OPENING', internal: 'INTERNAL' };

type By = { readonly by: string };

export function booksCommand(context: CommandContext): Command {
  const { terminal, clock } = context;
  const networkOf = (): string => loadConfig(context.environment, ['network']).network;

  const change = new Command('switch')
    .description('changes who keeps the balances of customers, at once and for every process (docs/guides/books.md)')
    .addArgument(new Argument('<mode>', 'who keeps them').choices(Object.keys(MODES)))
    .requiredOption('--by <name>', 'who you are', parseBy)
    .action(async (mode: string, { by }: By) => {
      const to = MODES[mode] ?? 'EXTERNAL';
      await withDatabase(context, 'sluice-books', async (db) => {
        try {
          const from = await switchBooks(db, { network: networkOf(), to, by, nowMicros: clock.nowMicros() });
          terminal.print(from === to ? `the books are ${to} already` : `the books were ${from} and are ${to}`);
          if (to !== 'OPENING') terminal.print(`set SLUICE_CUSTOMER_BOOKS=${mode} before any process starts again`);
        } catch (error) {
          if (!(error instanceof NegativeCustomersError)) throw error;
          terminal.print(`nothing was changed: ${error.message}`);
          for (const { account, instrument, balance } of error.customers) {
            terminal.print(`  ${printable(account)} ${printable(instrument)}: ${balance}`);
          }
          if (error.count > error.customers.length) terminal.print(`  … of ${error.count}`);
          context.end('no');
        }
      });
    });

  const resent = new Command('resent')
    .description('after a restore: every post transfer that was lost has been sent again, and withdrawals may go on')
    .requiredOption('--by <name>', 'who you are', parseBy)
    .action(async ({ by }: By) => {
      await withDatabase(context, 'sluice-books', async (db) => {
        await confirmPosts(db, { network: networkOf(), by, nowMicros: clock.nowMicros() });
        terminal.print('confirmed: withdrawals are no longer refused with BOOKS_BEHIND');
      });
    });

  return new Command('books')
    .description(
      'who keeps the balances of customers, and what the accounts of each kind add up to, beside what the treasuries hold',
    )
    .action(async () => {
      await withDatabase(context, 'sluice-books', async (db) => {
        const network = networkOf();
        const books = await readCustomerBooks(db, network);
        const since = books?.changedAt == null ? '' : ` since ${formatRecordTime(books.changedAt)}`;
        terminal.print(`the books of customers are ${books?.mode ?? 'EXTERNAL'}${since}`);
        if (books?.isBehind === true) {
          terminal.print(
            'BEHIND: the database was restored; when lost post transfers were sent again: sluice books resent --by <name>',
          );
        }
        for (const { instrument, held, parts } of await readBookSums(db, network)) {
          const accounts = parts.map(({ kind, amount }) => `${kind} ${amount}`).join(', ');
          terminal.print(`${printable(instrument)}: treasuries ${held} = ${accounts}`);
        }
      });
    })
    .addCommand(change)
    .addCommand(resent);
}
