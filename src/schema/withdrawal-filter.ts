/** `WithdrawalFilter`: which withdrawals a list shows. */
import type { Micros } from '../env/clock.ts';
import { isStorableText } from '../read/ledger-keys.ts';
import type { WithdrawalFilter } from '../read/withdrawal-filter.ts';
import { isFinal, WITHDRAWAL_STATES, type WithdrawalState } from '../withdrawals/withdrawal-state.ts';
import { builder } from './builder.ts';
import { instrumentOfId } from './instrument.ts';
import { treasuryOfId } from './treasury-party-ref.ts';
import { WithdrawalStateEnum } from './withdrawal-state.ts';

export const WithdrawalFilterInput = builder.inputType('WithdrawalFilter', {
  description: 'Which withdrawals: all that is given holds together. Since 0.1.',
  fields: (t) => ({
    states: t.field({ type: [WithdrawalStateEnum], description: 'In one of these states. Null: in any.' }),
    isFinal: t.boolean({ description: 'False: still open. True: ended. Null: both.' }),
    account: t.string({ description: 'From this customer’s account.' }),
    treasury: t.id({ description: 'Of this `TreasuryParty`, by its global id.' }),
    receiver: t.string({ description: 'To this party id.' }),
    instrument: t.id({ description: 'Of this `Instrument`, by its global id.' }),
    createdFrom: t.field({ type: 'RecordTime', description: 'Requested at this time or later, by our clock.' }),
    createdBefore: t.field({ type: 'RecordTime', description: 'Requested before this time, by our clock.' }),
  }),
});

type Given = {
  readonly states?: readonly WithdrawalState[] | null | undefined;
  readonly isFinal?: boolean | null | undefined;
  readonly account?: string | null | undefined;
  readonly treasury?: string | number | bigint | null | undefined;
  readonly receiver?: string | null | undefined;
  readonly instrument?: string | null | undefined;
  readonly createdFrom?: Micros | null | undefined;
  readonly createdBefore?: Micros | null | undefined;
};

/** @returns null: nothing can be found. @throws GraphQLError ID_INVALID. */
export function withdrawalFilterOf(given: Given): WithdrawalFilter | null {
  const { account = null, treasury, receiver = null, createdFrom = null, createdBefore = null } = given;
  const states = statesOf(given);
  const party = treasuryOfId(treasury == null ? null : String(treasury));
  const instrument = instrumentOfId(given.instrument);
  if (states?.length === 0 || !isStorableText(account ?? '') || !isStorableText(receiver ?? '')) return null;
  return { states, account, treasury: party, receiver, instrument, createdFrom, createdBefore };
}

/** Of a feed: a name that nobody can have is followed in vain. @throws GraphQLError ID_INVALID. */
export function feedFilterOf({ account = null, treasury }: Pick<Given, 'account' | 'treasury'>) {
  const wanted = account === null || isStorableText(account) ? account : '';
  return { account: wanted, treasury: treasuryOfId(treasury == null ? null : String(treasury)) };
}

/** @returns null: any. */
export function statesOf({ states, isFinal: wanted }: Pick<Given, 'states' | 'isFinal'>): WithdrawalState[] | null {
  if (states == null && wanted == null) return null;
  return WITHDRAWAL_STATES.filter(
    (state) => (states == null || states.includes(state)) && (wanted == null || isFinal(state) === wanted),
  );
}
