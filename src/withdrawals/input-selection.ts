/**
 * Which holdings an attempt spends. Pure.
 *
 * An attempt keeps at least one input of every earlier attempt that may have been signed, unless the ledger spent all of that attempt's inputs elsewhere. Whatever went wrong with the proof that the earlier
 * one is dead, both can then not commit: they contend for that input, and it can be spent once.
 */
import { type Amount, sumAmounts } from '../tokens/amount.ts';

export type SpendableHolding = { readonly contractId: string; readonly amount: Amount };

/**
 * Inputs of one transaction where nobody set another limit. Canton Coin takes a hundred (ExternalPartyConfigState on MainNet) and its exchange guide asks for fewer; it also bounds the size of the
 * transaction.
 */
export const INPUTS_MAX = 99;

export type SelectionLimits = {
  readonly inputsMax: number;
  /** Holdings from this amount on are what parallel payments live on: they are taken last, and as few as do. Null: there are no such. */
  readonly largeFrom: Amount | null;
};

const NO_POOL: SelectionLimits = { inputsMax: INPUTS_MAX, largeFrom: null };

export type Selection =
  | { readonly kind: 'SELECTED'; readonly inputs: readonly SpendableHolding[] }
  /** Not enough unlocked and unreserved funds at the moment, or in too many pieces beside those that are kept. */
  | { readonly kind: 'INSUFFICIENT'; readonly keptCount: number }
  /** An input that an earlier attempt leaves to be kept is reserved by somebody else, or locked: without it the attempt must wait. */
  | { readonly kind: 'KEPT_INPUT_TAKEN' };

/**
 * Favours small holdings, which keeps their number down over time. Where those that are not large make the amount within the limit, the smallest do; otherwise as few holdings as possible,
 * and of all sets of that size next to each other by amount the smallest, so that a payment takes no larger holding than it needs.
 * @param holdings unlocked, unreserved, of one instrument.
 * @param earlierInputs per earlier attempt the inputs that are still unspent; an attempt without any is left out by the caller.
 * @returns inputs in the order of their contract ids, so that the same choice is the same list.
 */
export function selectInputs(
  amount: Amount,
  holdings: readonly SpendableHolding[],
  earlierInputs: readonly (readonly string[])[],
  { inputsMax, largeFrom }: SelectionLimits = NO_POOL,
): Selection {
  const kept = keptOf(holdings, earlierInputs);
  if (kept === null) return { kind: 'KEPT_INPUT_TAKEN' };
  if (kept.size > inputsMax) return { kind: 'INSUFFICIENT', keptCount: kept.size };
  const rest = holdings.filter(({ contractId }) => !kept.has(contractId)).sort(bySize);
  const small = largeFrom === null ? rest : rest.filter(({ amount: units }) => units < largeFrom);
  const wanted = { amount, kept: [...kept.values()], inputsMax };
  const inputs = smallestFirst(wanted, small) ?? fewest(wanted, rest);
  if (inputs === null) return { kind: 'INSUFFICIENT', keptCount: kept.size };
  return { kind: 'SELECTED', inputs: inputs.sort((left, right) => compare(left.contractId, right.contractId)) };
}

/** Smallest first; the contract id decides between equals. */
export function bySize(left: SpendableHolding, right: SpendableHolding): number {
  return compare(left.amount, right.amount) || compare(left.contractId, right.contractId);
}

/** One holding of every earlier attempt; null where one has none that is free. */
function keptOf(
  holdings: readonly SpendableHolding[],
  earlierInputs: readonly (readonly string[])[],
): ReadonlyMap<string, SpendableHolding> | null {
  const kept = new Map<string, SpendableHolding>();
  for (const inputs of earlierInputs) {
    if (inputs.some((contractId) => kept.has(contractId))) continue;
    const holding = holdings.find(({ contractId }) => inputs.includes(contractId));
    if (holding === undefined) return null;
    kept.set(holding.contractId, holding);
  }
  return kept;
}

type Wanted = { readonly amount: Amount; readonly kept: readonly SpendableHolding[]; readonly inputsMax: number };

function smallestFirst(
  { amount, kept, inputsMax }: Wanted,
  rest: readonly SpendableHolding[],
): SpendableHolding[] | null {
  const inputs = [...kept];
  let total: bigint = sumAmounts(kept.map((input) => input.amount));
  for (const candidate of rest) {
    if (total >= amount || inputs.length >= inputsMax) break;
    inputs.push(candidate);
    total += candidate.amount;
  }
  return total >= amount && inputs.length > 0 ? inputs : null;
}

/** @param rest smallest first. Of so many neighbours the sum grows with their place: the first window that reaches is the smallest. */
function fewest({ amount, kept, inputsMax }: Wanted, rest: readonly SpendableHolding[]): SpendableHolding[] | null {
  const missing = amount - sumAmounts(kept.map((input) => input.amount));
  const countMax = Math.min(inputsMax - kept.length, rest.length);
  let count = 0;
  let largest = 0n;
  while (largest < missing && count < countMax) {
    count += 1;
    largest += rest[rest.length - count]?.amount ?? 0n;
  }
  if (largest < missing || kept.length + count === 0) return null;
  let sum: bigint = sumAmounts(rest.slice(0, count).map((holding) => holding.amount));
  let from = 0;
  while (sum < missing) {
    sum += (rest[from + count]?.amount ?? 0n) - (rest[from]?.amount ?? 0n);
    from += 1;
  }
  return [...kept, ...rest.slice(from, from + count)];
}

function compare<T extends bigint | string>(left: T, right: T): number {
  return left < right ? -1 : left > right ? 1 : 0;
}
