/** What a simulated participant may send: the base rate first, then what was bought, then nothing. */
import { expect, test } from 'vitest';
import type { Micros } from '../../src/env/clock.ts';
import { createTraffic } from '../../src/simnet/submission/traffic.ts';

test('the base rate is used first and fills linearly; extra traffic is used up, and bought', () => {
  let now: Micros = 0n;
  const traffic = createTraffic({ clock: { nowMicros: () => now } });
  expect(traffic.charge(1_000_000n)).toBe(0n);
  expect(traffic.status()).toBeNull();

  traffic.meter({ baseBytes: 400_000n, windowSeconds: 1_200n, extraBytes: 1_000n });
  expect(traffic.charge(400_500n)).toBe(400_500n);
  expect(traffic.status()).toEqual({ totalConsumed: 500n, totalLimit: 1_000n });
  expect(traffic.charge(501n)).toBeNull();
  expect(traffic.status()).toEqual({ totalConsumed: 500n, totalLimit: 1_000n });

  now += 3_000_000n;
  expect(traffic.isEnough(1_500n)).toBe(true);
  expect(traffic.isEnough(1_501n)).toBe(false);
  traffic.drain(0n);
  expect(traffic.charge(1n)).toBeNull();
  traffic.buy(200_000n);
  expect(traffic.charge(200_000n)).toBe(200_000n);
  expect(traffic.status()).toEqual({ totalConsumed: 201_000n, totalLimit: 201_000n });
});
