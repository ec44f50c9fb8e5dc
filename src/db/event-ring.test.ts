import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createEventRing } from './event-ring.ts';

const eventAt = (position: bigint) => ({ position });

describe('event ring', () => {
  test('starts empty and covers only its head', () => {
    const ring = createEventRing({ head: 41n, countMax: 3, bytesMax: 100 });

    expect(ring.head()).toBe(41n);
    expect(ring.covers(41n)).toBe(true);
    expect(ring.covers(40n)).toBe(false);
    expect(() => ring.after(41n)).toThrow('does not hold');
  });

  test('keeps the newest by count and by bytes, always at least one', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 60 }), { minLength: 1, maxLength: 50 }),
        fc.integer({ min: 1, max: 8 }),
        (sizes, countMax) => {
          const ring = createEventRing<{ position: bigint }>({ head: 7n, countMax, bytesMax: 100 });
          for (const [index, bytes] of sizes.entries()) ring.push(eventAt(8n + BigInt(index)), bytes);

          const { ringCount, ringBytes } = ring.size();
          const head = 7n + BigInt(sizes.length);
          const kept = sizes.slice(-ringCount);
          expect(ring.head()).toBe(head);
          expect(ringCount).toBeGreaterThanOrEqual(1);
          expect(ringCount).toBeLessThanOrEqual(countMax);
          expect(ringBytes).toBe(kept.reduce((sum, bytes) => sum + bytes, 0));
          if (ringCount > 1) expect(ringBytes).toBeLessThanOrEqual(100);
          const oldest = head - BigInt(ringCount);
          expect(ring.covers(oldest)).toBe(true);
          expect(ring.covers(oldest - 1n)).toBe(false);
          for (let position = oldest; position < head; position++) {
            expect(ring.after(position).position).toBe(position + 1n);
          }
        },
      ),
    );
  });

  test('refuses a gap and a repetition', () => {
    const ring = createEventRing<{ position: bigint }>({ head: 0n, countMax: 3, bytesMax: 100 });
    ring.push(eventAt(1n), 1);

    expect(() => ring.push(eventAt(3n), 1)).toThrow('gap');
    expect(() => ring.push(eventAt(1n), 1)).toThrow('gap');
  });
});
