/**
 * `sluice verify`: derives the holdings, transfers and offers of every treasury party once more from the updates as received and compares them with
 * the stored ones; the books with both; and, where a participant is configured, all of them with its active contracts. May run beside a live stream. Changes nothing but
 * this: what the comparison with the participant finds is stored, and a difference freezes payouts.
 */
import { Command } from 'commander';
import { type BooksFault, checkBooks } from '../books/check-books.ts';
import { describe, verifyTreasury } from '../books/verification.ts';
import type { Database } from '../db/connection.ts';
import { unreachable } from '../env/errors.ts';
import type { Logger } from '../env/logger.ts';
import { compareWithRebuild } from '../ingestion/rebuild.ts';
import type { Ledger } from '../ledger/ledger-client.ts';
import type { CommandContext } from './command-context.ts';
import type { Terminal } from './terminal.ts';
import { listTreasuries } from './treasuries.ts';
import { withDatabase } from './with-database.ts';
import { withLedger } from './with-ledger.ts';

export function verifyCommand(context: CommandContext): Command {
  return new Command('verify')
    .description(
      'derive all tables again from the stored updates, check the books, and, with SLUICE_LEDGER_URL, compare with the active contracts; exit code 1 on any difference',
    )
    .action(async () => {
      await withDatabase(context, 'sluice-verify', async (db, { signal, logger }) => {
        const isRight = await verifyTables(db, context.terminal);
        const isLedgerRight = await withLedger(context, logger, async (ledger) =>
          verifyLedger({ ...context, db, ledger, logger, signal }),
        );
        if (!isRight || isLedgerRight === false) context.end('no');
      });
    });
}

/** @returns whether the tables follow from the updates, and the books from the tables. */
async function verifyTables(db: Database, terminal: Terminal): Promise<boolean> {
  let isRight = true;
  for (const treasury of await listTreasuries(db)) {
    const { updatesRead, differences } = await compareWithRebuild(db, treasury);
    const verdict = differences.length === 0 ? 'all tables equal' : 'TABLES DIFFER';
    terminal.print(`${treasury.network} ${treasury.name}: ${updatesRead} updates derived again, ${verdict}`);
    for (const { table, onlyStored, onlyRebuilt } of differences) {
      for (const row of onlyStored) terminal.print(`  ${table} stored, but does not follow:  ${row}`);
      for (const row of onlyRebuilt) terminal.print(`  ${table} follows, but is not stored:  ${row}`);
    }
    isRight &&= differences.length === 0;
  }
  const faults = await checkBooks(db);
  terminal.print(faults.length === 0 ? 'books: agree with the holdings and transfers' : 'books: FAULTS');
  for (const fault of faults) terminal.print(`  ${textOf(fault)}`);
  return isRight && faults.length === 0;
}

/** @returns whether every treasury was compared with the participant's active contracts and equals them. */
async function verifyLedger(
  options: CommandContext & {
    readonly db: Database;
    readonly ledger: Ledger;
    readonly logger: Logger;
    readonly signal: AbortSignal;
  },
): Promise<boolean> {
  const { db, terminal } = options;
  let isRight = true;
  for (const treasury of await listTreasuries(db)) {
    const outcome = await verifyTreasury({ ...options, treasury });
    const name = `${treasury.network} ${treasury.name}`;
    if (outcome.kind === 'NOT_COMPARED') {
      terminal.print(`${name}: NOT COMPARED with the ledger. ${outcome.code}: ${outcome.why}`);
    } else {
      const { holdingsCount, offersCount, instruments, offset } = outcome;
      const verdict = outcome.isEqual ? 'books, holdings and ledger agree' : 'BOOKS, HOLDINGS AND LEDGER DIFFER';
      terminal.print(
        `${name}: ${verdict} at offset ${offset}: ${holdingsCount} holdings of ${instruments.length} instruments, ${offersCount} offers`,
      );
      if (!outcome.isEqual) printDifferences(terminal, outcome);
    }
    isRight &&= outcome.kind === 'COMPARED' && outcome.isEqual;
  }
  return isRight;
}

function printDifferences(terminal: Terminal, found: Parameters<typeof describe>[0]): void {
  terminal.print(`  ${describe(found)}`);
  const all = [...found.instruments.flatMap(({ differences }) => differences), ...found.others];
  for (const { kind, contractId } of all) terminal.print(`  ${kind} ${contractId}`);
  terminal.print(
    found.isInDoubt ? '  payouts are frozen: `sluice freezes`' : '  of what we do not pay out: nothing is frozen',
  );
}

function textOf(fault: BooksFault): string {
  switch (fault.kind) {
    case 'TREASURY_OFF':
      return `${fault.party} holds ${fault.holdings} of ${fault.instrument}, booked are ${fault.booked}`;
    case 'TRANSFER_OFF':
      return `transfer ${fault.transferId} moved ${fault.moved}, booked are ${fault.booked}`;
    case 'CAUSE_UNKNOWN':
      return `the entry for ${fault.cause} has no such cause`;
    case 'CREDIT_OFF':
      return `transfer ${fault.transferId} is credited to whom it was not decided to belong, or brought nothing`;
    case 'CUSTOMER_BALANCE_OFF':
      return `the customer ${fault.account} has ${fault.kept} ${fault.instrument} as kept, and the journal says ${fault.booked}`;
    case 'CUSTOMER_NEGATIVE':
      return `the customer ${fault.account} has ${fault.booked} ${fault.instrument}: less than nothing, where Sluice keeps the balances`;
    case 'POST_TRANSFER_OFF':
      return `the entry ${fault.cause}: ${fault.why}`;
    case 'BOOKS_UNBALANCED':
      return `the accounts of ${fault.network} add up to ${fault.difference} ${fault.instrument}, and not to nothing`;
    case 'WAITING_OFF':
      return `account ${fault.account} should have ${fault.expected} of ${fault.instrument} waiting, booked are ${fault.booked}`;
    case 'WITHDRAWAL_OFF':
      return `withdrawal ${fault.withdrawalId} should have ${fault.expected} waiting, booked are ${fault.booked}`;
    case 'PAYMENT_OFF':
      return `withdrawal ${fault.withdrawalId}: ${fault.why}`;
    case 'RESERVATION_OFF':
      return `attempt ${fault.attempt} of ${fault.submissionId}: ${fault.why}`;
    default:
      return unreachable(fault);
  }
}
