/**
 * Random trees, by senders of any intent: whatever a transaction claims, what is told of it adds up, per instrument, to what the holdings gained; nothing is
 * credited in another instrument than it came in; and nothing throws but what the treasury itself has signed.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Instrument } from '../../src/tokens/transfer-record.ts';
import type { UpdateEffects } from '../../src/tokens/update-effects.ts';
import { DecodeError } from '../../src/tokens/value.ts';
import { rounds } from '../support/tier.ts';
import { effects, TREASURY } from '../support/transactions.ts';
import { eventsOf, forest, known, OFFERED, OTHER_TREASURY } from './corpus/hostile-trees.ts';

const keyOf = ({ admin, id }: Instrument) => `${admin}/${id}`;

/** What the holdings gained per instrument, from the lists of created and archived ones alone. */
function gained({ holdingsCreated, holdingsArchived }: UpdateEffects): Map<string, bigint> {
  const sums = new Map<string, bigint>();
  const add = (of: Instrument, units: bigint) => sums.set(keyOf(of), (sums.get(keyOf(of)) ?? 0n) + units);
  for (const { instrument, amount } of holdingsCreated) add(instrument, amount);
  for (const cid of holdingsArchived) {
    const holding = holdingsCreated.find(({ contractId }) => contractId === cid) ?? known.holding(cid);
    if (holding === undefined) throw new Error(`An unknown holding ended: ${cid}`);
    add(holding.instrument, -holding.amount);
  }
  return sums;
}

/** The same from what movements and progress say. */
function told({ movements, progress }: UpdateEffects): Map<string, bigint> {
  const sums = new Map<string, bigint>();
  const instrumentOf = new Map<string, Instrument>([
    ...[...OFFERED.values()].map(({ transferId, instrument }) => [transferId, instrument] as const),
    ...movements.map(({ id, instrument }) => [id, instrument] as const),
  ]);
  const add = (of: Instrument | undefined, units: bigint) => {
    if (of === undefined) throw new Error('A transfer that nobody started.');
    sums.set(keyOf(of), (sums.get(keyOf(of)) ?? 0n) + units);
  };
  for (const { instrument, holdingsDelta } of movements) add(instrument, holdingsDelta);
  for (const { transferId, holdingsDelta } of progress) add(instrumentOf.get(transferId), holdingsDelta);
  return sums;
}

const withoutZeros = (sums: Map<string, bigint>) =>
  Object.fromEntries([...sums].filter(([, sum]) => sum !== 0n).sort());

test('whatever is claimed, what is told adds up to what the holdings gained, per instrument and treasury', () => {
  const seen = { believed: 0, unexplained: 0, progress: 0 };
  fc.assert(
    fc.property(forest, fc.constantFrom(TREASURY, OTHER_TREASURY), (trees, of) => {
      const events = eventsOf(trees);
      let found: UpdateEffects;
      try {
        found = effects(events, known, of);
      } catch (error) {
        const isOurs = events.some(({ event }) => event?.$case === 'created' && event.value.signatories.includes(of));
        expect(error).toBeInstanceOf(DecodeError);
        expect(isOurs).toBe(true);
        return;
      }
      expect(withoutZeros(told(found))).toEqual(withoutZeros(gained(found)));
      expect(found.movements.map(({ rank }) => rank)).toEqual(found.movements.map((_, index) => index));
      expect(new Set(found.movements.map(({ id }) => id)).size).toBe(found.movements.length);
      for (const { amount } of found.movements) expect(amount >= 0n).toBe(true);
      for (const { instrument } of found.holdingsCreated) expect(instrument.id).not.toBe('');
      seen.believed += found.movements.filter(({ kind }) => kind === 'DIRECT').length;
      seen.unexplained += found.movements.filter(({ kind }) => kind === 'UNEXPLAINED').length;
      seen.progress += found.progress.length;
    }),
    { numRuns: rounds(1_500, 50_000) },
  );
  // Else the trees would be too tame to say anything.
  for (const [what, count] of Object.entries(seen)) expect(count, what).toBeGreaterThan(0);
});
