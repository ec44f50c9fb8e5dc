import { afterAll, afterEach, expect, test } from 'vitest';
import { createLeases } from '../../src/db/lease.ts';
import { createVirtualClock } from '../support/clock.ts';
import { createTestDatabase } from '../support/database.ts';

const database = await createTestDatabase();
afterAll(() => database.close());
afterEach(async () => {
  await database.db.deleteFrom('lease').execute();
});

const clock = createVirtualClock();
const leases = createLeases({ db: database.db, clock });

test('one holder at a time, until it releases', async () => {
  const first = await leases.acquire({ name: 'stream', holder: 'a', ttlMs: 1_000 });
  expect(first).toEqual({ name: 'stream', token: 1n });
  expect(await leases.acquire({ name: 'stream', holder: 'b', ttlMs: 1_000 })).toBeNull();

  await leases.release({ name: 'stream', token: 1n });

  expect(await leases.acquire({ name: 'stream', holder: 'b', ttlMs: 1_000 })).toEqual({ name: 'stream', token: 2n });
});

test('an expired lease is taken with a greater token, and the paused holder finds out', async () => {
  const paused = await leases.acquire({ name: 'stream', holder: 'a', ttlMs: 1_000 });
  if (paused === null) throw new Error('not acquired');
  await clock.advance(1_000);

  const next = await leases.acquire({ name: 'stream', holder: 'b', ttlMs: 1_000 });

  expect(next?.token).toBe(paused.token + 1n);
  expect(await leases.renew(paused, 1_000)).toBe(false);
  await leases.release(paused);
  expect(await leases.acquire({ name: 'stream', holder: 'c', ttlMs: 1_000 })).toBeNull();
});

test('renewing holds it beyond its first end, also when nobody took it meanwhile', async () => {
  const lease = await leases.acquire({ name: 'stream', holder: 'a', ttlMs: 1_000 });
  if (lease === null) throw new Error('not acquired');

  await clock.advance(900);
  expect(await leases.renew(lease, 1_000)).toBe(true);
  await clock.advance(900);
  expect(await leases.acquire({ name: 'stream', holder: 'b', ttlMs: 1_000 })).toBeNull();
  await clock.advance(900);
  expect(await leases.renew(lease, 1_000)).toBe(true);
});

test('a holder whose answer was lost takes it again, under a new token', async () => {
  await leases.acquire({ name: 'stream', holder: 'a', ttlMs: 1_000 });

  expect(await leases.acquire({ name: 'stream', holder: 'a', ttlMs: 1_000 })).toEqual({ name: 'stream', token: 2n });
});

test('of many at once exactly one gets it', async () => {
  for (let round = 1n; round <= 20n; round++) {
    const taken = await Promise.all(
      Array.from(
        { length: 10 },
        async (_, index) => await leases.acquire({ name: 'stream', holder: `h${index}`, ttlMs: 1_000 }),
      ),
    );
    const winners = taken.filter((lease) => lease !== null);
    expect(winners).toEqual([{ name: 'stream', token: round }]);
    for (const winner of winners) await leases.release(winner);
  }
});
