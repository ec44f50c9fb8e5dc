/** Customers, and the treasury's own wallet, at work on the simulated network. Keeps what the treasury must have been credited, by its own count. */
import { type Clock, type Micros, millisToMicros } from '../../src/env/clock.ts';
import { PermanentError, RetryableError } from '../../src/env/errors.ts';
import { unitsOfDecimal } from '../../src/simnet/daml/decimal.ts';
import { type Network, TREASURY } from '../../src/simnet/network.ts';
import type { Dice } from './dice.ts';
import type { Truth } from './truth.ts';

/** A memo that is registered stands for the customer of the same number. */
export const MEMOS: Readonly<Record<string, string>> = { 'memo-0': 'customer-0', 'memo-1': 'customer-1' };
/** Instruments that are taken for deposits; the rest is kept and credits nobody. */
export const ACCEPTED = ['amulet', 'usd'];

export type Deposit = {
  /** Its name on the network. */
  readonly instrument: string;
  readonly instrumentId: string;
  /** Who sent it, by its hint. */
  readonly sender: string;
  readonly units: bigint;
  /** Null: nobody's. */
  readonly customer: string | null;
};

export type Traffic = {
  /** One operation of somebody. @returns what it was. */
  act(): string;
  deposits(): readonly Deposit[];
  /** Every offer that was made to the treasury. */
  offers(): readonly Offer[];
};

export type Offer = {
  readonly instructionCid: string;
  /** What it is once it is accepted. */
  readonly deposit: Deposit;
  /** After it nobody can accept it; null: it outlives the schedule. */
  readonly expiresAt: Micros | null;
};

export const SENDERS: readonly string[] = ['alice', 'carol'];
/** Of an offer that ends by itself: from sooner than it is seen to later than most of what happens. */
const SHORT_MS_MIN = 100;
const SHORT_MS_MAX = 30_000;
/** The choice by which an offer reaches whom it was made to. */
export const ACCEPT = 'TransferInstruction_Accept';
/** What becomes of offers to the treasury, by how often: where its wallet alone accepts them, and where Sluice does. */
const ENDS = ['accept', 'accept', 'accept', 'reject', 'withdraw'] as const;
const ENDS_BESIDE_US = ['accept', 'reject', 'withdraw', 'withdraw'] as const;

