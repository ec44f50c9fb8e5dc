/** `sluice recover` without a treasury: what became of a database that went back in time. */
import type { Database } from '../db/connection.ts';
import { releaseRestored } from '../db/database-restore.ts';
import type { Clock } from '../env/clock.ts';
import { PermanentError } from '../env/errors.ts';
import type { Logger } from '../env/logger.ts';
import { formatRecordTime } from '../env/record-time.ts';
import { type RestoredWithdrawal, type RestoreReport, readRestoreReport } from '../read/restores.ts';
import { recoverLate } from '../withdrawals/late-recovery.ts';
import type { RecoverPayment } from '../withdrawals/withdrawal-sink.ts';
import { createWithdrawalSink } from '../withdrawals/withdrawal-sink.ts';
import type { Terminal } from './terminal.ts';
import { listTreasuries } from './treasuries.ts';

const SHOWN_MAX = 100;

/** Tries again what nothing could be made of, and says what there is. @returns whether nothing is left to do for a person. */
export async function reportRestores(
  db: Database,
  {
    terminal,
    recover,
    clock,
    logger,
  }: {
    readonly terminal: Terminal;
    /** Undefined: no withdrawals are configured here, so nothing can be made anew. */
    readonly recover: RecoverPayment | undefined;
    readonly clock: Clock;
    readonly logger: Logger;
  },
): Promise<boolean> {
  if (recover !== undefined) {
    const sink = createWithdrawalSink({ clock, logger, recover });
    for (const treasury of await listTreasuries(db)) {
      const count = await recoverLate(db, treasury, sink);
      if (count > 0) terminal.print(`${treasury.name}: ${count} payments have their withdrawals now.`);
    }
  }
  const report = await readRestoreReport(db, SHOWN_MAX);
  if (report.restores.length === 0) {
    terminal.print('The database never went back, as far as is known.');
    return report.unknownPayments.length === 0;
  }
  describe(terminal, report);
  return (
    report.treasuries.every(({ isFrozen }) => !isFrozen) &&
    report.waiting.length === 0 &&
    report.unknownPayments.length === 0 &&
    report.refunds.length === 0
  );
}

/** Lets withdrawals go on that were held because of a restore. @param ids of withdrawals, or `all`. @returns how many. */
export async function releaseHeld(
  db: Database,
  ids: readonly string[],
  word: { readonly by: string; readonly why: string; readonly clock: Clock },
): Promise<number> {
  const wanted = ids.includes('all')
    ? (await readRestoreReport(db, RELEASED_MAX)).waiting.map(({ id }) => id)
    : ids.map(demandId);
  const { by, why, clock } = word;
  return await db
    .transaction()
    .execute(async (tx) => await releaseRestored(tx, wanted, { by, why, nowMicros: clock.nowMicros() }));
}

const RELEASED_MAX = 100_000;

function demandId(id: string): string {
  if (/^wd_[0-9a-f]{40}$/.test(id)) return id;
  throw new PermanentError('WITHDRAWAL_UNKNOWN', 'A withdrawal is named by its id, wd_…, or all of them by `all`.', {
    id,
  });
}

function describe(terminal: Terminal, report: RestoreReport): void {
  const { print } = terminal;
  for (const { noticedAt, noticedBy, detail, treasury, lostEvents, keptUntil, putBack } of report.restores) {
    print(
      `Noticed ${formatRecordTime(noticedAt)} by ${noticedBy}${treasury === null ? '' : `, of ${treasury}`}: ${detail}`,
    );
    if (keptUntil !== null) print(`  what was recorded up to ${formatRecordTime(keptUntil)} is there`);
    if (lostEvents !== null) print(`  ${lostEvents} events that had been seen are gone`);
    print(`  put back from outside the database: ${putBack.freezes} freezes, ${putBack.halts} halts`);
  }
  print();
  for (const { name, isFrozen, safeRecordTime, recordTime } of report.treasuries) {
    const read = recordTime === null ? 'nothing is read yet' : `read to ${formatRecordTime(recordTime)}`;
    print(
      `${name}: ${isFrozen ? `frozen until ${formatRecordTime(safeRecordTime)} is passed, ${read}` : `open, ${read}`}`,
    );
  }
  print();
  list(terminal, 'made anew from the ledger', report.madeAnew);
  list(terminal, 'found to be paid', report.foundPaid);
  list(
    terminal,
    'held until their client asks again, or `sluice recover --release <id> --by … --why …`',
    report.waiting,
  );
  print(`${report.unknownPayments.length} payments whose withdrawal nobody knows`);
  for (const { transferId, withdrawalId, amount } of report.unknownPayments)
    print(`  ${transferId}  ${amount}  ${withdrawalId}`);
  print(
    `${report.unknownMemos.length} memos that deposits since name and that are not registered: register them again, and assign these deposits`,
  );
  for (const { memo, count } of report.unknownMemos) print(`  ${JSON.stringify(memo)}  ${count} deposits`);
  print(`${report.refunds.length} deposits that were sent back, and whose case does not know`);
  for (const { transferId, withdrawalId } of report.refunds) print(`  ${transferId}  ${withdrawalId}`);
  print();
  print(
    'Nothing here tells of what left no trace on the ledger: accounts and memos without a deposit, decisions of the desk,',
  );
  print(
    'approvals, policies, decisions about tokens, and freezes that were lifted. API keys and secrets are configuration:',
  );
  print('what was taken away there stays away.');
}

function list({ print }: Terminal, what: string, rows: readonly RestoredWithdrawal[]): void {
  print(`${rows.length === SHOWN_MAX ? `${SHOWN_MAX} or more` : rows.length} withdrawals ${what}`);
  for (const { id, client, idempotencyKey, state, amount, instrument } of rows) {
    print(`  ${id}  ${client} ${JSON.stringify(idempotencyKey)}  ${amount} ${instrument}  ${state}`);
  }
}
