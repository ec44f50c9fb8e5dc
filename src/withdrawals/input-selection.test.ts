import fc from 'fast-check';
import { expect, test } from 'vitest';
import { amountOf, sumAmounts } from '../tokens/amount.ts';
import { INPUTS_MAX, type SelectionLimits, selectInputs } from './input-selection.ts';

const holdingsOf = (amounts: readonly bigint[]) =>
  amounts.map((units, index) => ({ contractId: `00${String(index).padStart(5, '0')}`, amount: amountOf(units) }));
const amounts = fc.array(fc.bigInt({ min: 1n, max: 1_000n }), { maxLength: 300 });
const wanted = fc.bigInt({ min: 1n, max: 200_000n });
const limits = fc.record({
  inputsMax: fc.integer({ min: 2, max: 100 }),
  largeFrom: fc.option(fc.bigInt({ min: 1n, max: 1_000n }).map(amountOf)),
});
/** Treasuries as they are: up to 5,000 holdings, mostly dust, sometimes one huge. */
const treasuries = fc
  .record({
    dust: fc.integer({ min: 0, max: 5_000 }),
    others: fc.array(fc.bigInt({ min: 1n, max: 10n ** 12n }), { maxLength: 30 }),
    huge: fc.option(fc.bigInt({ min: 10n ** 20n, max: 10n ** 30n })),
    seed: fc.integer({ min: 1, max: 1_000 }),
  })
  .map(({ dust, others, huge, seed }) => {
    const pieces = Array.from({ length: dust }, (_, index) => BigInt(((index * 7_919 + seed) % 97) + 1));
    return [...pieces, ...others, ...(huge === null ? [] : [huge])];
  });

function reachable(units: readonly bigint[], inputsMax: number): bigint {
  const largest = [...units].sort((left, right) => (left < right ? 1 : left > right ? -1 : 0)).slice(0, inputsMax);
  return sumAmounts(largest);
}

test('E7: a selection pays for the amount, within the limit, without repeating a holding; none means that the largest do not suffice', () => {
  fc.assert(
    fc.property(amounts, wanted, limits, (units, amount, within) => {
      const holdings = holdingsOf(units);
      const selection = selectInputs(amountOf(amount), holdings, [], within);

      if (selection.kind !== 'SELECTED') expect(reachable(units, within.inputsMax)).toBeLessThan(amount);
      else {
        const ids = selection.inputs.map(({ contractId }) => contractId);
        expect(sumAmounts(selection.inputs.map((input) => input.amount))).toBeGreaterThanOrEqual(amount);
        expect(new Set(ids).size).toBe(ids.length);
        expect(ids.length).toBeLessThanOrEqual(within.inputsMax);
        expect(ids.length).toBeGreaterThan(0);
        expect([...ids].sort()).toEqual(ids);
      }
    }),
  );
});

test('E7: from 0 to 5,000 holdings with dust and one huge, whatever is within reach is paid, to the last unit', () => {
  fc.assert(
    fc.property(treasuries, fc.double({ min: 0, max: 1, noNaN: true }), (units, share) => {
      const reach = reachable(units, INPUTS_MAX);
      const holdings = holdingsOf(units);
      const part = (reach * BigInt(Math.round(share * 1_000_000))) / 1_000_000n;
      for (const amount of [reach, part].filter((value) => value > 0n)) {
        expect(selectInputs(amountOf(amount), holdings, []).kind).toBe('SELECTED');
      }
      expect(selectInputs(amountOf(reach + 1n), holdings, [])).toEqual({ kind: 'INSUFFICIENT', keptCount: 0 });
    }),
    { numRuns: 25 },
  );
});

test('the same holdings in another order make the same selection', () => {
  fc.assert(
    fc.property(amounts, wanted, limits, (units, amount, within) => {
      const holdings = holdingsOf(units);
      expect(selectInputs(amountOf(amount), [...holdings].reverse(), [], within)).toEqual(
        selectInputs(amountOf(amount), holdings, [], within),
      );
    }),
  );
});

test('every earlier attempt keeps one of its inputs, or there is no selection', () => {
  const earlier = fc.array(fc.array(fc.nat(20), { minLength: 1, maxLength: 4 }), { maxLength: 3 });
  fc.assert(
    fc.property(
      fc.array(fc.bigInt({ min: 1n, max: 50n }), { minLength: 1, maxLength: 20 }),
      earlier,
      limits,
      (units, attempts, within) => {
        const holdings = holdingsOf(units);
        const inputsOfAttempts = attempts.map((numbers) =>
          numbers.map((number) => holdings[number]?.contractId ?? '00ff'),
        );
        const selection = selectInputs(amountOf(1n), holdings, inputsOfAttempts, within);

        const isThere = inputsOfAttempts.every((inputs) => inputs.some((id) => !id.startsWith('00ff')));
        if (!isThere) expect(selection.kind).toBe('KEPT_INPUT_TAKEN');
        if (selection.kind !== 'SELECTED') return;
        const ids = new Set(selection.inputs.map(({ contractId }) => contractId));
        for (const inputs of inputsOfAttempts) expect(inputs.some((contractId) => ids.has(contractId))).toBe(true);
      },
    ),
  );
});

test('large holdings are left alone while small ones do, and no more of them are taken than it takes', () => {
  fc.assert(
    fc.property(amounts, wanted, limits, (units, amount, within) => {
      const { largeFrom, inputsMax } = within;
      const selection = selectInputs(amountOf(amount), holdingsOf(units), [], within);
      if (selection.kind !== 'SELECTED' || largeFrom === null) return;
      const taken = selection.inputs.filter((input) => input.amount >= largeFrom).length;
      if (taken === 0) return;

      // The fewest smallest-first can do without, and with as few holdings as there can be.
      const small = units.filter((value) => value < largeFrom).sort((left, right) => Number(left - right));
      expect(sumAmounts(small.slice(0, inputsMax))).toBeLessThan(amount);
      expect(reachable(units, selection.inputs.length - 1)).toBeLessThan(amount);
    }),
  );
});

const within = (limits: Partial<SelectionLimits>): SelectionLimits => ({
  inputsMax: INPUTS_MAX,
  largeFrom: null,
  ...limits,
});
const unitsTaken = (amount: bigint, units: readonly bigint[], limits: SelectionLimits): readonly bigint[] => {
  const selection = selectInputs(amountOf(amount), holdingsOf(units), [], limits);
  return selection.kind === 'SELECTED' ? selection.inputs.map((input) => input.amount) : [];
};

test('small holdings go first', () => {
  expect(unitsTaken(5n, [100n, 3n, 2n, 50n], within({}))).toEqual([3n, 2n]);
});

test('where small ones do not do, the smallest of the large ones that does is taken', () => {
  expect(unitsTaken(55n, [1_000n, 60n, 1_000n, 1n, 2n], within({ largeFrom: amountOf(50n) }))).toEqual([60n]);
});
