/**
 * `sluice verify`: derives the holdings, transfers and offers of every treasury party once more from the updates as received and compares them with
 * the stored ones, and the books with both. Changes nothing; may run beside a live stream.
 */
import { Command } from 'commander';
import { type BooksFault, checkBooks } from '../books/check-books.ts';
import { loadConfig } from '../config/config.ts';
import { createDatabase, type Database } from '../db/connection.ts';
import { requireMigrated } from '../db/migrate.ts';
import { unreachable } from '../env/errors.ts';
import type { Treasury } from '../ingestion/effect-sink.ts';
import { compareWithRebuild } from '../ingestion/rebuild.ts';
import type { CommandContext } from './command-context.ts';
import { openDatabase } from './open-database.ts';
import { untilStopped } from './shutdown.ts';
import type { Terminal } from './terminal.ts';

const STATEMENT_TIMEOUT_MS = 600_000; // The comparison reads whole tables.

export function verifyCommand(context: CommandContext): Command {
  return new Command('verify')
    .description('derive all tables again from the stored updates, check the books; exit code 1 on any difference')
    .action(async () => {
      const config = loadConfig(context.environment, ['databaseUrl', 'dataDir', 'logLevel']);
      const logger = context.createLogger(config.logLevel);
      await untilStopped({ ...context, logger }, async ({ teardown }) => {
        const { connectionString } = await openDatabase(config, { ...context, logger, teardown, isThrowAway: false });
        const { db, close } = createDatabase({
          connectionString,
          applicationName: 'sluice-verify',
          poolSizeMax: 2,
          logger,
          statementTimeoutMs: STATEMENT_TIMEOUT_MS,
          idleInTransactionTimeoutMs: STATEMENT_TIMEOUT_MS, // Deriving happens here, between two statements.
        });
        teardown.add('database connections', close);
        await requireMigrated(db);
        if (!(await verify(db, context.terminal))) context.end('no');
      });
    });
}

/** @returns whether everything agrees. */
async function verify(db: Database, terminal: Terminal): Promise<boolean> {
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

/** All of the database, whatever this process is configured to serve. */
async function listTreasuries(db: Database): Promise<readonly Treasury[]> {
  return await db
    .selectFrom('treasury_party')
    .innerJoin('network', 'network.id', 'treasury_party.network_id')
    .select(['treasury_party.id', 'party', 'treasury_party.name', 'network_id as networkId', 'network.name as network'])
    .orderBy('network.name')
    .orderBy('treasury_party.name')
    .execute();
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
      return `transfer ${fault.transferId} is credited and did not bring anything`;
    default:
      return unreachable(fault);
  }
}
