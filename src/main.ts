/** The command line: `node src/main.ts <command>`. Wires the ambient world to the commands; each is in a file of its own in src/cli/. */
import { Command } from 'commander';
import type { CommandContext } from './cli/command-context.ts';
import { EXIT_CODES } from './cli/exit-code.ts';
import { reportFailure } from './cli/report-failure.ts';
import { createTerminal, createTerminalLogger } from './cli/terminal.ts';
import { createSystemLogger, systemClock, systemRandom } from './env/system.ts';

const LEFTOVER_MS = 3_000; // A finished command has nothing left to do; what keeps it alive beyond this is a leak.

const { stdout, stderr, env } = process;
const style = { isPlain: (env['NO_COLOR'] ?? '') !== '' };
const terminal = createTerminal(stdout, style);

const context: CommandContext = {
  environment: env,
  terminal,
  createLogger: (level) =>
    stderr.isTTY ? createTerminalLogger(createTerminal(stderr, style), level) : createSystemLogger(level),
  clock: systemClock,
  random: systemRandom,
  end: (reason) => {
    process.exitCode = EXIT_CODES[reason].code;
  },
};

type Making = (context: CommandContext) => Command;

/** By name, in the order of the help. What one command does not need is not loaded for it: most need little of the service, which takes a second. */
const COMMANDS: Readonly<Record<string, () => Promise<Making>>> = {
  dev: async () => (await import('./cli/dev.ts')).devCommand,
  serve: async () => (await import('./cli/serve.ts')).serveCommand,
  simnet: async () => (await import('./cli/simnet.ts')).simnetCommand,
  migrate: async () => (await import('./cli/migrate.ts')).migrateCommand,
  verify: async () => (await import('./cli/verify.ts')).verifyCommand,
  rebuild: async () => (await import('./cli/rebuild.ts')).rebuildCommand,
  reparse: async () => (await import('./cli/reparse.ts')).reparseCommand,
  resume: async () => (await import('./cli/resume.ts')).resumeCommand,
  withdrawals: async () => (await import('./cli/withdrawals.ts')).withdrawalsCommand,
  signer: async () => (await import('./cli/signer.ts')).signerCommand,
  'signer-check': async () => (await import('./cli/signer-check.ts')).signerCheckCommand,
  explain: async () => (await import('./cli/explain.ts')).explainCommand,
  proof: async () => (await import('./cli/proof.ts')).proofCommand,
  freezes: async () => (await import('./cli/freezes.ts')).freezesCommand,
  doctor: async () => (await import('./cli/doctor.ts')).doctorCommand,
  status: async () => (await import('./cli/status.ts')).statusCommand,
  stuck: async () => (await import('./cli/stuck.ts')).stuckCommand,
  approvals: async () => (await import('./cli/approvals.ts')).approvalsCommand,
  policy: async () => (await import('./cli/policy.ts')).policyCommand,
  halt: async () => (await import('./cli/halt.ts')).haltCommand,
  lift: async () => (await import('./cli/halt.ts')).liftCommand,
  token: async () => (await import('./cli/token.ts')).tokenCommand,
  treasury: async () => (await import('./cli/treasury.ts')).treasuryCommand,
  funds: async () => (await import('./cli/funds.ts')).fundsCommand,
  books: async () => (await import('./cli/books.ts')).booksCommand,
  screening: async () => (await import('./cli/screening.ts')).screeningCommand,
  'deposit-accounts': async () => (await import('./cli/deposit-accounts.ts')).depositAccountsCommand,
  drill: async () => (await import('./cli/drill.ts')).drillCommand,
  recover: async () => (await import('./cli/recover.ts')).recoverCommand,
  restored: async () => (await import('./cli/restored.ts')).restoredCommand,
  database: async () => (await import('./cli/database.ts')).databaseCommand,
  roles: async () => (await import('./cli/roles.ts')).rolesCommand,
  key: async () => (await import('./cli/key.ts')).keyCommand,
  config: async () => (await import('./cli/config.ts')).configCommand,
};

/** The one command that is meant; all of them for help, and for the answer to a name that there is not. */
async function createProgram(): Promise<Command> {
  const [, , first = ''] = process.argv;
  const named = Object.hasOwn(COMMANDS, first) ? COMMANDS[first] : undefined;
  const program = new Command('sluice')
    .description('Deposits and withdrawals between a crypto exchange and the Canton Network')
    .addHelpText('after', `\nExit codes:\n${exitCodeLines().join('\n')}`);
  for (const load of named === undefined ? Object.values(COMMANDS) : [named])
    program.addCommand((await load())(context));
  overrideExit(program);
  return program;
}

/** Errors of parsing come here as well, instead of ending the process inside commander. */
function overrideExit(command: Command): void {
  command.exitOverride();
  for (const child of command.commands) overrideExit(child);
}

function exitCodeLines(): readonly string[] {
  return Object.values(EXIT_CODES).map(({ code, meaning }) => `  ${String(code).padStart(3)}  ${meaning}`);
}

function fail(error: unknown): void {
  process.exitCode = reportFailure(error, (text) => stderr.write(text));
}

// A closed pipe or terminal is not worth dying for half-way through a shutdown.
for (const stream of [stdout, stderr]) stream.on('error', () => undefined);
process.on('uncaughtException', (error) => {
  fail(error);
  process.exit();
});

try {
  const program = await createProgram();
  await program.parseAsync();
} catch (error) {
  fail(error);
}
setTimeout(() => {
  stderr.write(`Something kept the process alive: ${process.getActiveResourcesInfo().join(', ')}\n`);
  process.exit();
}, LEFTOVER_MS).unref();
