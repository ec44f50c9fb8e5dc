/**
 * What the process tells whoever started it. The one list: the README's table is tested against it.
 *
 * The numbers above 2 are those of BSD's sysexits.h, so that a service manager may tell "start it again" from "somebody has to look".
 */
import { type PermanentError, RetryableError } from '../env/errors.ts';

export const EXIT_CODES = {
  done: { code: 0, meaning: 'done, or stopped in order by SIGINT, SIGTERM or SIGHUP' },
  no: {
    code: 1,
    meaning:
      'the answer is no: `verify` found differences, `doctor` something that has to be done, `freezes`, `lift`, `status`, `stuck`, `approvals` or `recover` show something that waits for people, `migrate --status` found pending migrations, a drill failed',
  },
  usage: { code: 2, meaning: 'unknown command or option' },
  refused: {
    code: 69,
    meaning:
      'something needed is not as it must be (port taken, foreign database): look first, a restart alone will not help',
  },
  fault: { code: 70, meaning: 'a fault of Sluice itself: please report it with its stack trace' },
  retry: { code: 75, meaning: 'something needed stayed away for too long (participant, database): start again' },
  config: { code: 78, meaning: 'the configuration is wrong; all faults are listed' },
  interrupted: {
    code: 130,
    meaning: 'a second signal, or the 10 s after the first one, cut the shutdown short; nothing is lost by it',
  },
} as const satisfies Record<string, { readonly code: number; readonly meaning: string }>;

export type ExitReason = keyof typeof EXIT_CODES;

/** What no repetition within this process mends, and a new process does: it was made for an event log that is gone. */
const MENDED_BY_RESTART: ReadonlySet<string> = new Set(['EVENT_LOG_REPLACED']);

/** @returns 75 where a restart may help, else 69. */
export function exitReasonOf(error: RetryableError | PermanentError): ExitReason {
  return error instanceof RetryableError || MENDED_BY_RESTART.has(error.code) ? 'retry' : 'refused';
}
