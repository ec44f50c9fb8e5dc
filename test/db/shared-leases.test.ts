import { afterAll, afterEach, expect, test } from 'vitest';
import { createLeases, type Lease } from '../../src/db/lease.ts';
import { createSharedLeases, type SharedLeases } from '../../src/db/shared-leases.ts';
import { createSystemLogger } from '../../src/env/system.ts';
import { createVirtualClock } from '../support/clock.ts';
import { createTestDatabase } from '../support/database.ts';

const database = await createTestDatabase();
afterAll(() => database.close());
afterEach(async () => {
  await database.db.deleteFrom('lease').execute();
});

const TTL_MS = 3_000;
const NAMES = ['a', 'b', 'c', 'd', 'e'];
const clock = createVirtualClock();

/** A process that works on what it holds: asks for everything it has not, renews what it has. */
function join(holder: string) {
  const { db } = database;
  const leases: SharedLeases = createSharedLeases({
    db,
    leases: createLeases({ db, clock }),
    group: 'test',
    holder,
    count: NAMES.length,
    clock,
    time: clock,
    logger: createSystemLogger('silent'),
  });
  const held = new Map<string, Lease>();
  let isBroken = false;
  return {
    held: () => [...held.keys()].sort(),
    count: () => held.size,
    breaks: (breaks: boolean) => {
      isBroken = breaks;
    },
    leases,
    /** What happens in a third of a lease. */
    turn: async () => {
      for (const name of NAMES) {
        const mine = held.get(name);
        if (mine === undefined) {
          const taken = await leases.acquire({ name, holder, ttlMs: TTL_MS });
          if (taken === null) continue;
          if (isBroken) await leases.release(taken);
          else held.set(name, taken);
        } else if (!(await leases.renew(mine, TTL_MS))) {
          held.delete(name);
          await leases.release(mine);
          // As a worker does: it asks again at once.
          const again = await leases.acquire({ name, holder, ttlMs: TTL_MS });
          if (again !== null) held.set(name, again);
        }
      }
    },
  };
}

type Member = ReturnType<typeof join>;

async function rounds(members: readonly Member[], count: number): Promise<void> {
  for (let round = 0; round < count; round += 1) {
    for (const member of members) await member.turn();
    await clock.advance(TTL_MS / 3);
  }
}

test('who is alone has all; who comes gets a share; what a dead one had goes to the others', async () => {
  const first = join('first');
  await rounds([first], 1);
  expect(first.held()).toEqual(NAMES);

  const second = join('second');
  await rounds([first, second], 6);
  expect([first.count(), second.count()].sort()).toEqual([2, 3]);
  expect([...first.held(), ...second.held()].sort()).toEqual(NAMES);
  const third = join('third');
  await rounds([first, second, third], 8);
  expect([first.count(), second.count(), third.count()].sort()).toEqual([1, 2, 2]);

  // It dies: no word of it any more.
  await rounds([second, third], 8);
  expect([second.count(), third.count()].sort()).toEqual([2, 3]);
  expect([...second.held(), ...third.held()].sort()).toEqual(NAMES);
});

test('who leaves in order is not waited for', async () => {
  const first = join('first');
  const second = join('second');
  await rounds([first, second], 6);
  expect(first.count() + second.count()).toBe(NAMES.length);

  for (const name of second.held()) {
    const lease = await database.db.selectFrom('lease').selectAll().where('name', '=', name).executeTakeFirstOrThrow();
    await second.leases.release(lease);
  }
  await second.leases.leave();
  await rounds([first], 2);

  expect(first.held()).toEqual(NAMES);
});

test('who cannot work on what it takes leaves it to the others for a while, and is tried again', async () => {
  const first = join('first');
  const second = join('second');
  second.breaks(true);
  await rounds([second, first], 8);
  expect(first.held()).toEqual(NAMES);

  second.breaks(false);
  await rounds([second, first], 80);
  expect([first.count(), second.count()].sort()).toEqual([2, 3]);
});

test('stability: members that are alive and well do not pass leases about', async () => {
  const members = [join('first'), join('second')];
  await rounds(members, 8);
  const before = await database.db.selectFrom('lease').select(['name', 'token']).orderBy('name').execute();

  await rounds(members, 20);

  expect(await database.db.selectFrom('lease').select(['name', 'token']).orderBy('name').execute()).toEqual(before);
});
