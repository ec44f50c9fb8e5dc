/** What must hold in a running system is looked at while it runs: what somebody breaks in the tables is found, told as a metric, and money stands still within the minute. */
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createDatabase } from '../../src/db/connection.ts';
import { createLeases } from '../../src/db/lease.ts';
import { createSystemLogger, systemClock, systemRandom } from '../../src/env/system.ts';
import { lookAtInvariants, runInvariantLoop } from '../../src/invariants/invariant-loop.ts';
import { checkInvariants, LIVE_INVARIANTS } from '../../src/invariants/live-invariants.ts';
import { readOperationFacts } from '../../src/read/operation-facts.ts';
import { createTestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { startWithdrawalScene, type WithdrawalScene } from '../support/withdrawal-scene.ts';

let scene: WithdrawalScene;

beforeAll(async () => {
  scene = await startWithdrawalScene();
  scene.simnet.network.preapprove({ instrument: 'amulet', receiver: 'bob' });
  await scene.fund('amulet', ['50', '20']);
  await scene.create({ key: 'paid', instrument: 'amulet', receiver: 'bob', amount: '5' });
  await scene.become('paid', 'COMPLETED');
  await scene.settled();
}, 60_000);
afterAll(async () => {
  await scene.close();
});

/** As somebody whom no trigger and no reference stops; undone afterwards by the statement beside it. */
const BROKEN: Readonly<Record<string, readonly [string, string]>> = {
  I1: [
    'UPDATE holding SET amount = amount + 1 WHERE archived_update_id IS NULL',
    'UPDATE holding SET amount = amount - 1 WHERE archived_update_id IS NULL',
  ],
  I4: ["UPDATE withdrawal SET state = 'FAILED'", "UPDATE withdrawal SET state = 'COMPLETED'"],
  I5: ["UPDATE withdrawal SET receiver = receiver || 'x'", 'UPDATE withdrawal SET receiver = left(receiver, -1)'],
  I12: [
    'UPDATE ledger_update SET record_time = record_time + 1000000000000 WHERE ledger_offset = (SELECT min(ledger_offset) FROM ledger_update)',
    'UPDATE ledger_update SET record_time = record_time - 1000000000000 WHERE ledger_offset = (SELECT min(ledger_offset) FROM ledger_update)',
  ],
  I15: [
    'CREATE TABLE lost AS SELECT * FROM event WHERE position = 2; DELETE FROM event WHERE position = 2',
    'INSERT INTO event SELECT * FROM lost; DROP TABLE lost',
  ],
  I19: [
    'CREATE TABLE asked AS SELECT submission_id, number, sign_requested_at FROM attempt; UPDATE attempt SET sign_requested_at = NULL',
    'UPDATE attempt a SET sign_requested_at = k.sign_requested_at FROM asked k WHERE k.submission_id = a.submission_id AND k.number = a.number; DROP TABLE asked',
  ],
  I26: [
    "UPDATE audit_entry SET principal = principal || 'x' WHERE position = 1",
    'UPDATE audit_entry SET principal = left(principal, -1) WHERE position = 1',
  ],
};

async function asOwner(statement: string): Promise<void> {
  await sql
    .raw(`BEGIN; SET LOCAL session_replication_role = 'replica'; ${statement}; COMMIT`)
    .execute(scene.database.db);
}

test('I1, I26: an installation at work breaks none of them', async () => {
  expect(await checkInvariants(scene.database.db)).toEqual([]);
});

test.each(Object.entries(BROKEN))(
  'Z28: %s broken in the tables is found, named and frozen for',
  { timeout: 60_000 },
  async (id, [breaks, mends]) => {
    const { db } = scene.database;
    const options = { db, clock: systemClock, logger: createSystemLogger('silent') };
    await sql`UPDATE money_freeze SET lifted_at = 1, lifted_by = 'test', lift_detail = 'test' WHERE lifted_at IS NULL`.execute(
      db,
    );
    await asOwner(breaks);
    try {
      const faults = await lookAtInvariants(options);

      expect([...new Set(faults.map((fault) => fault.id))]).toContain(id);
      const facts = await readOperationFacts(db, { nowMicros: systemClock.nowMicros(), recordTimeAheadMsMax: 60_000 });
      expect(facts.find(({ name, labels }) => name === 'invariant_broken' && labels['invariant'] === id)?.value).toBe(
        1,
      );
      const { rows } =
        await sql`SELECT FROM money_freeze WHERE reason = 'INVARIANT_BROKEN' AND lifted_at IS NULL`.execute(db);
      expect(rows.length).toBeGreaterThan(0);
    } finally {
      await asOwner(mends);
    }
    expect(await lookAtInvariants(options)).toEqual([]);
  },
);

test('a look tells of all that it looks at, and of what is mended no more', async () => {
  const { db } = scene.database;
  const kept = await db.selectFrom('invariant_check').selectAll().execute();

  expect(kept.map(({ id }) => id).sort()).toEqual(Object.keys(LIVE_INVARIANTS).sort());
  expect(kept.filter(({ broken_since }) => broken_since !== null)).toEqual([]);
});

test('what people lift while it is true stays lifted, until something else is found or it was mended', async () => {
  const { db } = scene.database;
  const options = { db, clock: systemClock, logger: createSystemLogger('silent') };
  const [breaks, mends] = BROKEN['I12'] ?? ['', ''];
  const frozen = async (): Promise<number> =>
    (await sql`SELECT FROM money_freeze WHERE reason = 'INVARIANT_BROKEN' AND lifted_at IS NULL`.execute(db)).rows
      .length;
  const lift = async (): Promise<void> => {
    await sql`
      UPDATE money_freeze SET lifted_at = ${systemClock.nowMicros()}, lifted_by = 'test', lift_detail = 'test' WHERE lifted_at IS NULL`.execute(
      db,
    );
  };
  await lift();
  await asOwner(breaks);
  try {
    await lookAtInvariants(options);
    expect(await frozen()).toBe(1);
    await lookAtInvariants(options);
    await lift();
    await lookAtInvariants(options);
    expect(await frozen()).toBe(0);
    await asOwner(BROKEN['I26']?.[0] ?? '');
    await lookAtInvariants(options);
    expect(await frozen()).toBe(1);
    await asOwner(BROKEN['I26']?.[1] ?? '');
    await lift();
    await asOwner(mends);
    await lookAtInvariants(options);
    await asOwner(breaks);
    await lookAtInvariants(options);
    expect(await frozen()).toBe(1);
  } finally {
    await asOwner(mends);
    await lift();
  }
  expect(await lookAtInvariants(options)).toEqual([]);
});

test('a freeze that was lifted does not come back because amounts move beside what it is about, and does where more is missing', {
  timeout: 60_000,
}, async () => {
  const { db } = scene.database;
  const options = { db, clock: systemClock, logger: createSystemLogger('silent') };
  const frozen = async (): Promise<readonly string[]> =>
    (
      await sql<{
        detail: string;
      }>`SELECT detail FROM money_freeze WHERE reason = 'INVARIANT_BROKEN' AND lifted_at IS NULL`.execute(db)
    ).rows.map(({ detail }) => detail);
  const lift = async (): Promise<void> => {
    await sql`
      UPDATE money_freeze SET lifted_at = ${systemClock.nowMicros()}, lifted_by = 'test', lift_detail = 'test' WHERE lifted_at IS NULL`.execute(
      db,
    );
  };
  const [one] = (
    await sql<{ id: string }>`SELECT contract_id AS id FROM holding WHERE archived_update_id IS NULL`.execute(db)
  ).rows;
  const add = async (amount: string) =>
    await asOwner(`UPDATE holding SET amount = amount + ${amount} WHERE contract_id = '${one?.id}'`);
  await lift();
  await add('1');
  try {
    await lookAtInvariants(options);
    const [before] = await frozen();
    expect(before).toMatch(/^I1, 1 times; first: .* holds /);
    await lift();

    // Holdings and books go on together.
    await scene.fund('amulet', ['7']);
    const [fault] = await lookAtInvariants(options);
    expect(before).not.toContain(fault?.what);
    expect(await frozen()).toEqual([]);

    await add('1');
    await lookAtInvariants(options);
    expect(await frozen()).toHaveLength(1);
    await add('-1');
  } finally {
    await add('-1');
    await lift();
  }
  expect(await lookAtInvariants(options)).toEqual([]);
});

describe('what was lifted is no leave for what comes after it', () => {
  const look = async () =>
    await lookAtInvariants({ db: scene.database.db, clock: systemClock, logger: createSystemLogger('silent') });
  const frozen = async (): Promise<number> =>
    (
      await sql`SELECT FROM money_freeze WHERE reason = 'INVARIANT_BROKEN' AND lifted_at IS NULL`.execute(
        scene.database.db,
      )
    ).rows.length;
  const lift = async (): Promise<void> => {
    await sql`UPDATE money_freeze SET lifted_at = ${systemClock.nowMicros()}, lifted_by = 'test', lift_detail = 'test' WHERE lifted_at IS NULL`.execute(
      scene.database.db,
    );
  };
  const forge = async (name: string) =>
    await asOwner(`INSERT INTO journal_entry (cause, description, record_time) VALUES ('post:${name}', 'test', 0)`);
  const mend = async (name: string) => await asOwner(`DELETE FROM journal_entry WHERE cause = 'post:${name}'`);

  test('one that was mended and is broken anew freezes anew, beside another that stands for ever', {
    timeout: 60_000,
  }, async () => {
    await lift();
    try {
      await forge('stands');
      await look();
      expect(await frozen()).toBe(1);
      await lift();
      await forge('comes');
      await look();
      expect(await frozen()).toBe(1);
      await lift();
      await mend('comes');
      await look();
      await lift();
      await look();
      expect(await frozen()).toBe(0);

      await forge('comes');
      await look();
      expect(await frozen()).toBe(1);
    } finally {
      await mend('stands');
      await mend('comes');
      await lift();
    }
    expect(await look()).toEqual([]);
  });

  test('more that is missing of the same withdrawal freezes anew', { timeout: 60_000 }, async () => {
    const add = async (amount: string) =>
      await asOwner(
        `UPDATE posting SET amount = amount + ${amount} WHERE entry_id = (SELECT id FROM journal_entry WHERE cause LIKE 'withdrawal:%:requested')`,
      );
    await lift();
    await add('1');
    try {
      await look();
      expect(await frozen()).toBe(1);
      await lift();
      await look();
      expect(await frozen()).toBe(0);
      await add('1');
      await look();
      expect(await frozen()).toBe(1);
      await add('-1');
    } finally {
      await add('-1');
      await lift();
    }
    expect(await look()).toEqual([]);
  });

  test('of more faults than are told of, another one in the place of a mended one is another set', {
    timeout: 60_000,
  }, async () => {
    const { db } = scene.database;
    const digests = async () =>
      (await checkInvariants(db)).map(({ identity }) => identity).filter((each) => each.includes('MORE_FAULTS'));
    await asOwner(
      "INSERT INTO journal_entry (cause, description, record_time) SELECT 'post:many-' || lpad(n::text, 4, '0'), 'test', 0 FROM generate_series(1, 150) AS n",
    );
    try {
      const before = await digests();
      expect(before).toHaveLength(1);
      expect(await digests()).toEqual(before);
      await asOwner("UPDATE journal_entry SET cause = 'post:many-9999' WHERE cause = 'post:many-0140'");
      expect(await digests()).toHaveLength(1);
      expect(await digests()).not.toEqual(before);
    } finally {
      await asOwner("DELETE FROM journal_entry WHERE cause LIKE 'post:many-%'");
    }
  });
});

test('however long a look takes, one process looks at a time', { timeout: 30_000 }, async () => {
  const database = await createTestDatabase();
  const stopping = new AbortController();
  const lanes = [0, 1].map(() =>
    createDatabase({
      connectionString: database.connectionString,
      applicationName: 'sluice-test',
      poolSizeMax: 2,
      logger: database.logger,
    }),
  );
  const held = createDatabase({
    connectionString: database.connectionString,
    applicationName: 'sluice-test',
    poolSizeMax: 1,
    logger: database.logger,
  });
  try {
    let most = 0;
    const running: Promise<void>[] = [];
    await held.db.transaction().execute(async (tx) => {
      await sql`LOCK TABLE verification IN ACCESS EXCLUSIVE MODE`.execute(tx);
      const env = { clock: systemClock, random: systemRandom, logger: createSystemLogger('silent') };
      const loops = lanes.map(({ db }, index) =>
        runInvariantLoop({
          ...env,
          db,
          leases: createLeases({ db }),
          holder: `looker ${index}`,
          everyMs: 1_500, // Not less: a turn is a time, and is kept by renewing; a machine may be busy for half a second.
          signal: stopping.signal,
        }),
      );
      const waiting = async (): Promise<number> => {
        const { rows } = await sql<{ count: number }>`
          SELECT count(*)::int AS count FROM pg_locks WHERE relation = 'verification'::regclass AND NOT granted`.execute(
          tx,
        );
        return rows[0]?.count ?? 0;
      };
      // On a busy machine the first look may be long in coming.
      await eventually(async () => expect(await waiting()).toBeGreaterThan(0));
      for (let looked = 0; looked < 35; looked += 1) {
        most = Math.max(most, await waiting());
        await systemClock.sleep(100);
      }
      stopping.abort();
      running.push(...loops);
    });
    await Promise.all(running);
    expect(most).toBe(1);
  } finally {
    stopping.abort();
    await held.close();
    for (const { close } of lanes) await close();
    await database.close();
  }
});

test('Z28: a running service freezes within the minute what is broken under it, and pays nothing', {
  timeout: 90_000,
}, async () => {
  const { db } = scene.database;
  await sql`UPDATE money_freeze SET lifted_at = 1, lifted_by = 'test', lift_detail = 'test' WHERE lifted_at IS NULL`.execute(
    db,
  );
  await asOwner(BROKEN['I5']?.[0] ?? '');
  try {
    await eventually(
      async () => {
        const { rows } =
          await sql`SELECT FROM money_freeze WHERE reason = 'INVARIANT_BROKEN' AND lifted_at IS NULL`.execute(db);
        expect(rows.length).toBe(1);
      },
      { deadlineMs: 60_000, intervalMs: 200 },
    );
    await scene.create({ key: 'frozen', instrument: 'amulet', receiver: 'bob', amount: '1' });
    expect((await scene.withdrawal('frozen')).state).toBe('QUEUED');
  } finally {
    await asOwner(BROKEN['I5']?.[1] ?? '');
  }
});
