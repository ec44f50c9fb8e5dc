import fc from 'fast-check';
import { expect, test } from 'vitest';
import { amountOf } from '../tokens/amount.ts';
import { INPUTS_MAX, selectInputs } from './input-selection.ts';

const holdingsOf = (amounts: readonly bigint[]) =>
  amounts.map((units, index) => ({ contractId: `00${index}`, amount: amountOf(units) }));
const amounts = fc.array(fc.bigInt({ min: 1n, max: 1_000n }), { maxLength: 300 });
const wanted = fc.bigInt({ min: 1n, max: 200_000n });

test('a selection pays for the amount, within the limit, without repeating a holding; none means that the largest hundred do not suffice', () => {
  fc.assert(
    fc.property(amounts, wanted, (units, amount) => {
      const holdings = holdingsOf(units);
      const selection = selectInputs(amountOf(amount), holdings, []);
      const largest = [...units].sort((left, right) => Number(right - left)).slice(0, INPUTS_MAX);
      const reachable = largest.reduce((sum, value) => sum + value, 0n);

      if (selection.kind === 'INSUFFICIENT') expect(reachable).toBeLessThan(amount);
      else {
        const ids = selection.inputs.map(({ contractId }) => contractId);
        expect(selection.inputs.reduce((sum, input) => sum + input.amount, 0n)).toBeGreaterThanOrEqual(amount);
        expect(new Set(ids).size).toBe(ids.length);
        expect(ids.length).toBeLessThanOrEqual(INPUTS_MAX);
        expect(ids.length).toBeGreaterThan(0);
      }
    }),
  );
});

test('every earlier attempt keeps one of its inputs, or there is no selection', () => {
  const earlier = fc.array(fc.array(fc.nat(20), { minLength: 1, maxLength: 4 }), { maxLength: 3 });
  fc.assert(
    fc.property(
      fc.array(fc.bigInt({ min: 1n, max: 50n }), { minLength: 1, maxLength: 20 }),
      earlier,
      (units, attempts) => {
        const inputsOfAttempts = attempts.map((numbers) => numbers.map((number) => `00${number}`));
        const selection = selectInputs(amountOf(1n), holdingsOf(units), inputsOfAttempts);

        if (selection.kind === 'INSUFFICIENT') return;
        const ids = new Set(selection.inputs.map(({ contractId }) => contractId));
        for (const inputs of inputsOfAttempts) expect(inputs.some((contractId) => ids.has(contractId))).toBe(true);
      },
    ),
  );
});

test('small holdings go first', () => {
  const selection = selectInputs(amountOf(5n), holdingsOf([100n, 3n, 2n, 50n]), []);

  expect(selection).toMatchObject({ kind: 'SELECTED', inputs: [{ contractId: '001' }, { contractId: '002' }] });
});
