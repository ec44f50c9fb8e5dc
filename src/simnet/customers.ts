/**
 * Customers who keep depositing to the treasury: a seeded source of traffic for demonstrations and load. Most deposits are direct, some are
 * offers that are accepted or withdrawn later; a few carry a memo that nobody has registered, or none.
 */
import type { Clock } from '../env/clock.ts';
import { messageOf } from '../env/errors.ts';
import type { Logger } from '../env/logger.ts';
import type { Random } from '../env/random.ts';
import { decimalOfUnits, unitsOfDecimal } from './daml/decimal.ts';
import { sha256Hex } from './ledger/ids.ts';
import { type Network, TREASURY } from './network.ts';

export type Customer = {
  readonly name: string;
  /** Full party id. */
  readonly party: string;
  /** What the exchange gave this customer to put into the memo. */
  readonly memo: string;
};

export type CustomerActivity = {
  readonly kind: 'direct' | 'offer' | 'accept' | 'withdraw';
  readonly customer: Customer;
  readonly instrument: string;
  /** Decimal. */
  readonly amount: string;
  /** Undefined: deposited without one. */
  readonly memo: string | undefined;
  readonly isMemoKnown: boolean;
  /** The contract of the offer that was made or ended; undefined for a direct deposit. */
  readonly instructionCid: string | undefined;
  readonly updateId: string;
  readonly recordTimeMicros: bigint;
};

export type CustomersOptions = {
  readonly network: Network;
  readonly clock: Clock;
  /** Their own stream of randomness. */
  readonly random: Random;
  readonly logger: Logger;
  readonly count: number;
  /** Instruments they deposit; all of the network when left out. */
  readonly instruments?: readonly string[];
  /** The treasury's own software accepts offers whose memo is known: then customers only take back the others. */
  readonly isTreasuryAccepting?: boolean;
  readonly onActivity?: (activity: CustomerActivity) => void;
};

export type RunOptions = {
  /** Mean time between two deposits of anybody. 0: as fast as the network takes them. */
  readonly intervalMs: number;
  /** Deposits and ends of offers after which to stop; endless when left out. */
  readonly activitiesMax?: number;
  readonly signal: AbortSignal;
};

export type Customers = {
  readonly customers: readonly Customer[];
  /** Resolves when `signal` aborts or the limit is reached. A refused operation is logged, and the next one goes on. */
  run(options: RunOptions): Promise<void>;
};

/** Shares of a thousand. */
const OFFER_SHARE = 150;
const UNKNOWN_MEMO_SHARE = 40;
const NO_MEMO_SHARE = 30;
const WITHDRAW_SHARE = 200;
const PENDING_MAX = 20; // Older offers are ended before new ones are made.
const FUNDS = '100000'; // Tapped whenever a customer runs low.
const AMOUNT_UNITS_MAX = 500_0000000000n;

type Offer = CustomerActivity & { readonly instructionCid: string };

export function createCustomers({
  network,
  clock,
  random,
  logger,
  count,
  instruments,
  isTreasuryAccepting = false,
  onActivity,
}: CustomersOptions): Customers {
  const host = network.participants[0]?.name ?? '';
  const names = instruments ?? network.tokens.map(({ name }) => name);
  const customers = Array.from({ length: count }, (_, index): Customer => {
    const name = `customer-${index + 1}`;
    const party = network.allocateParty({ hint: name, on: [host] });
    return { name, party, memo: `acct-${sha256Hex(party).slice(0, 8)}` };
  });
  const pending: Offer[] = [];

  const isOneOf = (share: number): boolean => random.next() * 1_000 < share;
  const pick = <T>(from: readonly T[]): T | undefined => from[Math.floor(random.next() * from.length)];

  /** Small amounts are as likely as large ones, and most have more digits than anybody would type. */
  const drawUnits = (): bigint => {
    const digits = Math.floor(random.next() * 8) + 6;
    const units = BigInt(Math.floor(random.next() * 10 ** digits)) + 1n;
    return units > AMOUNT_UNITS_MAX ? AMOUNT_UNITS_MAX : units;
  };

  const drawMemo = (customer: Customer): { readonly memo: string | undefined; readonly isMemoKnown: boolean } => {
    if (isOneOf(NO_MEMO_SHARE)) return { memo: undefined, isMemoKnown: false };
    if (isOneOf(UNKNOWN_MEMO_SHARE)) return { memo: `nobody-${random.uuid().slice(0, 8)}`, isMemoKnown: false };
    return { memo: customer.memo, isMemoKnown: true };
  };

  const deposit = (): void => {
    const customer = pick(customers);
    const instrument = pick(names);
    if (customer === undefined || instrument === undefined) return;
    const units = drawUnits();
    const amount = decimalOfUnits(units);
    if (unitsOfDecimal(network.balance({ instrument, owner: customer.party })) < units) {
      network.tap({ instrument, owner: customer.party, amount: FUNDS });
    }
    const { memo, isMemoKnown } = drawMemo(customer);
    const isOffer = isOneOf(OFFER_SHARE);
    const { updateId, recordTimeMicros, instructionCid } = network.transfer({
      instrument,
      sender: customer.party,
      receiver: TREASURY,
      amount,
      ...(memo === undefined ? {} : { memo }),
      ...(isOffer ? { kind: 'offer' } : {}),
    });
    const kind = instructionCid === undefined ? 'direct' : 'offer';
    const made = { kind, customer, instrument, amount, memo, isMemoKnown, updateId, recordTimeMicros } as const;
    const isLeftToTreasury = isTreasuryAccepting && isMemoKnown;
    if (instructionCid !== undefined && !isLeftToTreasury) pending.push({ ...made, instructionCid });
    onActivity?.({ ...made, instructionCid });
  };

  const endOffer = (offer: Offer): void => {
    const kind = isTreasuryAccepting || isOneOf(WITHDRAW_SHARE) ? 'withdraw' : 'accept';
    const { updateId, recordTimeMicros } = network[kind]({ instructionCid: offer.instructionCid });
    onActivity?.({ ...offer, kind, updateId, recordTimeMicros });
  };

  return {
    customers,
    run: async ({ intervalMs, activitiesMax, signal }) => {
      for (let done = 0; !signal.aborted && (activitiesMax === undefined || done < activitiesMax); done += 1) {
        const isFull = pending.length >= PENDING_MAX;
        const offer = isFull || (pending.length > 0 && isOneOf(OFFER_SHARE)) ? pending.shift() : undefined;
        try {
          if (offer === undefined) deposit();
          else endOffer(offer);
        } catch (error) {
          logger.warn('A customer was refused.', { error: messageOf(error) });
        }
        await clock.sleep(intervalMs * 2 * random.next(), signal);
      }
    },
  };
}
