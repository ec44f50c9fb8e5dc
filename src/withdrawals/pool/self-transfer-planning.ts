/**
 * Which transfers to ourselves keep a treasury able to pay. Pure.
 *
 * A self-transfer consumes some holdings and makes one of a given amount and one of the rest. So it merges many into one, and splits one into two; many come out of one by splitting in halves, again and again,
 * which takes as many rounds as doublings and not as many as pieces.
 */
import { type Amount, fitsAmount, sumAmounts } from '../../tokens/amount.ts';
import { bySize, type SpendableHolding } from '../input-selection.ts';

export type PlannedSelfTransfer = {
  readonly kind: 'MERGE' | 'SPLIT';
  readonly why: 'WITHDRAWAL' | 'POOL' | 'DUST';
  /** Of the one holding that is made; the rest of the inputs, if any, is change. */
  readonly amount: Amount;
  /** In the order of their contract ids. */
  readonly inputs: readonly SpendableHolding[];
};

/** So many large holdings are kept ready. */
export type PoolTarget = { readonly count: number; readonly amount: Amount };

/**
 * What has to be merged before one transaction can pay `amount`: of the fewest holdings that make it the smallest, as few as do.
 * @param holdings free, of one instrument. @param plansMax the rest is planned when these are done. @param keptCount inputs that the payment takes beside those that make its amount.
 * @returns nothing where one transaction does without, and where there is not enough.
 */
export function planMergesFor(
  amount: bigint,
  holdings: readonly SpendableHolding[],
  {
    inputsMax,
    plansMax,
    keptCount = 0,
  }: { readonly inputsMax: number; readonly plansMax: number; readonly keptCount?: number },
): readonly PlannedSelfTransfer[] {
  const largestFirst = [...holdings].sort(bySize).reverse();
  let needed = 0;
  let total = 0n;
  for (const holding of largestFirst) {
    if (total >= amount) break;
    total += holding.amount;
    needed += 1;
  }
  if (total < amount) return [];
  const smallestFirst = largestFirst.slice(0, needed).reverse();
  const plans: PlannedSelfTransfer[] = [];
  let excess = needed - Math.max(1, inputsMax - keptCount);
  let from = 0;
  while (excess > 0 && plans.length < plansMax) {
    const inputs = smallestFirst.slice(from, from + Math.min(inputsMax, excess + 1));
    if (inputs.length < 2) break;
    const merged = mergeOf(inputs, 'WITHDRAWAL');
    if (merged === null) break;
    plans.push(merged);
    from += inputs.length;
    excess -= inputs.length - 1;
  }
  return plans;
}

/**
 * Splits until there are as many large holdings as there should be.
 * @param free of one instrument. @param underWay large ones that are reserved at the moment, and those that self-transfers under way will add.
 */
export function planSplits(
  free: readonly SpendableHolding[],
  underWay: number,
  { count, amount }: PoolTarget,
  plansMax: number,
): readonly PlannedSelfTransfer[] {
  const large = free.filter((holding) => holding.amount >= amount).sort(bySize);
  let missing = count - large.length - underWay;
  const plans: PlannedSelfTransfer[] = [];
  for (const holding of large.reverse()) {
    const half = holding.amount / 2n;
    if (missing <= 0 || plans.length >= plansMax || half < amount || !fitsAmount(half)) break;
    plans.push({ kind: 'SPLIT', why: 'POOL', amount: half, inputs: [holding] });
    missing -= 1;
  }
  return plans;
}

/** Makes a large holding of small ones where large ones are missing; none where all small ones together do not make one. */
export function planPoolMerge(
  free: readonly SpendableHolding[],
  underWay: number,
  { count, amount }: PoolTarget,
  inputsMax: number,
): PlannedSelfTransfer | null {
  const small = free.filter((holding) => holding.amount < amount).sort(bySize);
  const isMissing = free.length - small.length + underWay < count;
  if (!isMissing || sumAmounts(small.map((holding) => holding.amount)) < amount) return null;
  const inputs: SpendableHolding[] = [];
  let total = 0n;
  for (const holding of small.reverse()) {
    if (total >= amount || inputs.length >= inputsMax) break;
    inputs.push(holding);
    total += holding.amount;
  }
  return inputs.length < 2 ? null : mergeOf(inputs, 'POOL');
}

/** Merges the smallest where there are more small holdings than two transactions take. @param largeFrom the amount from which a holding is not small. */
export function planDustMerge(
  free: readonly SpendableHolding[],
  largeFrom: Amount,
  inputsMax: number,
): PlannedSelfTransfer | null {
  const small = free.filter((holding) => holding.amount < largeFrom).sort(bySize);
  return small.length > DUST_TRANSACTIONS * inputsMax ? mergeOf(small.slice(0, inputsMax), 'DUST') : null;
}

const DUST_TRANSACTIONS = 2; // Fewer are spent by payments, which favour them.

function mergeOf(inputs: readonly SpendableHolding[], why: PlannedSelfTransfer['why']): PlannedSelfTransfer | null {
  const amount = sumAmounts(inputs.map((input) => input.amount));
  if (!fitsAmount(amount)) return null;
  const inOrder = [...inputs].sort((left, right) => (left.contractId < right.contractId ? -1 : 1));
  return { kind: 'MERGE', why, amount, inputs: inOrder };
}