export function createTraffic({
  network,
  truth,
  clock,
  dice,
  withdrawalIds,
  areAccepted,
  areSentBack,
}: {
  readonly clock: Clock;
  readonly network: Network;
  readonly truth: Truth;
  readonly dice: Dice;
  /** Whether Sluice accepts offers: then the treasury's own wallet seldom does, and senders change their minds more often than it is fast enough. */
  readonly areAccepted: boolean;
  /** Whether people send back what has no owner: then much of it has none. */
  readonly areSentBack: boolean;
  /** Of withdrawals that somebody was told of: what a stranger can write into a payment of his own. */
  readonly withdrawalIds: () => readonly string[];
}): Traffic {
  const deposits: Deposit[] = [];
  const offers: Offer[] = [];
  const outgoing: string[] = [];

  // In tenths.
  const knownShare = areSentBack ? 4 : 7;
  const amount = (): string => `${dice.integer(1, 40)}.${String(dice.integer(0, 9_999_999_999)).padStart(10, '0')}`;
  const drawMemo = (): { readonly memo?: string } => {
    const drawn = dice.integer(0, 9);
    return drawn < knownShare ? { memo: `memo-${drawn % 2}` } : drawn < 9 ? { memo: 'memo-unknown' } : {};
  };
  const depositOf = (instrument: string, sender: string, decimal: string, memo: string | undefined): Deposit => ({
    instrument,
    sender,
    instrumentId: network.instrument(instrument).id,
    units: unitsOfDecimal(decimal),
    customer: (ACCEPTED.includes(instrument) && memo !== undefined && MEMOS[memo]) || null,
  });
  const drawInstrument = (): string => dice.pick(['amulet', 'amulet', 'amulet', 'usd', 'note']);

  const pay = (kind: 'direct' | 'offer'): void => {
    const instrument = drawInstrument();
    const sender = dice.pick(SENDERS);
    const drawn = drawMemo();
    const decimal = amount();
    network.tap({ instrument, owner: sender, amount: '100' });
    const lifeMs =
      kind === 'offer' && areAccepted && dice.chance(0.2) ? dice.logUniform(SHORT_MS_MIN, SHORT_MS_MAX) : null;
    const expiresAt = lifeMs === null ? null : clock.nowMicros() + millisToMicros(Math.round(lifeMs));
    const { instructionCid } = network.transfer({
      instrument,
      sender,
      receiver: TREASURY,
      amount: decimal,
      ...drawn,
      ...(kind === 'offer' ? { kind } : {}),
      ...(expiresAt !== null && { executeBeforeMicros: expiresAt }),
      proxy: instrument === 'amulet' && dice.chance(0.2),
    });
    const deposit = depositOf(instrument, sender, decimal, drawn.memo);
    if (instructionCid === undefined) {
      deposits.push(deposit);
    } else {
      offers.push({ instructionCid, deposit, expiresAt });
    }
  };
  const payMany = (): void => {
    const sender = dice.pick(SENDERS);
    const instrument = dice.pick(['amulet', 'usd']);
    const parts = Array.from({ length: dice.integer(2, 4) }, () => ({ decimal: amount(), ...drawMemo() }));
    for (const _ of parts) network.tap({ instrument, owner: sender, amount: '100' });
    network.batch({
      operations: parts.map(({ decimal, ...memo }) => ({
        operation: 'transfer',
        instrument,
        sender,
        receiver: TREASURY,
        amount: decimal,
        ...memo,
      })),
      ...(dice.chance(0.5) ? { wrapper: sender } : {}),
    });
    for (const { decimal, memo } of parts) deposits.push(depositOf(instrument, sender, decimal, memo));
  };
  const endIncoming = (): void => {
    const open = offers.filter(
      ({ instructionCid }) => network.ledger.contracts.find(instructionCid)?.isActive === true,
    );
    const offer = open[dice.integer(0, open.length - 1)];
    if (offer === undefined) {
      pay('offer');
      return;
    }
    network[dice.pick(areAccepted ? ENDS_BESIDE_US : ENDS)]({ instructionCid: offer.instructionCid });
  };
  const endOutgoing = (): void => {
    const index = dice.integer(0, outgoing.length - 1);
    const instructionCid = outgoing[index];
    if (instructionCid === undefined) {
      send();
      return;
    }
    network[dice.pick(['accept', 'reject', 'withdraw'] as const)]({ instructionCid });
    outgoing.splice(index, 1);
  };
  const send = (): void => {
    const instrument = dice.pick(['amulet', 'usd']);
    const ids = withdrawalIds();
    const forgeable = ids.length > 0 && dice.chance(0.5) ? dice.pick(ids) : undefined;
    const { instructionCid } = network.transfer({
      instrument,
      sender: TREASURY,
      receiver: 'bob',
      amount: `0.${dice.integer(1, 9_999)}`,
      memo: forgeable === undefined ? 'bob-at-elsewhere' : forgeable,
      ...(dice.chance(0.5) ? { kind: 'offer' } : {}),
    });
    if (instructionCid !== undefined) outgoing.push(instructionCid);
  };

  const actions: readonly (readonly [weight: number, name: string, act: () => unknown])[] = [
    [8, 'deposit', () => pay('direct')],
    [areAccepted ? 14 : 4, 'offer', () => pay('offer')],
    [4, 'end offer', endIncoming],
    [3, 'batch', payMany],
    [1, 'tap', () => network.tap({ instrument: 'amulet', owner: TREASURY, amount: '3' })],
    [1, 'merge', () => network.merge({ instrument: 'amulet', owner: TREASURY })],
    [1, 'split', () => network.split({ instrument: 'amulet', owner: TREASURY, amount: '1.5' })],
    [3, 'send', send],
    [1, 'end sent', endOutgoing],
    [1, 'elsewhere', () => network.tap({ instrument: 'usd', owner: 'bob', amount: '5' })],
  ];
  const deck = actions.flatMap((action) => Array.from({ length: action[0] }, () => action));

  return {
    deposits: () => [
      ...deposits,
      ...offers.filter(({ instructionCid }) => truth.endOf(instructionCid) === ACCEPT).map(({ deposit }) => deposit),
    ],
    offers: () => offers,
    act: () => {
      const [, name, act] = dice.pick(deck);
      try {
        act();
        return name;
      } catch (error) {
        // A refusal of the ledger: nothing happened, as when a wallet has too little.
        if (error instanceof PermanentError || error instanceof RetryableError) return `${name} refused ${error.code}`;
        throw error;
      }
    },
  };
}
