/** `sluice simnet do`: lets a running simulated network do something, or misbehave, from the command line. */
import { Command, InvalidArgumentError } from 'commander';
import { createControlClient } from '../simnet/wire/control-client.ts';
import type { CommandContext } from './command-context.ts';

const CONTROL_URL = 'http://127.0.0.1:6867';

export function simnetDoCommand({ terminal }: CommandContext): Command {
  return new Command('do')
    .description('let a running simulated network do something, or misbehave; without an operation: what there is')
    .argument('[operation]', 'e.g. transfer, or participant1/restore for a switch of one participant')
    .argument('[body]', `its arguments as JSON, e.g. '{"updatesBack":5,"catchUp":"held"}'`, parseBody, {})
    .option('--control <url>', 'where its control endpoint is', CONTROL_URL)
    .action(async (operation: string | undefined, body: unknown, { control }: { readonly control: string }) => {
      const client = createControlClient({ url: control, fetch });
      const answer = await (operation === undefined ? client.describe() : client.perform(operation, body));
      terminal.print(JSON.stringify(answer, undefined, 2));
    });
}

function parseBody(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new InvalidArgumentError('Expected JSON.');
  }
}
