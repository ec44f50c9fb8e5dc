/** `sluice policy`: which policy holds, proposals for another one, and what you say to them. The first one is set here, by whoever runs the installation. */
import { readFile } from 'node:fs/promises';
import { Command, InvalidArgumentError } from 'commander';
import { loadConfig } from '../config/config.ts';
import type { Database } from '../db/connection.ts';
import { messageOf, PermanentError } from '../env/errors.ts';
import { formatRecordTime } from '../env/record-time.ts';
import { createPolicyChanges } from '../policy/policy-changes.ts';
import { type PolicyProposal, readPolicyOf, readPolicyProposal } from '../read/policies.ts';
import { parseBy } from './by.ts';
import type { CommandContext } from './command-context.ts';
import { AS_HELP, KEY_FILE_HELP, type OwnKey, readPrincipal } from './own-key.ts';
import { withDatabase } from './with-database.ts';

export function policyCommand(context: CommandContext): Command {
  const show = new Command('show').description('which policy holds, and what is proposed').action(async () => {
    await inNetwork(context, async (db, network) => await print(context, db, network));
  });
  const propose = new Command('propose')
    .description('propose another policy; where none was ever set, it holds at once')
    .argument('<file>', 'the whole policy, JSON')
    .requiredOption('--why <text>', 'for those who approve it; kept for ever')
    .option('--key-file <path>', KEY_FILE_HELP)
    .option('--as <name>', AS_HELP)
    .option('--by <name>', 'for the first policy alone, which needs no key: who you are', parseBy)
    .action(async (path: string, { why, by, ...own }: OwnKey & { readonly why: string; readonly by?: string }) => {
      const document = await readDocument(path);
      await inNetwork(context, async (db, network) => {
        const changes = createPolicyChanges({ db, clock: context.clock, network });
        const policy = await readPolicyOf(db, network, context.clock.nowMicros());
        if ((policy?.proposals.length ?? 0) === 0) {
          await changes.setFirst({ document, why, by: by ?? (await readPrincipal(context, db, own, 'operate')).name });
          context.terminal.print('there was no policy: this one holds from now on, and the next one needs approvals');
        } else {
          const principal = await readPrincipal(context, db, own, 'operate');
          const id = await changes.propose({ document, why, by: principal.name });
          context.terminal.print(
            `proposed as ${id}; it changes nothing before others approve it and its delay has passed`,
          );
        }
        await print(context, db, network);
      });
    });
  return new Command('policy')
    .description('who may have what paid without anybody else being asked')
    .addCommand(show, { isDefault: true })
    .addCommand(propose)
    .addCommand(sayCommand(context, 'approve'))
    .addCommand(sayCommand(context, 'refuse'));
}

function sayCommand(context: CommandContext, what: 'approve' | 'refuse'): Command {
  return new Command(what)
    .description(what === 'approve' ? 'say yes to a proposed policy' : 'say no to a proposed policy, which ends it')
    .argument('<proposal>', 'its number, as `sluice policy` shows it', parseNumber)
    .argument('<hash>', 'of what you looked at, as `sluice policy` shows it')
    .requiredOption('--why <text>', 'what you looked at; kept for ever')
    .option('--key-file <path>', KEY_FILE_HELP)
    .option('--as <name>', AS_HELP)
    .action(async (proposalId: bigint, hash: string, { why, ...own }: OwnKey & { readonly why: string }) => {
      await inNetwork(context, async (db, network) => {
        const principal = await readPrincipal(context, db, own, 'approve');
        const changes = createPolicyChanges({ db, clock: context.clock, network });
        await changes[what]({ proposalId, hash, why, by: principal.name });
        const proposal = await readPolicyProposal(db, proposalId, context.clock.nowMicros());
        if (proposal !== null) printProposal(context, proposal);
      });
    });
}

async function inNetwork(
  context: CommandContext,
  work: (db: Database, network: string) => Promise<void>,
): Promise<void> {
  const { network } = loadConfig(context.environment, ['network']);
  await withDatabase(context, 'sluice-policy', async (db) => await work(db, network));
}

async function print(context: CommandContext, db: Database, network: string): Promise<void> {
  const { terminal, clock } = context;
  const policy = await readPolicyOf(db, network, clock.nowMicros());
  if (policy === null || policy.version === 0) {
    terminal.print('no policy is set: every withdrawal is allowed');
    return;
  }
  const { approvals, delaySeconds } = policy.change;
  const people = approvals === 1 ? '1 approval' : `${approvals} approvals`;
  terminal.print(
    `version ${policy.version} holds; the next one needs ${people} and holds ${delaySeconds} s after that`,
  );
  terminal.print(JSON.stringify(JSON.parse(policy.document), null, 2));
  for (const proposal of policy.proposals) printProposal(context, proposal);
}

function printProposal({ terminal }: CommandContext, proposal: PolicyProposal): void {
  const { id, state, proposedBy, proposedAt, why, hash, effectiveAt, judgements } = proposal;
  const from = state === 'ENACTED' && effectiveAt !== null ? `, holds from ${formatRecordTime(effectiveAt)}` : '';
  terminal.print(`proposal ${id}  ${state}${from}  by ${proposedBy} at ${formatRecordTime(proposedAt)}: ${shown(why)}`);
  for (const { decision, judgedBy, judgedAt, why: because } of judgements) {
    terminal.print(`  ${decision} by ${judgedBy} at ${formatRecordTime(judgedAt)}: ${shown(because)}`);
  }
  terminal.print(`  hash ${hash}`);
  if (state === 'OPEN') terminal.print(`  ${proposal.document}`);
}

/** @throws PermanentError POLICY_FILE where it cannot be read. */
async function readDocument(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new PermanentError('POLICY_FILE', `The file with the policy cannot be read: ${messageOf(error)}`);
  }
}

function parseNumber(text: string): bigint {
  if (/^[1-9][0-9]{0,17}$/.test(text)) return BigInt(text);
  throw new InvalidArgumentError('Expected a number.');
}

/** Text of others must not be able to move the cursor or to turn the text around. */
function shown(text: string): string {
  return text.replaceAll(/\p{C}/gu, '\ufffd');
}
