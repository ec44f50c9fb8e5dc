/**
 * A failover to a standby that has everything of the log that anybody saw. It is noticed as a restore all the same: between the last look and the failover something may have been signed, and written down where only the
 * old primary had it. Real servers; the log itself goes on, so that no subscriber loses anything.
 */
import { execFile } from 'node:child_process';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createDatabase, type Database } from '../../src/db/connection.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/db/embedded.ts';
import { createLogMemory, type LogMemory, sharedPositionOf } from '../../src/db/log-history.ts';
import { lookAtLog } from '../../src/db/log-watch.ts';
import { migrate } from '../../src/db/migrate.ts';
import { createSystemLogger, systemClock, systemRandom } from '../../src/env/system.ts';
import { eventually } from '../support/eventually.ts';

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 }); // Two starts of a database each.

const env = { clock: systemClock, random: systemRandom, logger: createSystemLogger('silent') };
let folder: string;
let server: EmbeddedPostgres;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-promoted-'));
  await chmod(folder, 0o755); // The server may run as another user.
  server = await startEmbeddedPostgres({ ...env, baseDirectory: folder, name: 'primary', port: 0 });
  await migrate({ connectionString: server.connectionString, logger: env.logger });
});

afterEach(async () => {
  await server.stop();
  await rm(folder, { recursive: true });
});

async function withDatabase<T>(work: (db: Database) => Promise<T>): Promise<T> {
  const { connectionString } = server;
  const { db, close } = createDatabase({ ...env, connectionString, applicationName: 'test', poolSizeMax: 1 });
  try {
    return await work(db);
  } finally {
    await close();
  }
}

/** The files as they are now, as a standby has them that follows this far. */
async function follow(): Promise<void> {
  const { port } = server;
  await server.stop();
  await promisify(execFile)('cp', ['-a', join(folder, 'primary'), join(folder, 'standby')]);
  server = await startEmbeddedPostgres({ ...env, baseDirectory: folder, name: 'primary', port });
}

/** It ends its recovery with what it has, on a timeline of its own. */
async function promote(): Promise<void> {
  await server.stop();
  await writeFile(join(folder, 'standby', 'data', 'recovery.signal'), '');
  const settings = { restore_command: 'false' };
  server = await startEmbeddedPostgres({ ...env, baseDirectory: folder, name: 'standby', port: 0, settings });
  // It takes connections before it is done.
  await withDatabase(
    async (db) =>
      await eventually(
        async () => {
          const { rows } = await sql<{ isStandby: boolean }>`SELECT pg_is_in_recovery() AS "isStandby"`.execute(db);
          expect(rows).toEqual([{ isStandby: false }]);
        },
        { deadlineMs: 30_000 },
      ),
  );
}

/** As the sequencer numbers one. */
async function say(db: Database, word: string): Promise<void> {
  await db.transaction().execute(async (tx) => {
    await sql`
      INSERT INTO event (position, event_id, type, subject, payload, recorded_at) VALUES (1, ${word}, 'test', 'test', '{}', 0)`.execute(
      tx,
    );
    await sql`UPDATE event_log SET last_position = 1`.execute(tx);
  });
}

const lookAt = async (memory: LogMemory) => await withDatabase(async (db) => await lookAtLog({ ...env, db, memory }));

async function openFreezes(db: Database): Promise<string[]> {
  const rows = await db.selectFrom('money_freeze').select('reason').where('lifted_at', 'is', null).execute();
  return rows.map(({ reason }) => reason);
}

async function expectHeld(epoch: string, position: bigint): Promise<void> {
  await withDatabase(async (db) => {
    expect(await openFreezes(db)).toEqual(['DATABASE_WENT_BACK']);
    // All of the log is common to both epochs: whoever reads it goes on where he was.
    expect(await sharedPositionOf(db, epoch)).toBe(position);
    expect(await db.selectFrom('database_restore').select('lost_events').execute()).toEqual([{ lost_events: null }]);
  });
}

test('C3: a standby that has all that was seen of the log keeps its readers, and holds payouts until nothing of before can commit', async () => {
  const memory = createLogMemory();
  await withDatabase(async (db) => await say(db, 'seen'));
  await lookAt(memory);
  const known = memory.known();
  expect(known?.position).toBe(1n);
  await follow();
  await promote();

  await lookAt(memory);
  await expectHeld(known?.epoch ?? '', 1n);
  // Once: what was noticed is known from then on.
  await lookAt(memory);
  await withDatabase(async (db) => expect(await openFreezes(db)).toEqual(['DATABASE_WENT_BACK']));
});

test('C3: nor does the log tell of what was written since the last look, beside it: the standby is as it was seen, and lacks that', async () => {
  const memory = createLogMemory();
  await withDatabase(async (db) => await say(db, 'seen'));
  await lookAt(memory);
  const known = memory.known();
  await follow();
  // As what is asked to be signed is written down: no event tells of it.
  await withDatabase(async (db) => await sql`INSERT INTO network (name) VALUES ('signed since')`.execute(db));
  await promote();

  await withDatabase(async (db) => {
    const { rows } = await sql<{ position: bigint; walPosition: bigint }>`
      SELECT last_position AS position, pg_wal_lsn_diff(pg_current_wal_flush_lsn(), '0/0')::bigint AS "walPosition" FROM event_log`.execute(
      db,
    );
    // Everything that was seen is there, and more of the write-ahead log than was seen.
    expect(rows[0]?.position).toBe(known?.position);
    expect(rows[0]?.walPosition).toBeGreaterThanOrEqual(known?.walPosition ?? 0n);
    expect(await db.selectFrom('network').selectAll().execute()).toEqual([]);
  });
  await lookAt(memory);
  await expectHeld(known?.epoch ?? '', 1n);
});
