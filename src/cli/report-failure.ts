/** How an error that ended a command is told: expected ones in a sentence, ours to fix with their stack. */
import { CommanderError } from 'commander';
import { ConfigError } from '../config/config.ts';
import { AssertionError, PermanentError, RetryableError } from '../env/errors.ts';
import { EXIT_CODES, exitReasonOf } from './exit-code.ts';

/**
 * @param write standard error.
 * @returns the exit code.
 */
export function reportFailure(error: unknown, write: (text: string) => void): number {
  // Commander has written its own message already; asking for help is no failure.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT_CODES.done.code : EXIT_CODES.usage.code;
  if (error instanceof ConfigError) {
    write(`${error.message}\nAll variables with their meaning: docs/configuration.md\n`);
    return EXIT_CODES.config.code;
  }
  const isExpected =
    (error instanceof PermanentError && !(error instanceof AssertionError)) || error instanceof RetryableError;
  if (isExpected) {
    write(`${error.code}: ${error.message}\n`);
    const fix = fixOf(error);
    if (fix !== null) write(`  ${fix}\n`);
    for (let cause = error.cause; cause instanceof Error; cause = cause.cause) write(`  because: ${cause.message}\n`);
    return EXIT_CODES[exitReasonOf(error)].code;
  }
  write(`A fault of Sluice itself; please report it with what follows.\n${traceOf(error)}\n`);
  return EXIT_CODES.fault.code;
}

/** What a refusal says that can be done about it (`advice.fix`), as the API does. */
function fixOf(error: Error): string | null {
  if (!('advice' in error) || typeof error.advice !== 'object' || error.advice === null) return null;
  return 'fix' in error.advice && typeof error.advice.fix === 'string' ? error.advice.fix : null;
}

function traceOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return `${error.stack ?? error.message}${error.cause === undefined ? '' : `\ncaused by ${traceOf(error.cause)}`}`;
}
