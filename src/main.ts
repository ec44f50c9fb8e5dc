/** The command line: `node src/main.ts <command>`. Wires the ambient world to the commands; each is in a file of its own in src/cli/. */
import { Command } from 'commander';
import { approvalsCommand } from './cli/approvals.ts';
import { booksCommand } from './cli/books.ts';
import type { CommandContext } from './cli/command-context.ts';
import { configCommand } from './cli/config.ts';
import { databaseCommand } from './cli/database.ts';
import { depositAccountsCommand } from './cli/deposit-accounts.ts';
import { devCommand } from './cli/dev.ts';
import { doctorCommand } from './cli/doctor.ts';
import { drillCommand } from './cli/drill.ts';
import { EXIT_CODES } from './cli/exit-code.ts';
import { explainCommand } from './cli/explain.ts';
import { freezesCommand } from './cli/freezes.ts';
import { fundsCommand } from './cli/funds.ts';
import { haltCommand, liftCommand } from './cli/halt.ts';
import { keyCommand } from './cli/key.ts';
import { migrateCommand } from './cli/migrate.ts';
import { policyCommand } from './cli/policy.ts';
import { proofCommand } from './cli/proof.ts';
import { rebuildCommand } from './cli/rebuild.ts';
import { recoverCommand } from './cli/recover.ts';
import { reparseCommand } from './cli/reparse.ts';
import { reportFailure } from './cli/report-failure.ts';
import { restoredCommand } from './cli/restored.ts';
import { resumeCommand } from './cli/resume.ts';
import { rolesCommand } from './cli/roles.ts';
import { serveCommand } from './cli/serve.ts';
import { signerCommand } from './cli/signer.ts';
import { signerCheckCommand } from './cli/signer-check.ts';
import { simnetCommand } from './cli/simnet.ts';
import { statusCommand } from './cli/status.ts';
import { stuckCommand } from './cli/stuck.ts';
import { createTerminal, createTerminalLogger } from './cli/terminal.ts';
import { tokenCommand } from './cli/token.ts';
import { treasuryCommand } from './cli/treasury.ts';
import { verifyCommand } from './cli/verify.ts';
import { withdrawalsCommand } from './cli/withdrawals.ts';
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

const program = new Command('sluice')
  .description('Deposits and withdrawals between a crypto exchange and the Canton Network')
  .addCommand(devCommand(context))
  .addCommand(serveCommand(context))
  .addCommand(simnetCommand(context))
  .addCommand(migrateCommand(context))
  .addCommand(verifyCommand(context))
  .addCommand(rebuildCommand(context))
  .addCommand(reparseCommand(context))
  .addCommand(resumeCommand(context))
  .addCommand(withdrawalsCommand(context))
  .addCommand(signerCommand(context))
  .addCommand(signerCheckCommand(context))
  .addCommand(explainCommand(context))
  .addCommand(proofCommand(context))
  .addCommand(freezesCommand(context))
  .addCommand(doctorCommand(context))
  .addCommand(statusCommand(context))
  .addCommand(stuckCommand(context))
  .addCommand(approvalsCommand(context))
  .addCommand(policyCommand(context))
  .addCommand(haltCommand(context))
  .addCommand(liftCommand(context))
  .addCommand(tokenCommand(context))
  .addCommand(treasuryCommand(context))
  .addCommand(fundsCommand(context))
  .addCommand(booksCommand(context))
  .addCommand(depositAccountsCommand(context))
  .addCommand(drillCommand(context))
  .addCommand(recoverCommand(context))
  .addCommand(restoredCommand(context))
  .addCommand(databaseCommand(context))
  .addCommand(rolesCommand(context))
  .addCommand(keyCommand(context))
  .addCommand(configCommand(context))
  .addHelpText('after', `\nExit codes:\n${exitCodeLines().join('\n')}`);

overrideExit(program);

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
  await program.parseAsync();
} catch (error) {
  fail(error);
}
setTimeout(() => {
  stderr.write(`Something kept the process alive: ${process.getActiveResourcesInfo().join(', ')}\n`);
  process.exit();
}, LEFTOVER_MS).unref();
