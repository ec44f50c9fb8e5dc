/** What is refused of those who approve, and what to do about it. */
import { PermanentError } from '../env/errors.ts';

const REFUSALS = {
  WITHDRAWAL_UNKNOWN: [
    'There is no such withdrawal.',
    'Only a withdrawal that was asked for can be approved.',
    'Look it up with `pendingApprovals`.',
  ],
  NOT_AWAITING: [
    'It waits for nobody’s approval.',
    'It was approved by enough people, refused, cancelled or denied before, or nobody ever had to be asked.',
    'Read the withdrawal to see what became of it.',
  ],
  INTENT_CHANGED: [
    'It is not what you looked at.',
    'An approval is bound to the hash of what is paid, whole: who, what, how much, for whom and with which memo.',
    'Read it again with its `intentHash`, and decide about that.',
  ],
  SAME_PERSON: [
    'Who asks for it cannot approve it.',
    'Somebody else has to look, and another key of the same person is not somebody else.',
    'Have another person with the scope `approve` approve it.',
  ],
  APPROVAL_EXPIRED: [
    'It was to be approved earlier.',
    'What was right to pay when it was asked for need not be now.',
    'Have it asked for again.',
  ],
  ALREADY_DECIDED: [
    'You have said the contrary before.',
    'One person has one word, and it stands.',
    'Ask somebody else; whoever asked for it can cancel it.',
  ],
  REASON_INVALID: [
    'The reason cannot be kept.',
    'It is kept for ever, for those who ask later why it was done.',
    'Give 1 to 1000 bytes of text that can be typed.',
  ],
} as const satisfies Record<string, readonly [string, string, string]>;

export type ApprovalRefusalCode = keyof typeof REFUSALS;

export const APPROVAL_REFUSAL_CODES = Object.keys(REFUSALS) as readonly ApprovalRefusalCode[];

/** Nothing was approved or refused. */
export class ApprovalRefusal extends PermanentError {
  readonly advice: { readonly why: string; readonly fix: string };
  constructor(code: ApprovalRefusalCode) {
    const [message, why, fix] = REFUSALS[code];
    super(code, message);
    this.advice = { why, fix };
  }
}

const REASON_BYTES_MAX = 1_000;

/** Whether a text can be kept as the reason of a decision. */
export function isReason(reason: string): boolean {
  const isText = reason.isWellFormed() && !reason.includes('\0') && reason.trim() !== '';
  return isText && Buffer.byteLength(reason, 'utf8') <= REASON_BYTES_MAX;
}
