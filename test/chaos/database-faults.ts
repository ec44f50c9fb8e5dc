/** What befalls the database. */
import { sql } from 'kysely';
import { systemClock } from '../../src/env/system.ts';
import { eventually } from '../support/eventually.ts';
import { pick, type Schedule } from './schedule.ts';
import type { World } from './world.ts';

const PATIENCE = { deadlineMs: 60_000, intervalMs: 50 };

export const killPostmaster: Schedule = {
  name: 'SIGKILL of the postmaster',
  kind: 'postgres',
  run: async (world) => {
    const working = world.traffic();
    await systemClock.sleep(world.random.next() * 200);
    await world.server.killPostmaster();
    await working;
    return 'postmaster';
  },
};

export const killBackend: Schedule = {
  name: 'SIGKILL of a database backend',
  kind: 'postgres',
  run: async (world) => {
    const working = world.traffic();
    await systemClock.sleep(world.random.next() * 200);
    // They come back after the kill before; what hits nobody is none.
    await eventually(async () => {
      if (!(await world.server.killBackend())) throw new Error('Nobody is connected to the database.');
    }, PATIENCE);
    await working;
    return 'backend';
  },
};

export const terminateBackends: Schedule = {
  name: 'connections ended by the database',
  kind: 'other',
  run: async (world) => {
    const working = world.traffic();
    for (let round = 0; round < 3; round += 1) {
      await systemClock.sleep(world.random.next() * 150);
      await world.server.terminateBackends(world.random.next());
    }
    await working;
    return 'terminated';
  },
};

export const readOnlyDatabase: Schedule = {
  name: 'read-only database',
  kind: 'other',
  run: async (world) => {
    await world.server.setReadOnly(true);
    await world.network.deposit(3, 0.3);
    await systemClock.sleep(500 + world.random.next() * 1_000);
    await world.server.setReadOnly(false);
    await world.traffic();
    return 'read-only';
  },
};

const GROWING = [
  'ledger_update',
  'holding',
  'transfer',
  'posting',
  'event_outbox',
  'attempt',
  'reservation',
  'withdrawal',
  'lease',
];

/** The database says so itself, of one table: test/outages/disk-full.test.ts has a disk that is. */
export const fullDisk: Schedule = {
  name: 'disk of the database full for one table',
  kind: 'other',
  run: async (world) => {
    const { db } = world.server;
    const table = sql.table(pick(world.random, GROWING));
    await sql`CREATE OR REPLACE FUNCTION is_full() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$`.execute(
      db,
    );
    // Whoever stands still in a transaction keeps it from us for a while.
    const patiently = async (change: () => Promise<unknown>): Promise<void> =>
      void (await eventually(change, { deadlineMs: 60_000, intervalMs: 100 }));
    await patiently(
      async () =>
        await sql`CREATE OR REPLACE TRIGGER full_disk BEFORE INSERT OR UPDATE ON ${table} EXECUTE FUNCTION is_full()`.execute(
          db,
        ),
    );
    world.later(world.traffic());
    await systemClock.sleep(300 + world.random.next() * 700);
    await patiently(async () => await sql`DROP TRIGGER IF EXISTS full_disk ON ${table}`.execute(db));
    return 'disk full';
  },
};

/** Files of before some work are put back under the running processes: what the ledger did comes again, and what only the database knew is asked for again. */
export const rewoundDatabase: Schedule = {
  name: 'database put back to an earlier copy',
  kind: 'other',
  run: async (world) => {
    const { server, network } = world;
    world.later(world.traffic());
    await server.copy();
    await world.traffic({ deposits: 4, withdrawals: 4 });
    await systemClock.sleep(world.random.next() * 2_000);
    const epochs = await epochsOf(world);
    await server.rewind();
    await network.deposit(2, 0.3);
    await eventually(
      async () => {
        if ((await epochsOf(world)) <= epochs) throw new Error('Nobody has noticed that the database went back.');
      },
      { deadlineMs: 120_000, intervalMs: 100 },
    );
    await world.settled();
    await world.askAgain();
    return 'rewound';
  },
};

async function epochsOf({ server }: World): Promise<number> {
  const { rows } = await sql<{ epochs: number }>`SELECT count(*)::int AS epochs FROM event_log_epoch`.execute(
    server.db,
  );
  return rows[0]?.epochs ?? 0;
}
