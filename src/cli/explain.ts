/** `sluice explain`: what an update of the ledger did, in plain words; from the database alone. */
import { Command } from 'commander';
import { explainUpdate } from '../read/explanations.ts';
import { isStorableText } from '../read/ledger-keys.ts';
import type { CommandContext } from './command-context.ts';
import { withDatabase } from './with-database.ts';

export function explainCommand(context: CommandContext): Command {
  return new Command('explain')
    .description('what an update of the ledger did, in plain words; exit code 1 where it is not known')
    .argument('<update-id>', 'its id on the ledger')
    .action(async (updateId: string) => {
      await withDatabase(context, 'sluice-explain', async (db) => {
        const explanations = isStorableText(updateId) ? await explainUpdate(db, updateId) : [];
        for (const { treasury, text } of explanations) {
          context.terminal.print(`${treasury.name} (${treasury.party})`);
          for (const line of text) context.terminal.print(`  ${line}`);
        }
        if (explanations.length > 0) return;
        context.terminal.print('no treasury party has seen it so far');
        context.end('no');
      });
    });
}
