/** A lease of a process that is gone is free at once; of one that may be alive, when it ends. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { sql } from 'kysely';
import pg from 'pg';
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

const lockers = async (): Promise<readonly { readonly granted: boolean; readonly application: string }[]> => {
  const { rows } = await sql<{ granted: boolean; application: string }>`
    SELECT l.granted, a.application_name AS application FROM pg_stat_activity a JOIN pg_locks l ON l.pid = a.pid AND l.locktype = 'advisory'
    WHERE a.datname = current_database()`.execute(database.db);
  return rows;
};

test('D1: a process that lives, but has no connection left to tell so, keeps its lease until it ends', async () => {
  const leases = createLeases({ db: database.db });
  const holder = presentHolder('never-told');
  const held = await leases.acquire({ name: 'four', holder, ttlMs: LONG_MS });

  expect(await leases.acquire({ name: 'four', holder: presentHolder('rival'), ttlMs: LONG_MS })).toBeNull();
  // It is still its own, whatever stands beside it.
  const again = await leases.acquire({ name: 'four', holder, ttlMs: LONG_MS });
  expect(again?.token).toBe((held?.token ?? 0n) + 1n);
});

test('D1: a lease that was renewed after the word of its holder was cut off is not taken, and again at once when it could be told and is gone', async () => {
  const leases = createLeases({ db: database.db });
  const holder = presentHolder('cut-off');
  const rival = presentHolder('impatient');
  const presence = tell(holder);
  await presence.told;
  const lease = await leases.acquire({ name: 'five', holder, ttlMs: LONG_MS });
  if (lease === null) throw new Error('not acquired');
  await presence.close();
  await eventually(async () => expect(await lockers()).toEqual([]), PATIENCE);

  expect(await leases.renew(lease, LONG_MS)).toBe(true);
  expect(await leases.acquire({ name: 'five', holder: rival, ttlMs: LONG_MS })).toBeNull();

  const back = tell(holder);
  await back.told;
  expect(await leases.renew(lease, LONG_MS)).toBe(true);
  expect(await leases.acquire({ name: 'five', holder: rival, ttlMs: LONG_MS })).toBeNull();
  await back.close();
  await eventually(
    async () => expect(await leases.acquire({ name: 'five', holder: rival, ttlMs: LONG_MS })).not.toBeNull(),
    PATIENCE,
  );
});

test('a session that was cut off, and that the server still has, lets nobody wait there behind it', async () => {
  const holder = presentHolder('zombie');
  const zombie = new pg.Client({ connectionString: database.connectionString, application_name: 'zombie' });
  await zombie.connect();
  await zombie.query(`SELECT pg_advisory_lock(hashtextextended('sluice presence ' || $1::text, 0))`, [holder]);

  const presence = tell(holder);
  const tried = async (): Promise<number> => {
    const { rows } = await sql<{ count: number }>`
      SELECT count(*)::int AS count FROM pg_stat_activity
      WHERE application_name = 'sluice-presence' AND datname = current_database() AND query LIKE '%sluice presence%' AND state = 'idle'`.execute(
      database.db,
    );
    return rows[0]?.count ?? 0;
  };
  await eventually(async () => expect(await tried()).toBe(1), PATIENCE);
  expect(await lockers()).toEqual([{ granted: true, application: 'zombie' }]);
  await zombie.end();

  await eventually(
    async () => expect(await lockers()).toEqual([{ granted: true, application: 'sluice-presence' }]),
    PATIENCE,
  );
  await presence.told;
  await presence.close();
});

test('through a pooler, whose sessions are anybody’s, nothing is told, and nothing is locked', async () => {
  const pooler = await startPooler();
  const holder = presentHolder('pooled');
  const presence = tellPresence({
    connectionString: pooler.through(database.connectionString),
    ...{ holder, clock: systemClock, logger: database.logger },
  });
  const startedAt = systemClock.nowMicros();
  await presence.told;

  expect(systemClock.nowMicros() - startedAt).toBeLessThan(4_000_000n);
  expect(await lockers()).toEqual([]);
  await presence.close();
  await pooler.close();
});

/** As far as it matters here: it tells a number of its own for that of the session, as PgBouncer does. */
async function startPooler() {
  const server = createServer((client) => {
    const { hostname, port } = new URL(database.connectionString);
    const upstream = connect(Number(port), hostname);
    for (const socket of [client, upstream]) socket.on('error', () => undefined);
    client.pipe(upstream);
    client.on('close', () => upstream.destroy());
    upstream.on('close', () => client.destroy());
    let seen = Buffer.alloc(0);
    upstream.on('data', (data: Buffer) => {
      seen = Buffer.concat([seen, data]);
      for (;;) {
        const size = seen.length < 5 ? Number.POSITIVE_INFINITY : seen.readInt32BE(1) + 1;
        if (seen.length < size) return;
        const message = Buffer.from(seen.subarray(0, size));
        if (message[0] === 'K'.charCodeAt(0)) message.writeInt32BE(1, 5);
        client.write(message);
        seen = seen.subarray(size);
      }
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    through: (connectionString: string): string => {
      const url = new URL(connectionString);
      url.hostname = '127.0.0.1';
      url.port = String(port);
      return url.href;
    },
    close: async () => {
      server.close();
      await once(server, 'close');
    },
  };
}
