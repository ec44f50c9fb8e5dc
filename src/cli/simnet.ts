/** `sluice simnet`: a simulated Canton network as a process of its own, with the variables that point a Sluice at each of its participants. */
import { Command, InvalidArgumentError } from 'commander';
import { loadConfig } from '../config/config.ts';
import { type Simnet, startSimnet } from '../simnet/simnet.ts';
import type { CommandContext } from './command-context.ts';
import { requireFreePort } from './free-port.ts';
import { aborted, untilStopped } from './shutdown.ts';
import { simnetDoCommand } from './simnet-do.ts';
import { environmentFor, payoutEnvironmentFor } from './simnet-environment.ts';
import { preapproveCustomers } from './simnet-receivers.ts';

const HOST = '127.0.0.1'; // It has no authentication.
// 6865 is where a Canton sandbox has its Ledger API.
const PORTS: readonly number[] = [6865, 6866, 6867];
const INTERVAL_MS = 1_000;
const CUSTOMERS = 5;

type Options = {
  readonly ports: readonly number[];
  readonly seed: string;
  readonly customers: number;
  readonly interval: number;
};

export function simnetCommand(context: CommandContext): Command {
  const { terminal, clock, random } = context;
  return new Command('simnet')
    .description('a simulated Canton network with customers who keep depositing, as a process of its own')
    .addCommand(simnetDoCommand(context))
    .option(
      '--ports <ports>',
      `of the Ledger APIs of participant 1 and 2 and of the control endpoint, joined by commas; 0: any (default: ${PORTS.join(',')})`,
      parsePorts,
    )
    .option('--seed <text>', 'the same text names the same parties, and so the same customers and memos', 'sluice')
    .option('--customers <count>', 'how many deposit; 0: nobody does', parseCount, CUSTOMERS)
    .option('--interval <ms>', 'mean time between two deposits of anybody', parseCount, INTERVAL_MS)
    .action(
      async ({
        ports = PORTS,
        seed,
        customers: count,
        interval: intervalMs,
      }: Partial<Options> & Omit<Options, 'ports'>) => {
        const { logLevel } = loadConfig(context.environment, ['logLevel']);
        const logger = context.createLogger(logLevel);
        await untilStopped({ clock, logger }, async ({ requested, teardown }) => {
          for (const port of ports) await requireFreePort(HOST, port);
          const [first = 0, second = 0, controlPort = 0] = ports;
          const simnet = await startSimnet({
            seed,
            clock,
            random,
            logger,
            host: HOST,
            grpcPorts: [first, second],
            controlPort,
            customers: { count, intervalMs },
          });
          teardown.add('simulated network', simnet.stop);
          preapproveCustomers(simnet);
          simnet.startCustomers();
          for (const line of describe(simnet, await payoutEnvironmentFor(simnet, random))) terminal.print(line);
          await aborted(requested);
        });
      },
    );
}

function describe(simnet: Simnet, payouts: Readonly<Record<string, string>>): readonly string[] {
  return [
    'The simulated network runs; its history is gone when it stops. Ctrl-C stops it.',
    `Control endpoint: ${simnet.controlUrl}`,
    '',
    'Customers who deposit, the memos they use, and the parties to pay them at:',
    ...simnet.customers.map(({ name, memo, party }) => `  ${name}  ${memo}  ${party}`),
    ...simnet.participants.flatMap((participant) => [
      '',
      `# ${participant.name}`,
      ...exportsOf(environmentFor(simnet, participant)),
    ]),
    '',
    '# withdrawals: for one Sluice, beside the lines of its participant',
    ...exportsOf(payouts),
  ];
}

/** Lines to paste into a shell. */
function exportsOf(environment: Readonly<Record<string, string>>): readonly string[] {
  return Object.entries(environment).map(([variable, value]) => `export ${variable}='${value}'`);
}

function parsePorts(text: string): readonly number[] {
  const ports = text.split(',').map((port) => (/^\d{1,5}$/.test(port) ? Number(port) : Number.NaN));
  if (ports.length === PORTS.length && ports.every((port) => port <= 65_535)) return ports;
  throw new InvalidArgumentError(`Expected ${PORTS.length} ports, e.g. ${PORTS.join(',')}.`);
}

function parseCount(text: string): number {
  if (/^\d{1,6}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('Expected a whole number, 0 to 999999.');
}
