/**
 * Which holdings an attempt spends. Pure.
 *
 * An attempt keeps at least one input of every earlier attempt that may have been signed, unless the ledger spent all of that attempt's inputs elsewhere. Whatever went wrong with the proof that the earlier
 * one is dead, both can then not commit: they contend for that input, and it can be spent once.
 */
import { type Amount, sumAmounts } from '../tokens/amount.ts';

export type SpendableHolding = { readonly contractId: string; readonly amount: Amount };

/** More inputs than Canton Coin takes; also a bound on the size of the transaction. */
export const INPUTS_MAX = 100;

export type Selection =
  | { readonly kind: 'SELECTED'; readonly inputs: readonly SpendableHolding[] }
  /** Not enough unlocked and unreserved funds at the moment. */
  | { readonly kind: 'INSUFFICIENT' };

/**
 * Favours small holdings, which keeps their number down over time; where a hundred small ones do not make the amount, the largest are taken.
 * @param holdings unlocked, unreserved, of one instrument.
 * @param earlierInputs per earlier attempt the inputs that are still unspent; an attempt without any is left out by the caller.
 * @returns inputs in the order of their contract ids, so that the same choice is the same list.
 */
export function selectInputs(
  amount: Amount,
  holdings: readonly SpendableHolding[],
  earlierInputs: readonly (readonly string[])[],
): Selection {
  const kept = new Map<string, SpendableHolding>();
  for (const inputs of earlierInputs) {
    if (inputs.some((contractId) => kept.has(contractId))) continue;
    const holding = holdings.find(({ contractId }) => inputs.includes(contractId));
    // Reserved by somebody else, or locked: without it the attempt must wait.
    if (holding === undefined) return { kind: 'INSUFFICIENT' };
    kept.set(holding.contractId, holding);
  }
  const rest = holdings
    .filter(({ contractId }) => !kept.has(contractId))
    .sort((left, right) => compare(left.amount, right.amount) || compare(left.contractId, right.contractId));
  const inputs = fill(amount, [...kept.values()], rest) ?? fill(amount, [...kept.values()], rest.reverse());
  if (inputs === null) return { kind: 'INSUFFICIENT' };
  return { kind: 'SELECTED', inputs: inputs.sort((left, right) => compare(left.contractId, right.contractId)) };
}

function fill(
  amount: Amount,
  kept: SpendableHolding[],
  candidates: readonly SpendableHolding[],
): SpendableHolding[] | null {
  const inputs = [...kept];
  let total = sumAmounts(inputs.map((input) => input.amount));
  for (const candidate of candidates) {
    if (total >= amount || inputs.length >= INPUTS_MAX) break;
    inputs.push(candidate);
    total += candidate.amount;
  }
  return total >= amount && inputs.length > 0 ? inputs : null;
}

function compare<T extends bigint | string>(left: T, right: T): number {
  return left < right ? -1 : left > right ? 1 : 0;
}
