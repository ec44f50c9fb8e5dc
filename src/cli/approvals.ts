/** `sluice approvals`: withdrawals that wait for people, and what you say to them; from the database alone, so also while the API is down. */
import { Command } from 'commander';
import type { Database } from '../db/connection.ts';
import { assert } from '../env/errors.ts';
import { formatRecordTime } from '../env/record-time.ts';
import { createApprovals } from '../policy/approvals.ts';
import { listPending, readWithdrawalPolicies, type WithdrawalPolicy } from '../read/withdrawal-policies.ts';
import { readWithdrawals } from '../read/withdrawals.ts';
import type { CommandContext } from './command-context.ts';
import { printFreshness } from './ledger-freshness.ts';
import { AS_HELP, KEY_FILE_HELP, type OwnKey, readPrincipal } from './own-key.ts';
import { withDatabase } from './with-database.ts';

const SHOWN_MAX = 100;

export function approvalsCommand(context: CommandContext): Command {
  const list = new Command('list')
    .description('what waits for people or the screening service; exit code 1 where anything does')
    .action(async () => {
      await withDatabase(context, 'sluice-approvals', async (db) => {
        await printFreshness(context, db);
        if (!(await printPending(context, db))) context.end('no');
      });
    });
  return new Command('approvals')
    .description('withdrawals that people have to approve')
    .addCommand(list, { isDefault: true })
    .addCommand(sayCommand(context, 'approve'))
    .addCommand(sayCommand(context, 'refuse'));
}

function sayCommand(context: CommandContext, what: 'approve' | 'refuse'): Command {
  return new Command(what)
    .description(
      what === 'approve'
        ? 'say yes to a withdrawal; it is bound to the hash that `list` shows'
        : 'say no to a withdrawal, which ends it',
    )
    .argument('<withdrawal>', '`wd_…`')
    .argument('<hash>', 'of what you looked at, as `sluice approvals list` shows it')
    .requiredOption('--why <text>', 'what you looked at; kept for ever')
    .option('--key-file <path>', KEY_FILE_HELP)
    .option('--as <name>', AS_HELP)
    .action(async (withdrawalId: string, intentHash: string, { why, ...own }: OwnKey & { readonly why: string }) => {
      await withDatabase(context, 'sluice-approvals', async (db) => {
        const principal = await readPrincipal(context, db, own, 'approve');
        const approvals = createApprovals({ db, clock: context.clock });
        const { isReplayed } = await approvals[what]({ withdrawalId, intentHash, why, by: principal.name });
        if (isReplayed) context.terminal.print('you had said so before');
        const [policy = null] = await readWithdrawalPolicies(db, [withdrawalId], context.clock.nowMicros());
        assert(policy !== null, 'A withdrawal that was just decided about is not there.', { withdrawalId });
        await print(context, db, [policy]);
      });
    });
}

/** @returns whether nothing waits. */
async function printPending(context: CommandContext, db: Database): Promise<boolean> {
  const page = { limit: SHOWN_MAX, after: null, before: null, isFromEnd: false };
  const { rows, isMore } = await listPending(db, page, context.clock.nowMicros());
  if (rows.length === 0) context.terminal.print('nothing waits for approval');
  await print(context, db, rows);
  if (isMore) context.terminal.print(`… the oldest ${SHOWN_MAX} are shown`);
  return rows.length === 0;
}

async function print({ terminal }: CommandContext, db: Database, policies: readonly WithdrawalPolicy[]): Promise<void> {
  const withdrawals = await readWithdrawals(
    db,
    policies.map(({ withdrawalId }) => withdrawalId),
  );
  for (const [index, policy] of policies.entries()) {
    const withdrawal = withdrawals[index];
    if (withdrawal == null) continue;
    const { id, state, amount, instrument, receiver, memo, account, client, treasury } = withdrawal;
    const until = policy.expiresAt === null ? '' : `, until ${formatRecordTime(policy.expiresAt)}`;
    terminal.print(`${id}  ${state}  ${policy.approvalsGiven} of ${policy.approvalsNeeded} approvals${until}`);
    terminal.print(`  ${amount} ${shown(instrument.name)} of ${shown(treasury.name)} to ${receiver}`);
    terminal.print(`  for ${shown(account.owner)}, asked for by ${client}, memo ${memo === null ? '-' : shown(memo)}`);
    for (const { rule, text } of policy.reasons) terminal.print(`  because ${rule}: ${shown(text)}`);
    for (const { decision, decidedBy, decidedAt, why } of policy.approvals) {
      terminal.print(`  ${decision} by ${decidedBy} at ${formatRecordTime(decidedAt)}: ${shown(why)}`);
    }
    if (policy.screening !== null) terminal.print(`  screening ${policy.screening.state}`);
    terminal.print(`  hash ${policy.intentHash}`);
  }
}

/** Text of others must not be able to move the cursor or to turn the text around. */
function shown(text: string): string {
  return text.replaceAll(/\p{C}/gu, '\ufffd');
}
