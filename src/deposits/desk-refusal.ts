/** What the desk refuses, and what to do about it. */
import type { DatabaseRestoredError } from '../db/database-restore.ts';
import { PermanentError } from '../env/errors.ts';
import { formatRecordTime } from '../env/record-time.ts';

type Advice = { readonly why: string; readonly fix: string };

const REFUSALS = {
  CASE_UNKNOWN: [
    'There is no such case at the desk.',
    'Only deposits and offers that could be credited to nobody, or were denied, are cases.',
    'Look it up with `deskCases`; what is credited already needs no decision.',
  ],
  CASE_CLOSED: [
    'It is decided already.',
    'A deposit belongs to one account, or goes back once.',
    'Read the case and its decisions to see what became of it.',
  ],
  DECISION_PENDING: [
    'Another decision about it waits for approval.',
    'Two people cannot decide two things about one deposit.',
    'Approve or refuse that one first.',
  ],
  DECISION_UNKNOWN: [
    'No such decision waits for approval.',
    'It was approved or refused before, or never asked for.',
    'Read the decisions of the case.',
  ],
  DECISION_OUTDATED: [
    'Screening denied it after this was asked for.',
    'Two people may overrule what was denied, and both have to know of it.',
    'Refuse this decision, and have it asked for again.',
  ],
  SAME_PERSON: [
    'Who asks for it cannot approve it.',
    'Above the limit, and for what screening denied, two people decide.',
    'Have somebody else with the scope `desk` approve it.',
  ],
  ACCOUNT_UNKNOWN: [
    'There is no such account.',
    'A deposit is assigned to an account that exists, so that a slip of the pen credits nobody.',
    'Check the name; `createDepositAccount` opens an account.',
  ],
  INSTRUMENT_NOT_ACCEPTED: [
    'Its instrument is not accepted.',
    'Anybody can make tokens of any name; one that is not accepted is neither credited nor paid out.',
    'Accept the instrument first, if it is what it seems to be.',
  ],
  SENDER_UNKNOWN: [
    'Nobody knows who sent it.',
    'The transaction does not show a sender, so there is nobody to send it back to.',
    'Assign it to an account, whose owner may withdraw it.',
  ],
  NOTHING_HERE: [
    'It is an offer, or has not come.',
    'Only money that came can be sent back; an offer is rejected instead, or left to expire.',
    'Wait for its end, or assign it.',
  ],
  DEPOSIT_GONE: [
    'The transfer is not what the case says.',
    'The ledger’s history was derived anew, and this transfer did not bring the money.',
    'Have an operator look at the freezes of the treasury.',
  ],
  WITHDRAWALS_OFF: [
    'This installation does not pay out.',
    'A refund is a withdrawal to the sender, and no signer is configured here.',
    'Configure withdrawals, or assign the deposit.',
  ],
  OFFER_DENIED: [
    'Screening denied the offer.',
    'What was denied before it came is not taken.',
    'Leave it to expire, or have its sender withdraw it.',
  ],
  REASON_INVALID: [
    'The reason cannot be kept.',
    'It is kept for ever, for those who ask later why it was done.',
    'Give 1 to 1000 bytes of text that can be typed.',
  ],
  REFUND_REFUSED: [
    'The withdrawal that would pay it back was refused.',
    'A refund is a withdrawal like any other.',
    'The message says what was wrong with it.',
  ],
  DB_RESTORED: [
    'The database went back in time, and it may have been sent back by what is lost.',
    'A refund that was signed before may still be paid, and only the ledger can tell.',
    'Ask again when ingestion has passed the time that the message ends with.',
  ],
  SCREENING_UNKNOWN: [
    'There is nothing to ask the screening service about.',
    'Only what waits for a verdict can be asked again.',
    'Read the screening of the transfer.',
  ],
} as const satisfies Record<string, readonly [string, string, string]>;

export type DeskRefusalCode = keyof typeof REFUSALS;

export const DESK_REFUSAL_CODES = Object.keys(REFUSALS) as readonly DeskRefusalCode[];

/** Nothing was changed. */
export class DeskRefusal extends PermanentError {
  readonly advice: Advice;
  constructor(code: DeskRefusalCode, message?: string) {
    const [text, why, fix] = REFUSALS[code];
    super(code, message ?? text);
    this.advice = { why, fix };
  }
}

export function deskRestored({ safeRecordTime }: DatabaseRestoredError): DeskRefusal {
  const [text] = REFUSALS.DB_RESTORED;
  return new DeskRefusal('DB_RESTORED', `${text} Ask again after ${formatRecordTime(safeRecordTime)}`);
}
