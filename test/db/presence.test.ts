/** A lease of a process that is gone is free at once; of one that may be alive, when it ends. */
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createLeases } from '../../src/db/lease.ts';
import { presentHolder, tellPresence } from '../../src/db/presence.ts';
import { createSharedLeases } from '../../src/db/shared-leases.ts';
import { systemClock } from '../../src/env/system.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';

const LONG_MS = 600_000;
const PATIENCE = { deadlineMs: 20_000 };
let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
});

afterAll(async () => await database.close());

const tell = (holder: string) =>
  tellPresence({ connectionString: database.connectionString, holder, clock: systemClock, logger: database.logger });

test('D1: the lease of a process that is gone is taken over at once, that of a living one is not', async () => {
  const leases = createLeases({ db: database.db });
  const holder = presentHolder('first');
  const presence = tell(holder);
  await presence.told;
  const held = await leases.acquire({ name: 'one', holder, ttlMs: LONG_MS });

  expect(await leases.acquire({ name: 'one', holder: 'other', ttlMs: LONG_MS })).toBeNull();
  await presence.close();
  const taken = await eventually(async () => {
    const lease = await leases.acquire({ name: 'one', holder: 'other', ttlMs: LONG_MS });
    expect(lease).not.toBeNull();
    return lease;
  }, PATIENCE);

  expect(taken?.token).toBe((held?.token ?? 0n) + 1n);
});

test('a holder that never said that it can be asked for is waited for', async () => {
  const leases = createLeases({ db: database.db });
  await leases.acquire({ name: 'two', holder: 'of-an-earlier-version', ttlMs: LONG_MS });

  expect(await leases.acquire({ name: 'two', holder: presentHolder('new'), ttlMs: LONG_MS })).toBeNull();
});

test('a presence whose connection the database ended is told again', async () => {
  const leases = createLeases({ db: database.db });
  const holder = presentHolder('cut');
  const presence = tell(holder);
  await presence.told;
  const lockers = async (): Promise<readonly number[]> => {
    const { rows } = await sql<{ pid: number }>`
      SELECT a.pid FROM pg_stat_activity a JOIN pg_locks l ON l.pid = a.pid AND l.locktype = 'advisory' AND l.granted
      WHERE a.application_name = 'sluice-presence' AND a.datname = current_database()`.execute(database.db);
    return rows.map(({ pid }) => pid);
  };
  const [before] = await lockers();
  await sql`SELECT pg_terminate_backend(${before})`.execute(database.db);

  await eventually(async () => {
    const now = await lockers();
    expect(now).toHaveLength(1);
    expect(now).not.toContain(before);
  }, PATIENCE);
  await leases.acquire({ name: 'three', holder, ttlMs: LONG_MS });
  expect(await leases.acquire({ name: 'three', holder: 'other', ttlMs: LONG_MS })).toBeNull();
  await presence.close();
});

test('a member that is gone does not count, and leaves its share at once', async () => {
  const { db, logger } = database;
  const share = (holder: string) =>
    createSharedLeases({
      db,
      leases: createLeases({ db }),
      group: 'test',
      holder,
      count: 2,
      clock: systemClock,
      logger,
    });
  const gone = presentHolder('gone');
  const presence = tell(gone);
  await presence.told;
  const other = share(gone);
  for (const name of ['a', 'b']) expect(await other.acquire({ name, holder: gone, ttlMs: LONG_MS })).not.toBeNull();
  await presence.close();
  const left = share('left');

  for (const name of ['a', 'b']) {
    await eventually(
      async () => expect(await left.acquire({ name, holder: 'left', ttlMs: LONG_MS })).not.toBeNull(),
      PATIENCE,
    );
  }
});
