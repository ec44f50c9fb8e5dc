/**
 * What a change of a transfer does to the books: whatever the treasury's holdings gained or lost is booked against one other account, in full and at once, so
 * that the treasury's account equals its holdings after every update. Pure.
 */
import type { TransferChange } from '../ingestion/effect-sink.ts';
import { type Amount, amountOf } from '../tokens/amount.ts';
import { type AccountRef, houseAccount, type JournalEntry, type JournalLine } from './journal.ts';

/** The cause of what an update did to a transfer. `check-books.ts` reads it back. */
export function causeOf(change: TransferChange): string {
  return `transfer:${change.transferId}:${change.updateId}`;
}

/**
 * @param counter who gained when the treasury lost, and the other way round, once the transfer has ended.
 * @param fee what of a loss was not paid to `counter`; zero or more.
 */
export function bookTransfer(
  change: TransferChange,
  party: string,
  { counter, fee = 0n }: { readonly counter: AccountRef; readonly fee?: bigint },
): JournalEntry {
  const treasury: AccountRef = { kind: 'TREASURY', owner: party };
  const inTransit = houseAccount('IN_TRANSIT');
  const isOpen = change.status === 'PENDING';
  const line = (from: AccountRef, to: AccountRef, amount: bigint) => lineOf(change.instrument.key, from, to, amount);
  return {
    cause: causeOf(change),
    description: `${change.direction} ${change.kind} ${change.status}`,
    recordTime: change.recordTime,
    lines: [
      // The treasury owes what it gained: to the counter account, or while the transfer is open to what is in transit.
      ...line(treasury, isOpen ? inTransit : counter, change.holdingsDelta + (isOpen ? 0n : fee)),
      ...line(treasury, houseAccount('FEES'), isOpen ? 0n : -fee),
      // What went in transit when the transfer began has arrived.
      ...line(inTransit, counter, isOpen ? 0n : change.earlierHoldingsDelta),
    ],
  };
}

/**
 * What a change moved, against unexplained: for one that nobody could book as what it is. So the treasury's account equals its holdings even then. Reading the update again
 * (`corrections.ts`) takes it back.
 */
export function bookSuspended(change: TransferChange, party: string): JournalEntry {
  const treasury: AccountRef = { kind: 'TREASURY', owner: party };
  return {
    cause: `${causeOf(change)}:suspended`,
    description: `${change.direction} ${change.kind} ${change.status}, not understood`,
    recordTime: change.recordTime,
    lines: lineOf(change.instrument.key, treasury, houseAccount('UNEXPLAINED'), change.holdingsDelta),
  };
}

/** A line of any sign; none for zero. */
export function lineOf(instrumentKey: number, debit: AccountRef, credit: AccountRef, amount: bigint): JournalLine[] {
  if (amount === 0n) return [];
  const positive: Amount = amountOf(amount < 0n ? -amount : amount);
  return [{ instrumentKey, amount: positive, ...(amount > 0n ? { debit, credit } : { debit: credit, credit: debit }) }];
}
