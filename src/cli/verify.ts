/**
 * `sluice verify`: derives the holdings, transfers and offers of every treasury party once more from the updates as received and compares them with
 * the stored ones; the books with both; and, where a participant is configured, all of them with its active contracts. May run beside a live stream. Changes nothing but
 * this: what the comparison with the participant finds is stored, and a difference freezes payouts.
 */
import { Command } from 'commander';
import { checkBooks } from '../books/check-books.ts';
import { describe, verifyTreasury } from '../books/verification.ts';
import { loadConfig } from '../config/config.ts';
import { auditDoubtOf, describeAuditDoubt, readAuditHead } from '../db/audit-head.ts';
import type { Database } from '../db/connection.ts';
import { readLogAnchor } from '../db/log-anchor.ts';
import type { Logger } from '../env/logger.ts';
import { compareWithRebuild } from '../ingestion/rebuild.ts';
import { describeBooksFault } from '../invariants/books-fault-text.ts';
import { checkInvariants, LIVE_INVARIANTS } from '../invariants/live-invariants.ts';
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
        const areTablesRight = await verifyTables(db, context.terminal);
        // Whatever the tables are like: who finds them changed has to be told of the audit all the more.
        const doInvariantsHold = await verifyInvariants(context, db);
        const isLedgerRight = await withLedger(context, logger, async (ledger) =>
          verifyLedger({ ...context, db, ledger, logger, signal }),
        );
        if (!areTablesRight || !doInvariantsHold || isLedgerRight === false) context.end('no');
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
  for (const fault of faults) terminal.print(`  ${describeBooksFault(fault)}`);
  return isRight && faults.length === 0;
}

/** Those that a running system is looked after by, and what was seen of the audit outside the database. @returns whether they hold. */
async function verifyInvariants({ environment, terminal }: CommandContext, db: Database): Promise<boolean> {
  const { anchorFile } = loadConfig(environment, ['anchorFile']);
  // Before the database: what is written there meanwhile is newer.
  const known = anchorFile === null ? null : ((await readLogAnchor(anchorFile))?.audit ?? null);
  const head = await readAuditHead(db, known);
  const doubt = head === null || known === null ? null : auditDoubtOf(head, known);
  // Books are told above.
  const faults = await checkInvariants(db);
  const broken = new Set(faults.map(({ id }) => id));
  const holding = Object.keys(LIVE_INVARIANTS).filter((id) => ![...broken].some((each) => each === id));
  terminal.print(`invariants that hold: ${holding.join(' ')}`);
  for (const id of broken) terminal.print(`  ${id} BROKEN: ${LIVE_INVARIANTS[id]}`);
  for (const { id, what } of faults) terminal.print(`  ${id}: ${what}`);
  if (anchorFile !== null) {
    terminal.print(
      doubt === null
        ? `audit: is what was seen of it outside (${known?.position ?? 0n} entries)`
        : 'audit: ITS PAST WAS CHANGED',
    );
    if (doubt !== null && head !== null && known !== null)
      terminal.print(`  ${describeAuditDoubt(doubt, head, known)}`);
  }
  return faults.length === 0 && doubt === null;
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
