/**
 * How many withdrawals of an account were asked for before another of the same instrument, by the order in which the database committed them, and did not end unpaid: what a rule that counts must have seen at the least. Kept apart from
 * the code that counts.
 */
import type { WithdrawalState } from '../../src/withdrawals/withdrawal-state.ts';
import type { Order, Orders } from './orders.ts';

export type Velocities = {
  /** After every commit. */
  note(withdrawals: readonly { readonly key: string; readonly state: WithdrawalState }[]): void;
  /** The database went back: in which order those were committed that it still has, is nothing to go by. */
  wentBack(): void;
  /** With itself. */
  countOf(key: string): number;
};

const UNPAID: ReadonlySet<WithdrawalState> = new Set<WithdrawalState>(['REJECTED', 'CANCELLED', 'FAILED', 'RETURNED']);

export function createVelocities(orders: Orders): Velocities {
  /** By key: the keys of those that were there when it came. */
  const before = new Map<string, readonly string[]>();
  let states = new Map<string, WithdrawalState>();
  let isFresh = true;
  const orderOf = (key: string): Order | undefined => orders.all().find((order) => order.key === key);
  const isAlike = (left: string, right: string): boolean => {
    const [one, other] = [orderOf(left), orderOf(right)];
    return one !== undefined && one.account === other?.account && one.instrument === other.instrument;
  };
  return {
    note: (withdrawals) => {
      states = new Map(withdrawals.map(({ key, state }) => [key, state]));
      const known = [...before.keys()];
      const fresh = withdrawals.filter(({ key }) => !before.has(key));
      for (const { key } of fresh)
        before.set(key, fresh.length === 1 && !isFresh ? known.filter((other) => isAlike(key, other)) : []);
      isFresh = false;
    },
    wentBack: () => {
      before.clear();
      states.clear();
      isFresh = true;
    },
    countOf: (key) =>
      1 +
      (before.get(key) ?? []).filter((other) => {
        const state = states.get(other);
        return state !== undefined && !UNPAID.has(state);
      }).length,
  };
}
