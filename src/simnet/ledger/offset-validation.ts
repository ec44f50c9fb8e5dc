/** What a participant says to offsets that it cannot serve. Source: Canton 3.5, validation of update and state service requests. */
import { cantonError } from './canton-error.ts';
import type { ParticipantHistory } from './participant-history.ts';

export function requireNonNegative(offset: bigint, field: string): void {
  if (offset >= 0n) return;
  throw cantonError({
    code: 'NEGATIVE_OFFSET',
    category: 'invalidRequest',
    text: `Offset ${offset} in ${field} is a negative integer: the offset in ${field} field has to be a non-negative integer (>=0)`,
  });
}

export function requirePositive(offset: bigint, field: string): void {
  if (offset > 0n) return;
  throw cantonError({
    code: 'NON_POSITIVE_OFFSET',
    category: 'invalidRequest',
    text: `Offset ${offset} in ${field} is a non-positive integer: the offset has to be either a positive integer (>0) or not defined at all`,
  });
}

/** @param name such as `Begin`, for the text. */
export function requireNotAfterEnd(offset: bigint, name: string, history: ParticipantHistory): void {
  const ledgerEnd = history.ledgerEnd();
  if (offset <= ledgerEnd) return;
  throw cantonError({
    code: 'OFFSET_AFTER_LEDGER_END',
    category: 'seekAfterEnd',
    text: `${name} offset (${offset}) is after ledger end (${ledgerEnd})`,
  });
}

export function requireOrdered(begin: bigint, end: bigint): void {
  if (end >= begin) return;
  throw cantonError({
    code: 'OFFSET_OUT_OF_RANGE',
    category: 'invalidState',
    text: `End offset ${end} is before begin offset ${begin}.`,
  });
}

/** @param what is asked for, such as `Transactions request from 1`, for the text. */
export function requireUnpruned(offset: bigint, what: string, history: ParticipantHistory): void {
  const prunedUpTo = history.prunedUpTo();
  if (offset >= prunedUpTo) return;
  throw cantonError({
    code: 'PARTICIPANT_PRUNED_DATA_ACCESSED',
    category: 'invalidState',
    text: `${what} precedes pruned offset ${prunedUpTo}`,
    metadata: { earliest_offset: String(prunedUpTo) },
  });
}
