/** What every command gets: the outside world as arguments, and the one way to say how it ended. */
import type { Environment } from '../config/config.ts';
import type { Clock } from '../env/clock.ts';
import type { Logger } from '../env/logger.ts';
import type { Random } from '../env/random.ts';
import type { LogLevel } from '../env/system.ts';
import type { ExitReason } from './exit-code.ts';
import type { Terminal } from './terminal.ts';

export type CommandContext = {
  readonly environment: Environment;
  /** Standard output: a command's answer. */
  readonly terminal: Terminal;
  /** Log lines on standard error: JSON, or for people when that is a terminal. */
  readonly createLogger: (level: LogLevel) => Logger;
  readonly clock: Clock;
  readonly random: Random;
  /** Decides the exit code, unless an error decides it. */
  readonly end: (reason: ExitReason) => void;
};
