/**
 * What really happened on the network during a drill, kept apart from anything that Sluice believes: the customers' own records, the network's balances, and whether an offer still stands there. An
 * offer that is gone and that no customer ended was accepted by the treasury: what it then holds has to add up.
 */

import type { Customer, CustomerActivity } from '../simnet/customers.ts';
import { unitsOfDecimal } from '../simnet/daml/decimal.ts';
import type { Network } from '../simnet/network.ts';
import { TREASURY } from '../simnet/network.ts';
import { type Amount, amountOf, formatAmount } from '../tokens/amount.ts';
import type { Books } from './drill-books.ts';

/** One thing that both sides know; equal texts are equal. */
export type Comparison = { readonly what: string; readonly network: string; readonly books: string };

export type Truth = {
  note(activity: CustomerActivity): void;
  /** A direct deposit of Canton Coin, noted. */
  deposit(customer: Customer, amount: string): void;
  notePayout(amount: Amount): void;
  /** Deposits and ends of offers so far. */
  activities(): number;
  payouts(): number;
  /** Offers for known accounts that still stand on the network: the treasury is to accept them. */
  openOffers(): number;
  /** Of all that customers did; what the treasury did itself is not among them. */
  updateIds(): string[];
  compareWith(books: Books, payee: string): readonly Comparison[];
};

/** The instrument of all payouts, as the network calls it. */
export const PAID_IN = 'amulet';

/** What Sluice did itself about offers, of which the ledger shows only that somebody did. */
export const ACTIONS = 'offers that the treasury accepted itself';

const ZERO_TEXT = formatAmount(amountOf(0n));

export function createTruth(network: Network): Truth {
  const all: CustomerActivity[] = [];
  const payouts: Amount[] = [];
  const idOf = (instrument: string): string => network.instrument(instrument).id;
  const stands = (instructionCid: string): boolean => network.ledger.contracts.find(instructionCid)?.isActive === true;

  /** Offers that no customer ended. */
  const leftOffers = (): readonly CustomerActivity[] => {
    const ended = new Set(
      all.flatMap(({ kind, instructionCid }) => (kind === 'accept' || kind === 'withdraw' ? [instructionCid] : [])),
    );
    return all.filter(({ kind, instructionCid }) => kind === 'offer' && !ended.has(instructionCid));
  };
  const acceptedByTreasury = (): readonly CustomerActivity[] =>
    leftOffers().filter(({ instructionCid }) => instructionCid !== undefined && !stands(instructionCid));

  /** Sums by key, as texts. */
  const sums = (activities: readonly CustomerActivity[], keyOf: (activity: CustomerActivity) => string) => {
    const totals = new Map<string, bigint>();
    for (const activity of activities) {
      const key = keyOf(activity);
      totals.set(key, (totals.get(key) ?? 0n) + unitsOfDecimal(activity.amount));
    }
    return new Map([...totals].map(([key, units]) => [key, textOf(units)]));
  };

  const note = (activity: CustomerActivity): void => void all.push(activity);
  return {
    note,
    deposit: (customer, amount) => {
      const { party, memo } = customer;
      network.tap({ instrument: 'amulet', owner: party, amount });
      const { updateId, recordTimeMicros } = network.transfer({
        instrument: 'amulet',
        sender: party,
        receiver: TREASURY,
        amount,
        memo,
      });
      note({
        kind: 'direct',
        customer,
        instrument: 'amulet',
        amount,
        memo,
        isMemoKnown: true,
        instructionCid: undefined,
        updateId,
        recordTimeMicros,
      });
    },
    notePayout: (amount) => void payouts.push(amount),
    activities: () => all.length,
    payouts: () => payouts.length,
    openOffers: () =>
      leftOffers().filter(
        ({ isMemoKnown, instructionCid }) => isMemoKnown && instructionCid !== undefined && stands(instructionCid),
      ).length,
    updateIds: () => all.map(({ updateId }) => updateId),
    compareWith: (books, payee) => {
      const accepted = acceptedByTreasury();
      const paid = [...all.filter(({ kind }) => kind === 'direct' || kind === 'accept'), ...accepted];
      const owned = paid.filter(({ isMemoKnown }) => isMemoKnown);
      const credited = sums(owned, ({ customer, instrument }) => `${customer.name} ${idOf(instrument)}`);
      const unowned = sums(
        paid.filter(({ isMemoKnown }) => !isMemoKnown),
        ({ instrument }) => idOf(instrument),
      );
      const received = network.balance({ instrument: PAID_IN, owner: payee });
      const asked = payouts.reduce((sum, amount) => sum + amount, 0n);
      const came = sums(paid, ({ instrument }) => instrument);
      return [
        ...network.tokens.map(({ name, instrumentId: { id } }) => ({
          what: `the treasury holds of ${id}`,
          network: textOf(unitsOfDecimal(network.balance({ instrument: name, owner: TREASURY }))),
          books: books.held.get(id) ?? ZERO_TEXT,
        })),
        ...network.tokens.map(({ name, instrumentId: { id } }) => ({
          what: `deposited less paid out, of ${id}`,
          network: textOf(unitsOfDecimal(came.get(name) ?? ZERO_TEXT) - (name === PAID_IN ? asked : 0n)),
          books: books.held.get(id) ?? ZERO_TEXT,
        })),
        ...compareMaps('credited to', credited, books.credited),
        ...compareMaps('nobody’s deposits of', unowned, books.unattributed),
        { what: 'deposits credited', network: String(owned.length), books: String(books.credits) },
        { what: 'deposits announced, each once', network: String(owned.length), books: String(books.announced) },
        {
          what: ACTIONS,
          network: String(accepted.length),
          books: String(books.acceptedOffers),
        },
        { what: 'payouts completed', network: String(payouts.length), books: String(books.completedPayouts) },
        { what: 'paid out, as the receiver has it', network: textOf(unitsOfDecimal(received)), books: books.paidOut },
        { what: 'paid out, as it was asked for', network: textOf(asked), books: books.paidOut },
      ];
    },
  };
}

function compareMaps(
  what: string,
  network: ReadonlyMap<string, string>,
  books: ReadonlyMap<string, string>,
): readonly Comparison[] {
  const keys = [...new Set([...network.keys(), ...books.keys()])].sort();
  return keys.map((key) => ({
    what: `${what} ${key}`,
    network: network.get(key) ?? ZERO_TEXT,
    books: books.get(key) ?? ZERO_TEXT,
  }));
}

function textOf(units: bigint): string {
  return formatAmount(amountOf(units));
}
