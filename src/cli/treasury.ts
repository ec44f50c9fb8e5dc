/** `sluice treasury`: the exchange's own parties on the ledger. */
import { Command } from 'commander';
import type { CommandContext } from './command-context.ts';
import { treasuryCheckCommand } from './treasury-check.ts';
import { treasuryCreateCommand } from './treasury-create.ts';

export function treasuryCommand(context: CommandContext): Command {
  return new Command('treasury')
    .description("the exchange's own parties on the ledger: whether all is well with them, and new ones")
    .addCommand(treasuryCheckCommand(context), { isDefault: true })
    .addCommand(treasuryCreateCommand(context));
}
