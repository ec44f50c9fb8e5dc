/** What people and services have to be shown of a withdrawal, from what is to be paid: computed here, and not read from the database, but for its ids. */
import { formatIntentHash, intentHash } from '../../src/policy/intent.ts';
import { type Network, TREASURY } from '../../src/simnet/network.ts';
import { amountOf } from '../../src/tokens/amount.ts';
import { NETWORK } from './network-name.ts';
import type { Payable } from './payables.ts';

/** @param row as the database has it. @returns as `formatIntentHash` has it. */
export function payableHash(
  network: Network,
  { accountKind, account, instrument, receiver, units }: Payable,
  row: { readonly withdrawalId: string; readonly account: string },
): string {
  return formatIntentHash(
    intentHash({
      withdrawalId: row.withdrawalId,
      network: NETWORK,
      treasuryParty: network.party(TREASURY),
      accountKind,
      account: account ?? row.account,
      instrument: network.instrument(instrument),
      receiver,
      amount: amountOf(units),
      memo: null,
      deadline: null,
    }),
  );
}
