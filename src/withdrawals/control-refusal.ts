/** What is refused of what people want done about a withdrawal, and what to do about it. */
import { PermanentError } from '../env/errors.ts';

const REFUSALS = {
  WITHDRAWAL_UNKNOWN: [
    'There is no such withdrawal.',
    'It is looked up by its id.',
    'Check the id; `withdrawals` lists them.',
  ],
  WITHDRAWAL_FINAL: [
    'It has ended.',
    'A final state is never left.',
    'Read `state`, and `definiteFailureProof` or the transfer.',
  ],
  NOT_HELD: ['It is not held.', 'Only what is held can be resumed.', 'Read `stops` of the withdrawal.'],
  NOT_PARKED: ['It is not parked.', 'Only what is parked can be put back.', 'Read `stops` of the withdrawal.'],
  NOTHING_TO_TRY: [
    'It has no open attempt.',
    'Only an open attempt can be tried sooner; one that waits in the queue is looked at all the time.',
    'Read `waitsFor`: it says what keeps it in the queue.',
  ],
  TRIES_EXHAUSTED: [
    'Its attempt has no tries left.',
    'Every try costs traffic, and all of them together can commit once only.',
    'Wait until `decidableBy`: then it is certain, and another attempt opens where one is left.',
  ],
  TRIED_JUST_NOW: [
    'It was tried a moment ago.',
    'What was executed is usually seen within a second; trying again sooner only costs traffic.',
    'Ask again in a few seconds.',
  ],
  NOT_RESOLVABLE: [
    'Nothing of it is for people to decide.',
    'Only what nobody can read (`UNRESOLVED`), or waits because the ledger shows an earlier payment (`PAID_BEFORE`), is decided by people.',
    'Wait for the ledger; `sluice stuck` says what each one waits for.',
  ],
  NOT_YET_DEAD: [
    'It could still be paid.',
    'Until the ledger has passed the last record time of its attempt, saying that it was not paid would be a guess.',
    'Wait until `decidableBy`.',
  ],
  OUTCOME_IMPOSSIBLE: [
    'It cannot have ended like that.',
    'What was never offered cannot have come back, and what was paid has a transfer that fits it.',
    'Choose another outcome, or name the update that paid.',
  ],
  UPDATE_UNKNOWN: [
    'That update does not pay it.',
    'The update was read, and nothing in it is this payment; or the ledger shows another one.',
    'Check the update id, or leave it out where nobody knows it.',
  ],
  RESOLUTION_PENDING: [
    'Another resolution of it waits for a second person.',
    'Two people decide one thing.',
    'Approve or refuse that one first.',
  ],
  RESOLUTION_UNKNOWN: [
    'No such resolution waits for a second person.',
    'It was approved or refused before, or never asked for.',
    'Read `resolutions` of the withdrawal.',
  ],
  RESOLUTION_OUTDATED: [
    'The withdrawal has moved on since.',
    'The ledger told what nobody could read when this was asked for.',
    'Refuse it, and read the withdrawal anew.',
  ],
  SAME_PERSON: [
    'Who asks for it cannot approve it.',
    'It moves money on the word of people alone, so it takes two of them.',
    'Have somebody else with the scope `operate` approve it.',
  ],
  REASON_INVALID: [
    'The reason cannot be kept.',
    'It is kept for ever, for those who ask later why it was done.',
    'Give 1 to 1000 bytes of text that can be typed; evidence up to 4000.',
  ],
} as const satisfies Record<string, readonly [string, string, string]>;

export type ControlRefusalCode = keyof typeof REFUSALS;

export const CONTROL_REFUSAL_CODES = Object.keys(REFUSALS) as readonly ControlRefusalCode[];

/** Nothing was changed. */
export class ControlRefusal extends PermanentError {
  readonly advice: { readonly why: string; readonly fix: string };
  constructor(code: ControlRefusalCode) {
    const [text, why, fix] = REFUSALS[code];
    super(code, text);
    this.advice = { why, fix };
  }
}

/** @throws ControlRefusal REASON_INVALID. */
export function demandKept(text: string, bytesMax = 1_000): void {
  const isKept = text.isWellFormed() && !text.includes('\0') && text.trim() !== '';
  if (!isKept || Buffer.byteLength(text) > bytesMax) throw new ControlRefusal('REASON_INVALID');
}
