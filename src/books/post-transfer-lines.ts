/**
 * The lines of a post transfer: what each account gains or loses, signed, as an exchange has them; and what they are in the journal, where a posting moves an amount from one account to another. Pure.
 */
import { UNPRINTABLE } from '../env/storable-text.ts';
import { type Amount, amountOf, formatAmount } from '../tokens/amount.ts';
import type { Instrument } from '../tokens/transfer-record.ts';
import type { AccountRef, JournalLine } from './journal.ts';
import { PostTransferRefusal } from './post-transfer-refusal.ts';

/** The accounts of the house that may be named. They may owe: what the house has elsewhere is not known here. */
export const POSTABLE_HOUSE_ACCOUNTS = ['FEES', 'HOUSE', 'SHORTFALL'] as const;

export type PostableHouseAccount = (typeof POSTABLE_HOUSE_ACCOUNTS)[number];

export type PostTransferLine = {
  /** The exchange's own name for a customer's account, or one of the house's. */
  readonly account: { readonly customer: string } | { readonly house: PostableHouseAccount };
  readonly instrument: Instrument;
  /** What the account gains; below zero: loses. */
  readonly amount: Amount;
};

/** Lines: a trade has four to six, a batch of fees some dozens. More would hold that many balances locked at once, and wait for each other. */
export const POST_TRANSFER_LINES_MAX = 100;

const TEXT_BYTES_MAX = 255;

export function isPrintable(text: string): boolean {
  return text !== '' && text.isWellFormed() && Buffer.byteLength(text) <= TEXT_BYTES_MAX && !UNPRINTABLE.test(text);
}

export function accountOf({ account }: Pick<PostTransferLine, 'account'>): AccountRef {
  return 'customer' in account ? { kind: 'CUSTOMER', owner: account.customer } : { kind: account.house, owner: '' };
}

/** @throws PostTransferRefusal where the lines are not the lines of one transfer. */
export function demandBalanced(lines: readonly PostTransferLine[]): void {
  if (lines.length < 2 || lines.length > POST_TRANSFER_LINES_MAX) {
    throw new PostTransferRefusal('LINES_INVALID', `A post transfer has 2 to ${POST_TRANSFER_LINES_MAX} lines.`);
  }
  const seen = new Set<string>();
  const sums = new Map<string, { readonly instrument: Instrument; readonly sum: bigint }>();
  for (const [index, { account, instrument, amount }] of lines.entries()) {
    if ('customer' in account && !isPrintable(account.customer)) {
      throw new PostTransferRefusal('LINE_ACCOUNT_INVALID', 'An account has 1 to 255 bytes of printable text.', index);
    }
    if (amount === 0n) throw new PostTransferRefusal('LINE_AMOUNT_INVALID', 'A line moves more than nothing.', index);
    const place = placeOf({ account, instrument });
    if (seen.has(place)) {
      throw new PostTransferRefusal('LINE_REPEATED', 'An account has one line per instrument.', index);
    }
    seen.add(place);
    const key = instrumentKeyOf(instrument);
    sums.set(key, { instrument, sum: (sums.get(key)?.sum ?? 0n) + amount });
  }
  for (const { instrument, sum } of sums.values()) {
    if (sum === 0n) continue;
    throw new PostTransferRefusal(
      'LINES_UNBALANCED',
      `The lines of ${instrument.id} of ${instrument.admin} add up to ${formatAmount(sum)}, and not to nothing.`,
    );
  }
}

/**
 * Who gives pays who gets, in the order of their names, until both are used up: at most one posting fewer than there are lines, and each account moves by what its line says.
 * @param lines balanced.
 * @param keyOf the database's number of an instrument.
 */
export function postingsOf(
  lines: readonly PostTransferLine[],
  keyOf: (instrument: Instrument) => number,
): readonly JournalLine[] {
  const ordered = [...lines].sort(inOrder);
  const instruments = [...new Map(ordered.map(({ instrument }) => [instrumentKeyOf(instrument), instrument])).values()];
  return instruments.flatMap((instrument) => {
    const own = ordered.filter((line) => instrumentKeyOf(line.instrument) === instrumentKeyOf(instrument));
    return pairs(own).map(({ from, to, amount }) => ({
      debit: accountOf(from),
      credit: accountOf(to),
      instrumentKey: keyOf(instrument),
      amount: amountOf(amount),
    }));
  });
}

function pairs(lines: readonly PostTransferLine[]) {
  const givers = lines.filter(({ amount }) => amount < 0n).map((line) => ({ line, left: -line.amount }));
  const found: { readonly from: PostTransferLine; readonly to: PostTransferLine; readonly amount: bigint }[] = [];
  let [giver, ...others] = givers;
  for (const to of lines.filter(({ amount }) => amount > 0n)) {
    for (let wanted: bigint = to.amount; wanted > 0n && giver !== undefined; ) {
      const amount = wanted < giver.left ? wanted : giver.left;
      found.push({ from: giver.line, to, amount });
      wanted -= amount;
      giver.left -= amount;
      if (giver.left === 0n) [giver, ...others] = others;
    }
  }
  return found;
}

/** What two inputs must have in common to be the same, whatever the order of their lines; JSON of arrays, so that no two look alike. */
export function canonicalText(lines: readonly PostTransferLine[], reference: string | null): string {
  const parts = [...lines].sort(inOrder).map((line) => {
    const { kind, owner } = accountOf(line);
    return [kind, owner, line.instrument.admin, line.instrument.id, formatAmount(line.amount)];
  });
  return JSON.stringify([reference, parts]);
}

export function instrumentKeyOf({ admin, id }: Instrument): string {
  return JSON.stringify([admin, id]);
}

function placeOf(line: Pick<PostTransferLine, 'account' | 'instrument'>): string {
  const { kind, owner } = accountOf(line);
  return JSON.stringify([line.instrument.admin, line.instrument.id, kind, owner]);
}

function inOrder(left: PostTransferLine, right: PostTransferLine): number {
  const [one, other] = [placeOf(left), placeOf(right)];
  return one < other ? -1 : one > other ? 1 : 0;
}
