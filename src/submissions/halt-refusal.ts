/** What is refused about halts, and what to do about it. */
import { PermanentError } from '../env/errors.ts';

const REFUSALS = {
  HALT_UNKNOWN: [
    'There is no such halt.',
    'A halt is lifted by its id, so that nobody lifts another one by mistake.',
    'Read `halts`, or `sluice lift`.',
  ],
  HALT_LIFTED: [
    'It was lifted already.',
    'What is lifted does not stand any more, and cannot be lifted again.',
    'Read `halts` to see what stands.',
  ],
  TREASURY_UNKNOWN: [
    'There is no such treasury party.',
    'A halt of something unknown would stop nothing.',
    'Check the name, or name none: then everything is halted.',
  ],
  INSTRUMENT_UNKNOWN: [
    'There is no such instrument.',
    'A halt of something unknown would stop nothing.',
    'Check the admin and the id, or name none: then every instrument is halted.',
  ],
  REASON_INVALID: [
    'The reason cannot be kept.',
    'It is kept for ever, for those who ask later why it was done.',
    'Give 1 to 1000 bytes of text that can be typed.',
  ],
} as const satisfies Record<string, readonly [string, string, string]>;

export type HaltRefusalCode = keyof typeof REFUSALS;

export const HALT_REFUSAL_CODES = Object.keys(REFUSALS) as readonly HaltRefusalCode[];

/** Nothing was changed. */
export class HaltRefusal extends PermanentError {
  readonly advice: { readonly why: string; readonly fix: string };
  constructor(code: HaltRefusalCode) {
    const [text, why, fix] = REFUSALS[code];
    super(code, text);
    this.advice = { why, fix };
  }
}
