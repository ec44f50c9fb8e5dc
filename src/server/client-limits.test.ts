import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createVirtualClock } from '../../test/support/clock.ts';
import { API_LIMITS_DEFAULT, type ApiLimits } from '../schema/api-limits.ts';
import { principalOf } from '../schema/principal.ts';
import { type ClientLimiter, type Counted, createClientLimiter, isRefusal, type Release } from './client-limits.ts';

const LIMITS: ApiLimits = {
  ...API_LIMITS_DEFAULT,
  customer: { socketsMax: 1, subscriptionsMax: 2, operationsMax: 3, requestsPerSecond: 2, requestsBurst: 4 },
  service: { socketsMax: 5, subscriptionsMax: 6, operationsMax: 7, requestsPerSecond: 10, requestsBurst: 20 },
};
const service = principalOf('ledger', ['read']);
const customer = (owner: string) =>
  principalOf('frontend', ['own'], { reach: { kind: 'ACCOUNT', network: 'testnet', owner } });

function granted(limiter: ClientLimiter, principal: typeof service, what: Counted): Release[] {
  const releases: Release[] = [];
  for (;;) {
    const outcome = limiter.open(principal, what);
    if (isRefusal(outcome)) return releases;
    releases.push(outcome);
  }
}

test('Z6: each client has so much open and no more, and has it again when it gave it back', () => {
  const limiter = createClientLimiter({ limits: LIMITS, clock: createVirtualClock() });

  expect(granted(limiter, customer('ann'), 'SOCKETS')).toHaveLength(1);
  expect(granted(limiter, customer('ann'), 'SUBSCRIPTIONS')).toHaveLength(2);
  expect(granted(limiter, service, 'OPERATIONS')).toHaveLength(7);
  const sockets = granted(limiter, service, 'SOCKETS');
  expect(sockets).toHaveLength(5);
  for (const release of sockets) {
    release();
    release();
  }
  expect(granted(limiter, service, 'SOCKETS')).toHaveLength(5);
});

test('Z6: what one client has open takes nothing from another, nor one customer from the next', () => {
  const limiter = createClientLimiter({ limits: LIMITS, clock: createVirtualClock() });
  granted(limiter, customer('ann'), 'SOCKETS');
  granted(limiter, service, 'SOCKETS');

  expect(granted(limiter, customer('bob'), 'SOCKETS')).toHaveLength(1);
  expect(granted(limiter, principalOf('risk', ['read']), 'SOCKETS')).toHaveLength(5);
});

test('a bucket gives its burst and then its rate, and tells how long to wait', async () => {
  const clock = createVirtualClock();
  const limiter = createClientLimiter({ limits: LIMITS, clock });
  const begun = (): number => {
    for (let count = 0; ; count++) if (limiter.begin(customer('ann')) !== null) return count;
  };

  expect(begun()).toBe(4);
  expect(limiter.begin(customer('ann'))).toEqual({ code: 'RATE_LIMITED', limit: 2, retryAfterSeconds: 1 });
  await clock.advance(1_000);
  expect(begun()).toBe(2);
  await clock.advance(3_600_000);
  expect(begun()).toBe(4);
});

test('Z6: whatever is opened and given back in whatever order, the counts are right and none is beyond its cap', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.record({
          client: fc.nat(3),
          what: fc.constantFrom<Counted>('SOCKETS', 'SUBSCRIPTIONS', 'OPERATIONS'),
          isOpening: fc.boolean(),
          index: fc.nat(),
        }),
      ),
      (steps) => {
        const limiter = createClientLimiter({ limits: LIMITS, clock: createVirtualClock() });
        const open = new Map<string, Release[]>();
        for (const { client, what, isOpening, index } of steps) {
          const key = `${client} ${what}`;
          const own = open.get(key) ?? [];
          open.set(key, own);
          if (isOpening) {
            const outcome = limiter.open(principalOf(`client-${client}`, ['read']), what);
            if (isRefusal(outcome)) expect(own).toHaveLength(outcome.limit);
            else own.push(outcome);
          } else own.splice(index % Math.max(1, own.length), 1)[0]?.();
        }
        const count = (what: Counted): number =>
          [...open].filter(([key]) => key.endsWith(what)).reduce((total, [, own]) => total + own.length, 0);
        expect(limiter.stats()).toMatchObject({
          sockets: count('SOCKETS'),
          subscriptions: count('SUBSCRIPTIONS'),
          operations: count('OPERATIONS'),
        });
      },
    ),
  );
});

test('Z6: clients that left are forgotten, those with something open or an empty bucket are not', async () => {
  const clock = createVirtualClock();
  const limiter = createClientLimiter({ limits: LIMITS, clock });
  const kept = limiter.open(customer('kept'), 'SOCKETS');
  for (let index = 0; index < 30_000; index++) {
    limiter.begin(customer(`passer-${index}`));
    if (index % 1_000 === 0) await clock.advance(10_000);
  }

  expect(limiter.stats().clients).toBeLessThan(25_000);
  expect(isRefusal(limiter.open(customer('kept'), 'SOCKETS'))).toBe(true);
  expect(isRefusal(kept)).toBe(false);
});

test('what costs much counts for several, and is paid back before the next begins', async () => {
  const clock = createVirtualClock();
  const limiter = createClientLimiter({ limits: LIMITS, clock });

  expect(limiter.begin(customer('ann'))).toBeNull();
  limiter.charge(customer('ann'), 500);
  expect(limiter.begin(customer('ann'))).toBeNull();
  limiter.charge(customer('ann'), 5_000);
  // Two of four are left, less nine more.
  expect(limiter.begin(customer('ann'))).toEqual({ code: 'RATE_LIMITED', limit: 2, retryAfterSeconds: 4 });
  expect(limiter.begin(customer('bob'))).toBeNull();
  await clock.advance(3_500);
  expect(limiter.begin(customer('ann'))).not.toBeNull();
  await clock.advance(500);
  expect(limiter.begin(customer('ann'))).toBeNull();
});
