import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Amount, amountOf, sumAmounts } from '../../tokens/amount.ts';
import { type SpendableHolding, selectInputs } from '../input-selection.ts';
import {
  type PlannedSelfTransfer,
  planDustMerge,
  planMergesFor,
  planPoolMerge,
  planSplits,
} from './self-transfer-planning.ts';

let made = 0;
const holdingOf = (amount: bigint): SpendableHolding => {
  made += 1;
  return { contractId: `00${String(made).padStart(9, '0')}`, amount: amountOf(amount) };
};
const worthOf = (holdings: readonly SpendableHolding[]) => sumAmounts(holdings.map(({ amount }) => amount));

/** What the ledger makes of plans: inputs go, the amount and the rest come. */
function done(holdings: readonly SpendableHolding[], plans: readonly PlannedSelfTransfer[]): SpendableHolding[] {
  const spent = plans.flatMap(({ inputs }) => inputs.map(({ contractId }) => contractId));
  // Nothing is spent twice, nothing that is not there.
  expect(new Set(spent).size).toBe(spent.length);
  expect(spent.every((contractId) => holdings.some((holding) => holding.contractId === contractId))).toBe(true);
  const outputs = plans.flatMap(({ inputs, amount }) => {
    const rest = worthOf(inputs) - amount;
    expect(rest).toBeGreaterThanOrEqual(0n);
    return rest === 0n ? [holdingOf(amount)] : [holdingOf(amount), holdingOf(rest)];
  });
  return [...holdings.filter(({ contractId }) => !spent.includes(contractId)), ...outputs];
}

const dusty = fc.array(fc.bigInt({ min: 1n, max: 50n }), { minLength: 1, maxLength: 600 });

test('E7: whatever the treasury has is paid in one transaction after merging, however small the pieces', () => {
  fc.assert(
    fc.property(
      dusty,
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.integer({ min: 2, max: 20 }),
      fc.integer({ min: 1, max: 8 }),
      (units, share, inputsMax, plansMax) => {
        let holdings = units.map(holdingOf);
        const total = worthOf(holdings);
        const amount = amountOf((total * BigInt(1 + Math.floor(share * 999))) / 1_000n || 1n);
        let rounds = 0;
        for (;;) {
          const plans = planMergesFor(amount, holdings, { inputsMax, plansMax });
          const isPayable = selectInputs(amount, holdings, [], { inputsMax, largeFrom: null }).kind === 'SELECTED';
          // Merging is planned exactly where it is needed.
          expect(plans.length > 0).toBe(!isPayable);
          if (isPayable) break;
          expect(plans.length).toBeLessThanOrEqual(plansMax);
          for (const plan of plans) expect(plan.inputs.length).toBeLessThanOrEqual(inputsMax);
          holdings = done(holdings, plans);
          expect(worthOf(holdings)).toBe(total);
          rounds += 1;
          expect(rounds).toBeLessThanOrEqual(units.length);
        }
      },
    ),
    { numRuns: 60 },
  );
});

test('E7: nothing is merged for what the treasury does not have', () => {
  expect(
    planMergesFor(
      amountOf(101n),
      Array.from({ length: 100 }, () => holdingOf(1n)),
      { inputsMax: 10, plansMax: 4 },
    ),
  ).toEqual([]);
});

const targets = fc.record({
  count: fc.integer({ min: 0, max: 40 }),
  amount: fc.bigInt({ min: 1n, max: 1_000n }).map(amountOf),
});

test('a pool grows to its size by doublings where there is enough, and then nothing is done any more', () => {
  fc.assert(
    fc.property(
      fc.array(fc.bigInt({ min: 1n, max: 100_000n }), { minLength: 1, maxLength: 30 }),
      targets,
      (units, target) => {
        let holdings = units.map(holdingOf);
        const total = worthOf(holdings);
        const largeOf = (all: readonly SpendableHolding[]) => all.filter(({ amount }) => amount >= target.amount);
        let rounds = 0;
        for (;;) {
          const before = largeOf(holdings).length;
          const splits = planSplits(holdings, 0, target, 8);
          if (splits.length === 0) break;
          holdings = done(holdings, splits);
          expect(worthOf(holdings)).toBe(total);
          // A split adds one that is large, and never costs one.
          expect(largeOf(holdings).length).toBe(before + splits.length);
          rounds += 1;
          expect(rounds).toBeLessThanOrEqual(target.count);
        }
        const large = largeOf(holdings);
        expect(large.length <= Math.max(target.count, units.length)).toBe(true);
        if (large.length < target.count) {
          // What is missing could not be had by splitting.
          expect(large.every(({ amount }) => amount < 2n * target.amount)).toBe(true);
        }
      },
    ),
    { numRuns: 200 },
  );
});

test('a pool of sixteen comes out of one holding in four rounds', () => {
  const target = { count: 16, amount: amountOf(10n) };
  let holdings = [holdingOf(1_000n)];
  for (let round = 0; round < 4; round += 1) holdings = done(holdings, planSplits(holdings, 0, target, 8));
  expect(holdings.filter(({ amount }) => amount >= 10n).length).toBe(16);
});

test('what is under way counts: nothing is split twice for the same place', () => {
  const holdings = [holdingOf(1_000n)];
  expect(planSplits(holdings, 3, { count: 4, amount: amountOf(10n) }, 8)).toEqual([]);
});

test('small holdings make a large one where one is missing, within the limit of inputs', () => {
  fc.assert(
    fc.property(dusty, targets, fc.integer({ min: 2, max: 30 }), (units, target, inputsMax) => {
      let holdings = units.map(holdingOf);
      const isEnough = () => {
        const small = holdings.filter(({ amount }) => amount < target.amount);
        return holdings.length - small.length < target.count && worthOf(small) >= target.amount;
      };
      for (let round = 0; isEnough(); round += 1) {
        expect(round).toBeLessThanOrEqual(units.length);
        const merge = planPoolMerge(holdings, 0, target, inputsMax);
        if (merge === null) throw new Error('There was enough, and nothing was planned.');
        expect(merge.inputs.length).toBeLessThanOrEqual(inputsMax);
        holdings = done(holdings, [merge]);
      }
      expect(planPoolMerge(holdings, 0, target, inputsMax)).toBeNull();
    }),
    { numRuns: 60 },
  );
});

test('G4: dust is merged until two transactions could take it all, and large holdings stay', () => {
  const large: Amount = amountOf(100n);
  let holdings = [holdingOf(5_000n), ...Array.from({ length: 1_000 }, () => holdingOf(1n))];
  for (;;) {
    const merge = planDustMerge(holdings, large, 50);
    if (merge === null) break;
    holdings = done(holdings, [merge]);
  }
  expect(holdings.length).toBeLessThanOrEqual(101);
  expect(holdings.some(({ amount }) => amount === 5_000n)).toBe(true);
});
