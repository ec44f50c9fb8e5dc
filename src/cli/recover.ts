/**
 * `sluice recover`: what became of a database that went back in time. With a treasury: the way on for a stream that halted because a part of history is gone for good; shows what it would do, does it when told to.
 */
import { Command } from 'commander';
import { loadConfig } from '../config/config.ts';
import { createLeases } from '../db/lease.ts';
import { PermanentError } from '../env/errors.ts';
import { noFailpoints } from '../env/failpoint.ts';
import { formatRecordTime } from '../env/record-time.ts';
import { createBatchWriter } from '../ingestion/batch-writer.ts';
import type { Treasury } from '../ingestion/effect-sink.ts';
import { claimStream } from '../ingestion/position.ts';
import { planRecovery, type RecoveryPlan, recover, requireRecoverable } from '../ingestion/recover.ts';
import { parseBy } from './by.ts';
import type { CommandContext } from './command-context.ts';
import { allSinks } from './rebuild.ts';
import { releaseHeld, reportRestores } from './recover-report.ts';
import { paymentRecoveryOf, RECOVERY_KEYS } from './recovery.ts';
import type { Terminal } from './terminal.ts';
import { listTreasuries } from './treasuries.ts';
import { withDatabase } from './with-database.ts';
import { withLedger } from './with-ledger.ts';

const LEASE_MS = 60_000;
const LISTEN_MS = 80_000; // A healthy participant sends a checkpoint at least every 75 s.

type Options = { readonly by: string; readonly why: string; readonly yes?: boolean };
type Given = Partial<Options> & { readonly release?: readonly string[] };

export function recoverCommand(context: CommandContext): Command {
  return new Command('recover')
    .description(
      'without a treasury: what became of a database that went back in time, with what was lost, what was made anew from the ledger and what waits for you; exit code 1 where something does. With one: go on behind a gap of history: take over what is active at the participant of SLUICE_LEDGER_URL, book what is gone as unexplained, write the gap down, freeze the treasury',
    )
    .argument('[treasury]', 'name or party of the treasury whose stream is halted')
    .option('--by <name>', 'who you are; needed to change anything', parseBy)
    .option('--why <text>', 'for those who come after you; needed to change anything')
    .option('--yes', 'go on behind the gap; without it nothing is changed')
    .option(
      '--release <ids...>',
      'withdrawals that were held because the database went back, `all` of them or by id: they are still wanted',
    )
    .action(async (name: string | undefined, given: Given, command: Command) => {
      const { release, ...word } = given;
      if (name === undefined && release === undefined) return await report(context);
      const options = demandWord(word, command);
      if (release !== undefined || name === undefined) return await letGo(context, release ?? [], options);
      await withDatabase(context, 'sluice-recover', async (db, { signal, logger }) => {
        const treasury = (await listTreasuries(db)).find((one) => one.name === name || one.party === name);
        if (treasury === undefined)
          throw new PermanentError('TREASURY_UNKNOWN', 'There is no such treasury.', { name });
        const sinks = options.yes === true ? allSinks(context, logger) : [];
        const isDone = await withLedger(context, logger, async (ledger) => {
          const { clock, terminal } = context;
          const plan = await planRecovery({ db, ledger, treasury, clock, listenMs: LISTEN_MS, signal });
          describe(terminal, treasury, plan);
          if (options.yes !== true) {
            requireRecoverable(plan);
            terminal.print('Nothing was changed. The same with --yes does it.');
            return true;
          }
          const leases = createLeases({ db });
          const lease = await leases.acquire({
            name: `ingestion:${treasury.id}`,
            holder: `recover:${options.by}`,
            ttlMs: LEASE_MS,
          });
          if (lease === null) {
            throw new PermanentError(
              'STREAM_IN_USE',
              'A worker follows this stream. Only one that stands still is recovered.',
            );
          }
          try {
            // Before the claim: it would leave a stream that is refused no longer halted.
            requireRecoverable(plan);
            const writer = createBatchWriter({
              db,
              treasury,
              sinks,
              clock,
              logger,
              failpoint: noFailpoints,
            });
            const position = await claimStream(db, treasury, lease.token);
            await recover({ db, treasury, writer, clock, ...options }, position, plan);
          } finally {
            await leases.release(lease);
          }
          terminal.print('Done. Start the worker; look at what is gone and what is new, then `sluice freezes lift`.');
          return true;
        });
        if (isDone === null) {
          throw new PermanentError('LEDGER_URL_MISSING', 'SLUICE_LEDGER_URL must name the participant to go on at.');
        }
      });
    });
}

function demandWord({ by, why, ...others }: Partial<Options>, command: Command): Options {
  if (by === undefined) return command.error("error: required option '--by <name>' not specified");
  if (why === undefined) return command.error("error: required option '--why <text>' not specified");
  return { ...others, by, why };
}

async function report(context: CommandContext): Promise<void> {
  await withDatabase(context, 'sluice-recover', async (db, { logger }) => {
    const config = loadConfig(context.environment, RECOVERY_KEYS);
    const { terminal, clock } = context;
    const recover = paymentRecoveryOf(config, { clock, logger });
    if (!(await reportRestores(db, { terminal, recover, clock, logger }))) context.end('no');
  });
}

async function letGo(context: CommandContext, ids: readonly string[], { by, why }: Options): Promise<void> {
  await withDatabase(context, 'sluice-recover', async (db) => {
    const count = await releaseHeld(db, ids, { by, why, clock: context.clock });
    context.terminal.print(`${count} withdrawals go on`);
  });
}

function describe(terminal: Terminal, { network, name }: Treasury, plan: RecoveryPlan): void {
  const { participantId, prunedUpTo, offset, newest, vanished, appeared, revived, active } = plan;
  const until = newest === null ? 'nothing' : `everything up to record time ${formatRecordTime(newest.recordTime)}`;
  terminal.print(`${network} ${name}: we have ${until}.`);
  terminal.print(
    `Participant ${participantId} has forgotten up to ${prunedUpTo}; reading would go on after ${offset}.`,
  );
  terminal.print(`There ${active.holdings.length} holdings are active.`);
  terminal.print(`${vanished.length} contracts of ours are gone there; their amounts would be booked as unexplained:`);
  for (const contractId of vanished) terminal.print(`  ${contractId}`);
  terminal.print(`${appeared.length} holdings are new there; they would be opening balance, nobody's deposits:`);
  for (const contractId of appeared) terminal.print(`  ${contractId}`);
  if (revived.length > 0) terminal.print(`${revived.length} contracts that we saw end are active there again:`);
  for (const contractId of revived) terminal.print(`  ${contractId}`);
}
