/** `sluice withdrawals`: what is open and what it waits for, and all that is known of one; from the database alone, so also while the API is down. */
import { Command } from 'commander';
import type { Database } from '../db/connection.ts';
import { formatRecordTime } from '../env/record-time.ts';
import { isStorableText } from '../read/ledger-keys.ts';
import { EVERYTHING } from '../read/reach.ts';
import { readAttemptsOf } from '../read/withdrawal-attempts.ts';
import { OPEN_STATES } from '../read/withdrawal-filter.ts';
import { readWaits } from '../read/withdrawal-waits.ts';
import { explainProof, listWithdrawals, readWithdrawals, type Withdrawal } from '../read/withdrawals.ts';
import { parseAmount } from '../tokens/amount.ts';
import type { CommandContext } from './command-context.ts';
import { readable } from './dev-screen.ts';
import { waitsAt } from './waits-at.ts';
import { withDatabase } from './with-database.ts';

const SHOWN_MAX = 100;

type Wanted = { readonly all?: boolean; readonly account?: string };

export function withdrawalsCommand(context: CommandContext): Command {
  const list = new Command('list')
    .description(`the oldest ${SHOWN_MAX} that are open, and what each waits for`)
    .option('--all', `the newest ${SHOWN_MAX}, whatever became of them`)
    .option('--account <name>', 'only from this customer’s account')
    .action(async (wanted: Wanted) => {
      await withDatabase(context, 'sluice-withdrawals', async (db) => await printList(context, db, wanted));
    });
  const show = new Command('show')
    .description('one withdrawal with its attempts and, if it failed, the proof; exit code 1 where there is none')
    .argument('<id>', '`wd_…`')
    .action(async (id: string) => {
      await withDatabase(context, 'sluice-withdrawals', async (db) => {
        if (!(await printOne(context, db, id))) context.end('no');
      });
    });
  return new Command('withdrawals')
    .description('what is to be paid, what it waits for, and what became of it')
    .addCommand(list, { isDefault: true })
    .addCommand(show);
}

async function printList(context: CommandContext, db: Database, wanted: Wanted): Promise<void> {
  const { terminal } = context;
  const isAll = wanted.all === true;
  const { account = null } = wanted;
  const filter = {
    states: isAll ? null : OPEN_STATES,
    account,
    treasury: null,
    createdFrom: null,
    createdBefore: null,
  };
  // From the end of a list that has the newest first: what has waited for longest.
  const page = { limit: SHOWN_MAX, after: null, before: null, isFromEnd: !isAll };
  const { rows, isMore } = await listWithdrawals(db, EVERYTHING, filter, page);
  if (rows.length === 0) terminal.print(isAll ? 'there is none' : 'nothing is open');
  const ids = rows.map(({ id }) => id);
  const waits = await readWaits(db, ids, waitsAt(context));
  const lines = rows.map(
    (withdrawal, index) =>
      `${withdrawal.id}  ${formatRecordTime(withdrawal.createdAt)}  ${headOf(withdrawal)}  ${stateOf(withdrawal)}${waitText(waits[index] ?? null)}`,
  );
  for (const line of isAll ? lines : lines.reverse()) terminal.print(line);
  if (isMore) terminal.print(`… ${SHOWN_MAX} are shown`);
}

/** @returns whether there is one. */
async function printOne(context: CommandContext, db: Database, id: string): Promise<boolean> {
  const { terminal } = context;
  const [withdrawal = null] = isStorableText(id) ? await readWithdrawals(db, [id]) : [];
  if (withdrawal === null) {
    terminal.print(`there is no withdrawal ${id}`);
    return false;
  }
  const [wait = null] = await readWaits(db, [id], waitsAt(context));
  const { failure, proof } = withdrawal;
  const row = (label: string, text: string): void => terminal.print(`${label.padEnd(12)} ${text}`);
  row('withdrawal', id);
  row('state', `${stateOf(withdrawal)}${waitText(wait)} since ${formatRecordTime(withdrawal.changedAt)}`);
  row('pays', headOf(withdrawal));
  row('to', withdrawal.receiver);
  row('memo', withdrawal.memo === null ? 'none' : quoted(withdrawal.memo));
  row('from', `${withdrawal.treasury.name} (${withdrawal.treasury.party})`);
  row(
    'asked',
    `${formatRecordTime(withdrawal.createdAt)} by ${withdrawal.client}, key ${quoted(withdrawal.idempotencyKey)}`,
  );
  if (withdrawal.isCancelRequested) row('cancel', 'was asked for');
  if (withdrawal.updateId !== null) row('update', withdrawal.updateId);
  if (failure !== null) row('why', failure.detail ?? failure.code);
  if (proof !== null) row('proof', explainProof(proof));
  for (const attempt of await readAttemptsOf(db, [id])) {
    const signed = attempt.isSignatureRequested ? 'a signature may exist' : 'nothing was signed';
    const end = `may commit until ${formatRecordTime(attempt.targetRecordTime)}`;
    row(`attempt ${attempt.number}`, `${attempt.state}, ${end}, ${attempt.tries} tries, ${signed}`);
    for (const input of attempt.inputs) row('', `spends ${input}`);
    if (attempt.lastError !== null) row('', `last error: ${quoted(attempt.lastError)}`);
  }
  return true;
}

function headOf({ amount, instrument, account }: Withdrawal): string {
  return `${readable(parseAmount(amount))} ${instrument.name} of ${quoted(account.owner)}`;
}

function stateOf({ state, decidableBy, failure }: Withdrawal): string {
  if (failure !== null) return `${state}: ${failure.code}`;
  return decidableBy === null ? state : `${state} until ${formatRecordTime(decidableBy)}`;
}

function waitText(wait: string | null): string {
  return wait === null ? '' : `, waits for ${wait}`;
}

/** Text of others: on a terminal it must not be able to move the cursor or to turn the text around. */
function quoted(text: string): string {
  return JSON.stringify(text.replaceAll(/\p{C}/gu, '\ufffd'));
}
