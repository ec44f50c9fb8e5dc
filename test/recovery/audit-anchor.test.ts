/** Whoever owns the tables can rewrite the audit so that it holds together again. What was seen of it outside the database tells all the same, at once and after a restart. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { chainAuditEntries } from '../../src/db/audit-chain.ts';
import type { Database } from '../../src/db/connection.ts';
import { readLogAnchor, runLogAnchor } from '../../src/db/log-anchor.ts';
import { checkLogHistory, createLogMemory, type LogMemory, renewLogEpoch } from '../../src/db/log-history.ts';
import { lookAtLog } from '../../src/db/log-watch.ts';
import { createSystemLogger, systemClock, systemRandom } from '../../src/env/system.ts';
import { verifyAuditChain } from '../../src/read/audit-entries.ts';
import { HELD_MONEY } from '../../src/submissions/held-money.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

const WINDOW = { ttlMicros: 1_000_000n, marginMicros: 0n };
const env = { clock: systemClock, random: systemRandom, logger: createSystemLogger('silent') };

let database: TestDatabase;
let db: Database;
let folder: string;
let path: string;
let memory: LogMemory;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-audit-'));
  path = join(folder, 'anchor');
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});

beforeEach(async () => {
  database = await createTestDatabase();
  ({ db } = database);
  memory = createLogMemory(null, { keeper: HELD_MONEY, window: WINDOW });
  for (let day = 1; day <= 5; day += 1) await decide(`DECISION_${'X'.repeat(day)}`);
  await look();
  return async () => await database.close();
});

/** Somebody decides something, and it is chained. */
async function decide(reason: string): Promise<void> {
  await sql`
    INSERT INTO money_freeze (reason, detail, cause, opened_at, opened_by, lifted_at, lifted_by, lift_detail)
    VALUES (${reason}, 'looked', 'test', 1, 'ann', 1, 'ann', 'was nothing')`.execute(db);
  while ((await chainAuditEntries(db)) > 0);
}

const look = async (): Promise<void> => await lookAtLog({ ...env, db, memory });

/** Everything known is written down, and read again as by the next life of the process. */
async function restarted(): Promise<void> {
  await runLogAnchor(path, { ...env, memory, signal: AbortSignal.abort() });
  const anchor = await readLogAnchor(path);
  memory = createLogMemory(anchor?.mark ?? null, {
    kept: anchor?.kept ?? null,
    audit: anchor?.audit ?? null,
    keeper: HELD_MONEY,
    window: WINDOW,
  });
}

async function frozen(): Promise<string[]> {
  const { rows } = await sql<{ reason: string }>`SELECT reason FROM money_freeze WHERE lifted_at IS NULL`.execute(db);
  return rows.map(({ reason }) => reason);
}

/** As a superuser: what triggers forbid, and then all hashes anew, so that the chain is whole. */
async function forge(statement: string): Promise<void> {
  await sql
    .raw(`ALTER TABLE audit_entry DISABLE TRIGGER USER; ${statement};
      DO $$
      DECLARE entry audit_entry; last bytea := decode(repeat('00', 32), 'hex'); place bigint := 0;
      BEGIN
        FOR entry IN SELECT * FROM audit_entry ORDER BY position LOOP
          place := entry.position;
          last := sha256(last || convert_to(audit_text(entry.position, entry.at, entry.principal, entry.action, entry.input_hash,
            entry.subject_type, entry.subject, entry.before, entry.after), 'UTF8'));
          UPDATE audit_entry SET hash = last WHERE position = place;
        END LOOP;
        UPDATE audit_chain SET position = place, hash = last;
      END $$;
      ALTER TABLE audit_entry ENABLE TRIGGER USER`)
    .execute(db);
  expect((await verifyAuditChain(db)).brokenAt).toBeNull();
}

const FORGERIES = {
  'an entry that says somebody else did it': "UPDATE audit_entry SET principal = 'bob' WHERE position = 2",
  'a tail that is cut off': 'DELETE FROM audit_entry WHERE position > 3',
  'a tail that is another one':
    "DELETE FROM audit_entry WHERE position > 3; INSERT INTO audit_entry SELECT position + 1, at, 'bob', action, input_hash, subject_type, subject, before, after, hash FROM audit_entry WHERE position = 3; INSERT INTO audit_entry SELECT position + 1, at, 'bob', action, input_hash, subject_type, subject, before, after, hash FROM audit_entry WHERE position = 4",
  'everything gone': 'DELETE FROM audit_entry',
} as const;

