/** `sluice simnet`: a simulated Canton network as a process of its own, with the variables that point a Sluice at each of its participants. */
import { Command, InvalidArgumentError } from 'commander';
import { loadConfig } from '../config/config.ts';
import { startSimnet } from '../simnet/simnet.ts';
import type { CommandContext } from './command-context.ts';
import { DEV_CUSTOMERS, keepDepositing } from './dev-customers.ts';
import { aborted, untilStopped } from './shutdown.ts';
import { environmentFor } from './simnet-environment.ts';

// 6865 is where a Canton sandbox has its Ledger API.
const PORTS = [6865, 6866] as const;

type Options = { readonly ports: readonly number[]; readonly seed: string };

export function simnetCommand(context: CommandContext): Command {
  const { terminal, clock, random } = context;
  return new Command('simnet')
    .description('a simulated Canton network with customers who keep depositing, as a process of its own')
    .option(
      '--ports <ports>',
      'of the gRPC Ledger APIs of its participants, joined by commas; 0: any',
      parsePorts,
      PORTS,
    )
    .option('--seed <text>', 'parties and the synchronizer are called the same for the same text', 'sluice')
    .action(async ({ ports, seed }: Options) => {
      const { logLevel } = loadConfig(context.environment, ['logLevel']);
      const logger = context.createLogger(logLevel);
      await untilStopped({ clock, logger }, async ({ requested, teardown }) => {
        const simnet = await startSimnet({ seed, clock, random, logger, grpcPorts: ports });
        teardown.add('simulated network', simnet.stop);
        terminal.print('The simulated network runs. Its history is gone when it stops. Ctrl-C stops it.');
        for (const participant of simnet.participants) {
          terminal.print();
          terminal.print(`# ${participant.name}`);
          for (const [variable, value] of Object.entries(environmentFor(simnet, participant))) {
            terminal.print(`export ${variable}='${value}'`);
          }
        }
        terminal.print();
        const memos = DEV_CUSTOMERS.map(({ party, memo }) => `${party} "${memo}"`);
        terminal.print(`Customers deposit with the memos ${memos.join(', ')}.`);
        await Promise.race([aborted(requested), keepDepositing(simnet.network, { clock, random, signal: requested })]);
      });
    });
}

function parsePorts(text: string): readonly number[] {
  const ports = text.split(',').map((port) => (/^\d{1,5}$/.test(port) ? Number(port) : Number.NaN));
  if (ports.length === PORTS.length && ports.every((port) => port <= 65_535)) return ports;
  throw new InvalidArgumentError(`Expected ${PORTS.length} ports, e.g. ${PORTS.join(',')}.`);
}
