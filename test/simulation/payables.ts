/**
 * What withdrawals are to pay: what clients ordered, and what people at the desk send back to whoever sent it. By what was asked for and what came, not by the database: no two amounts of a schedule are alike, so that each names what it
 * is for, and a payment its withdrawal.
 */

import type { Network } from '../../src/simnet/network.ts';
import { holdingsOf } from '../../src/simnet/network-commands.ts';
import { parseAmount } from '../../src/tokens/amount.ts';
import { DESK_CLIENT } from '../../src/withdrawals/superseded-refund.ts';
import { CLIENT, type Orders } from './orders.ts';
import type { Deposit, Traffic } from './traffic.ts';

export type Payable = {
  /** Its name on the network. */
  readonly instrument: string;
  readonly units: bigint;
  /** Whose withdrawal it is. */
  readonly client: string;
  /** Under which it was asked for; null: there may be several, since one that was not paid is asked for anew. */
  readonly key: string | null;
  readonly accountKind: 'CUSTOMER' | 'REFUNDS';
  /** Null: that of the deposit that is sent back, which has its name in the database alone. */
  readonly account: string | null;
  /** Party id. */
  readonly receiver: string;
};

export type Payables = {
  /** @param amount decimal text. @returns undefined: nobody may want that paid. */
  find(amount: string): Payable | undefined;
  /** Units → how many payments of that size the network has committed. */
  payments(): ReadonlyMap<bigint, number>;
  /** Whether the network has committed that it went back to its sender. */
  isSentBack(deposit: Deposit): boolean;
};

export function createPayables({
  network,
  orders,
  traffic,
  areSentBack,
}: {
  readonly network: Network;
  readonly orders: Orders;
  readonly traffic: Traffic;
  /** Whether people send deposits back. */
  readonly areSentBack: boolean;
}): Payables {
  const ordered = new Map(orders.all().map((order) => [order.units, order]));
  const cameAs = (units: bigint): Deposit | undefined => traffic.deposits().find((deposit) => deposit.units === units);
  const isSentBack = ({ sender, instrument, units }: Deposit): boolean =>
    // Nobody else has an amount like it, and a sender spends larger holdings first: what he was given back he keeps.
    holdingsOf(network.ledger.contracts, network.party(sender), network.instrument(instrument)).some(
      ({ amountUnits }) => amountUnits === units,
    );
  return {
    isSentBack: (deposit) => areSentBack && isSentBack(deposit),
    find: (amount) => {
      const units = parseAmount(amount);
      const order = ordered.get(units);
      if (order !== undefined) {
        const { key, instrument, account } = order;
        const receiver = orders.receiverOf(order);
        return { client: CLIENT, key, accountKind: 'CUSTOMER', account, instrument, units, receiver };
      }
      const deposit = areSentBack ? cameAs(units) : undefined;
      if (deposit === undefined) return undefined;
      const { instrument, sender } = deposit;
      const receiver = network.party(sender);
      return { client: DESK_CLIENT, key: null, accountKind: 'REFUNDS', account: null, instrument, units, receiver };
    },
    payments: () => {
      const payments = new Map(orders.payments());
      if (!areSentBack) return payments;
      const came = new Set(traffic.deposits().map(({ units }) => units));
      const senders = new Set(traffic.deposits().map(({ sender }) => sender));
      for (const sender of senders)
        for (const { instrumentId } of network.tokens)
          for (const { amountUnits } of holdingsOf(network.ledger.contracts, network.party(sender), instrumentId))
            if (came.has(amountUnits)) payments.set(amountUnits, (payments.get(amountUnits) ?? 0) + 1);
      return payments;
    },
  };
}