test.each(Object.entries(FORGERIES))(
  'Z28: as superuser, %s: found by the running process, and money stands still',
  async (_, statement) => {
    await forge(statement);
    expect(await frozen()).toEqual([]);

    await look();

    expect(await frozen()).toEqual(['AUDIT_CHANGED']);
  },
);

test.each(Object.entries(FORGERIES))(
  'Z28: as superuser, %s, while nothing runs: found at the next start by what is kept outside',
  async (_, statement) => {
    await restarted();
    await forge(statement);

    await look();

    expect(await frozen()).toEqual(['AUDIT_CHANGED']);
  },
);

test('Z28: lifted while what was seen is held to be true, the freeze comes back; also when entries came since', async () => {
  await forge(FORGERIES['a tail that is cut off']);
  await look();
  await sql`UPDATE money_freeze SET lifted_at = 1, lifted_by = 'mallory', lift_detail = 'nothing to see'`.execute(db);
  await decide('MORE');
  await decide('AND_MORE');
  await decide('YET_MORE');
  await restarted();

  await look();

  expect(await frozen()).toEqual(['AUDIT_CHANGED']);
});

test('a database that went back, noted by another loop of the process between two statements of a look, is no change of the past', async () => {
  await sql`INSERT INTO money_freeze (reason, detail, cause, opened_at, opened_by) VALUES ('STANDS', 'is kept', 'test', 1, 'ann')`.execute(
    db,
  );
  await look();
  await sql
    .raw("ALTER TABLE money_freeze DISABLE TRIGGER USER; DELETE FROM money_freeze WHERE reason = 'STANDS'")
    .execute(db);
  await forge(FORGERIES['a tail that is cut off']);
  const seen = memory.known();
  if (seen === null) throw new Error('Nothing was seen.');
  memory.note({ ...seen, position: seen.position + 5n });
  let isNoted = false;
  const slow = db.withPlugin({
    transformQuery: ({ node }) => node,
    transformResult: async ({ result }) => {
      if (isNoted || result.rows[0]?.['hashAtKnown'] === undefined) return result;
      isNoted = true;
      expect(await checkLogHistory(db, { ...env, memory, nowMicros: systemClock.nowMicros() })).toBe(false);
      return result;
    },
  });

  await lookAtLog({ ...env, db: slow, memory });
  expect(isNoted).toBe(true);
  // It is put back; until it has been seen again, it is still known here.
  expect(JSON.stringify(memory.kept())).toContain('STANDS');
  await look();
  await look();

  expect((await frozen()).sort()).toEqual(['DATABASE_WENT_BACK', 'STANDS']);
});

test('entries that come, restarts, and a database that went back and was noted are no change of the past', async () => {
  await decide('ONE_MORE');
  await look();
  await restarted();
  await look();
  expect(await frozen()).toEqual([]);

  await renewLogEpoch(db, { by: 'ann', why: 'restored', random: systemRandom, nowMicros: 1n, window: WINDOW });
  await forge(FORGERIES['a tail that is cut off']);
  await look();
  expect(await frozen()).toEqual(['DATABASE_WENT_BACK']);

  // From there on it is held again.
  await look();
  await forge(FORGERIES['an entry that says somebody else did it']);
  await look();
  expect((await frozen()).sort()).toEqual(['AUDIT_CHANGED', 'DATABASE_WENT_BACK']);
});

test('Z28: what was seen is held on to through a moment in which nobody could tell, as on a standby', async () => {
  await sql`CREATE TABLE away AS SELECT * FROM event_log`.execute(db);
  await sql`DELETE FROM event_log`.execute(db);
  await look();
  await sql`INSERT INTO event_log SELECT * FROM away`.execute(db);
  await forge(FORGERIES['a tail that is cut off']);

  await look();

  expect(await frozen()).toEqual(['AUDIT_CHANGED']);
});
