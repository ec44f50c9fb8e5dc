import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { agreementOf } from './agreement.ts';

const HONEST = 'the truth';
const order = fc.integer({ min: 0, max: 4 }).chain((faultsMax) =>
  fc.record({
    faultsMax: fc.constant(faultsMax),
    honest: fc.integer({ min: faultsMax + 1, max: faultsMax + 6 }),
    // What liars say (some of them the same), or that they fail.
    others: fc.array(fc.option(fc.constantFrom('lie', 'other lie', 'third lie'), { nil: null }), { maxLength: 12 }),
    seed: fc.integer(),
  }),
);

function shuffled<T>(items: readonly T[], seed: number): readonly T[] {
  return items
    .map((item, index) => ({ item, rank: Math.imul(seed + index, 2_654_435_761) % 1_000 }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ item }) => item);
}

describe('an agreement of instances', () => {
  it('is on the truth, whoever comes first, where no more than may be wrong are', () => {
    fc.assert(
      fc.property(order, ({ faultsMax, honest, others, seed }) => {
        const wrong = others.slice(0, faultsMax);
        const said = shuffled([...Array.from({ length: honest }, () => HONEST), ...wrong], seed);
        // As answers come in, one after another: it may be open, and then it is agreed, never on anything else and never refused.
        const steps = said.map((_, count) =>
          agreementOf(
            said.map((print, index) => (index <= count ? print : undefined)),
            faultsMax,
          ),
        );
        for (const step of steps) expect(step).not.toMatchObject({ kind: 'REFUSED' });
        for (const step of steps) if (step.kind === 'AGREED') expect(step.print).toBe(HONEST);
        expect(steps.at(-1)).toEqual({ kind: 'AGREED', print: HONEST });
      }),
    );
  });

  it('is never on a lie while the honest ones are more than may be wrong, however many liars there are', () => {
    fc.assert(
      fc.property(order, ({ faultsMax, honest, others, seed }) => {
        const said = shuffled([...Array.from({ length: honest }, () => HONEST), ...others], seed);
        const agreement = agreementOf(said, faultsMax);
        if (agreement.kind === 'AGREED') expect(agreement.print).toBe(HONEST);
        else expect(agreement.kind).toBe('REFUSED');
      }),
    );
  });

  it('does not come of failures, and is refused as soon as it cannot come any more', () => {
    expect(agreementOf([null, null, null, null], 1)).toEqual({ kind: 'REFUSED' });
    expect(agreementOf([null, null, undefined, undefined], 1)).toEqual({ kind: 'REFUSED' });
    expect(agreementOf([null, 'a', undefined, undefined], 1)).toEqual({ kind: 'OPEN' });
    expect(agreementOf(['b', 'a', 'a', undefined], 1)).toEqual({ kind: 'OPEN' });
    expect(agreementOf(['b', 'a', 'a', 'a'], 1)).toEqual({ kind: 'AGREED', print: 'a' });
    expect(agreementOf(['a', 'a', 'b', 'b'], 1)).toEqual({ kind: 'REFUSED' });
  });
});
