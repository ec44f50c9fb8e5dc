/** `sluice recover`: the way on for a stream that halted because a part of history is gone for good. Shows what it would do; does it when told to. */
import { Command } from 'commander';
import { createLeases } from '../db/lease.ts';
import { PermanentError } from '../env/errors.ts';
import { noFailpoints } from '../env/failpoint.ts';
import { formatRecordTime } from '../env/record-time.ts';
import { createBatchWriter } from '../ingestion/batch-writer.ts';
import type { Treasury } from '../ingestion/effect-sink.ts';
import { claimStream } from '../ingestion/position.ts';
import { planRecovery, type RecoveryPlan, recover, requireRecoverable } from '../ingestion/recover.ts';
import type { CommandContext } from './command-context.ts';
import { allSinks } from './rebuild.ts';
import type { Terminal } from './terminal.ts';
import { listTreasuries } from './treasuries.ts';
import { withDatabase } from './with-database.ts';
import { withLedger } from './with-ledger.ts';

const LEASE_MS = 60_000;
const LISTEN_MS = 80_000; // A healthy participant sends a checkpoint at least every 75 s.

type Options = { readonly by: string; readonly why: string; readonly yes?: boolean };

export function recoverCommand(context: CommandContext): Command {
  return new Command('recover')
    .description(
      'go on behind a gap of history: take over what is active at the participant of SLUICE_LEDGER_URL, book what is gone as unexplained, write the gap down, freeze the treasury',
    )
    .argument('<treasury>', 'name or party of the treasury whose stream is halted')
    .requiredOption('--by <name>', 'who you are')
    .requiredOption('--why <text>', 'for those who come after you')
    .option('--yes', 'do it; without it nothing is changed')
    .action(async (name: string, options: Options) => {
      await withDatabase(context, 'sluice-recover', async (db, { signal, logger }) => {
        const treasury = (await listTreasuries(db)).find((one) => one.name === name || one.party === name);
        if (treasury === undefined)
          throw new PermanentError('TREASURY_UNKNOWN', 'There is no such treasury.', { name });
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
              sinks: allSinks(context, logger),
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
