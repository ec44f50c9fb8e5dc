/** What people and services have to be shown of a withdrawal, from what was ordered: computed here, and not read from the database. */
import { formatIntentHash, intentHash } from '../../src/policy/intent.ts';
import { type Network, TREASURY } from '../../src/simnet/network.ts';
import { amountOf } from '../../src/tokens/amount.ts';
import { NETWORK } from './network-name.ts';
import type { Order } from './orders.ts';

/** @returns as `formatIntentHash` has it. */
export function orderHash(network: Network, order: Order, withdrawalId: string, receiver: string): string {
  return formatIntentHash(
    intentHash({
      withdrawalId,
      network: NETWORK,
      treasuryParty: network.party(TREASURY),
      accountKind: 'CUSTOMER',
      account: order.account,
      instrument: network.instrument(order.instrument),
      receiver,
      amount: amountOf(order.units),
      memo: null,
      deadline: null,
    }),
  );
}
