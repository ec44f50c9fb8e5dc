/** Customers, and the treasury's own wallet, at work on the simulated network. Keeps what the treasury must have been credited, by its own count. */
import { PermanentError, RetryableError } from '../../src/env/errors.ts';
import { unitsOfDecimal } from '../../src/simnet/daml/decimal.ts';
import { type Network, TREASURY } from '../../src/simnet/network.ts';
import type { Dice } from './dice.ts';

/** A memo that is registered stands for the customer of the same number. */
export const MEMOS: Readonly<Record<string, string>> = { 'memo-0': 'customer-0', 'memo-1': 'customer-1' };
/** Instruments that are taken for deposits; the rest is kept and credits nobody. */
export const ACCEPTED = ['amulet', 'usd'];

export type Deposit = {
  readonly instrumentId: string;
  readonly units: bigint;
  /** Null: nobody's. */
  readonly customer: string | null;
};

export type Traffic = {
  /** One operation of somebody. @returns what it was. */
  act(): string;
  deposits(): readonly Deposit[];
  /** Offers to the treasury: made, and ended without reaching it. */
  offers(): { readonly received: number; readonly ended: number };
};

type Offer = { readonly instructionCid: string; readonly deposit: Deposit | null };

const SENDERS = ['alice', 'carol'];

export function createTraffic({
  network,
  dice,
  withdrawalIds,
}: {
  readonly network: Network;
  readonly dice: Dice;
  /** Of withdrawals that somebody was told of: what a stranger can write into a payment of his own. */
  readonly withdrawalIds: () => readonly string[];
}): Traffic {
  const deposits: Deposit[] = [];
  const incoming: Offer[] = [];
  const outgoing: Offer[] = [];
  let received = 0;
  let ended = 0;

  const amount = (): string => `${dice.integer(1, 40)}.${String(dice.integer(0, 9_999_999_999)).padStart(10, '0')}`;
  const drawMemo = (): { readonly memo?: string } => {
    const drawn = dice.integer(0, 9);
    return drawn < 7 ? { memo: `memo-${drawn % 2}` } : drawn < 9 ? { memo: 'memo-unknown' } : {};
  };
  const depositOf = (instrument: string, decimal: string, memo: string | undefined): Deposit => ({
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
    const { instructionCid } = network.transfer({
      instrument,
      sender,
      receiver: TREASURY,
      amount: decimal,
      ...drawn,
      ...(kind === 'offer' ? { kind } : {}),
      proxy: instrument === 'amulet' && dice.chance(0.2),
    });
    const deposit = depositOf(instrument, decimal, drawn.memo);
    if (instructionCid === undefined) {
      deposits.push(deposit);
    } else {
      received += 1;
      incoming.push({ instructionCid, deposit });
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
    for (const { decimal, memo } of parts) deposits.push(depositOf(instrument, decimal, memo));
  };
  const endIncoming = (): void => {
    const index = dice.integer(0, incoming.length - 1);
    const offer = incoming[index];
    if (offer === undefined) {
      pay('offer');
      return;
    }
    const how = dice.pick(['accept', 'accept', 'accept', 'reject', 'withdraw'] as const);
    network[how]({ instructionCid: offer.instructionCid });
    incoming.splice(index, 1);
    if (how === 'accept' && offer.deposit !== null) deposits.push(offer.deposit);
    else ended += 1;
  };
  const endOutgoing = (): void => {
    const index = dice.integer(0, outgoing.length - 1);
    const offer = outgoing[index];
    if (offer === undefined) {
      send();
      return;
    }
    network[dice.pick(['accept', 'reject', 'withdraw'] as const)]({ instructionCid: offer.instructionCid });
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
    if (instructionCid !== undefined) outgoing.push({ instructionCid, deposit: null });
  };

  const actions: readonly (readonly [weight: number, name: string, act: () => unknown])[] = [
    [8, 'deposit', () => pay('direct')],
    [4, 'offer', () => pay('offer')],
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
    deposits: () => deposits,
    offers: () => ({ received, ended }),
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
