/**
 * Who may do what in the database: each role connects by itself and tries each verb on each table, and each function. What is not in migrations/rights.csv is refused by PostgreSQL, whatever the
 * program would have done.
 */
import { sql } from 'kysely';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createDatabase } from '../../src/db/connection.ts';
import { readDatabaseHealth } from '../../src/db/database-health.ts';
import { LOG_CHANNEL, NEWS_LISTENER } from '../../src/db/event-log.ts';
import { migrate } from '../../src/db/migrate.ts';
import { createNotifications } from '../../src/db/notifications.ts';
import { forgetRole, grantRights, type Rights, ROLE_KINDS, type RoleKind, readRights } from '../../src/db/rights.ts';
import { agreeOnScreening, readDepositScreening } from '../../src/deposits/screening-mode.ts';
import { switchScreening } from '../../src/deposits/screening-switch.ts';
import { checkDatabase } from '../../src/doctor/database-checks.ts';
import { checkRights } from '../../src/doctor/rights-checks.ts';
import { systemClock, systemRandom } from '../../src/env/system.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { createDatabaseRoles, type DatabaseRoles, onServer } from './database-roles.ts';

const FORBIDDEN = '42501'; // insufficient_privilege

let database: TestDatabase;
let roles: DatabaseRoles;
let rights: ReadonlyMap<RoleKind, Rights>;
let tables: readonly string[];
/** Of each table, a column that can be set, to itself. */
let columns: ReadonlyMap<string, string>;

beforeAll(async () => {
  database = await createTestDatabase();
  roles = await createDatabaseRoles(database, 'matrix');
  rights = await readRights();
  const found = await sql<{ name: string; column: string }>`
    SELECT c.relname AS name, (
      SELECT quote_ident(attname) FROM pg_attribute a WHERE a.attrelid = c.oid AND attnum > 0 AND NOT attisdropped AND attidentity = '' AND attgenerated = '' ORDER BY attnum LIMIT 1
    ) AS column
    FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f') ORDER BY 1`.execute(
    database.db,
  );
  tables = found.rows.map(({ name }) => name);
  columns = new Map(found.rows.map(({ name, column }) => [name, column]));
});
afterAll(async () => {
  await database.close();
  await roles.drop();
});

/** @returns the SQLSTATE of what it met; null: nothing stopped it. All of it is undone. */
async function attempt(client: pg.Client, statement: string): Promise<string | null> {
  await client.query('BEGIN');
  try {
    await client.query(statement);
    return null;
  } catch (error) {
    if (error instanceof pg.DatabaseError) return error.code ?? '';
    throw error;
  } finally {
    await client.query('ROLLBACK');
  }
}

async function as<T>(kind: RoleKind, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: roles.connectionString(kind) });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

const verbsOn = (table: string): Readonly<Record<string, string>> => ({
  SELECT: `SELECT FROM "${table}" LIMIT 1`,
  INSERT: `INSERT INTO "${table}" (${columns.get(table)}) SELECT NULL WHERE false`,
  UPDATE: `UPDATE "${table}" SET ${columns.get(table)} = DEFAULT WHERE false`,
  DELETE: `DELETE FROM "${table}" WHERE false`,
  TRUNCATE: `TRUNCATE "${table}"`,
});

test('Z27: every table and every function that runs with its owner’s rights has its line, and no line is of one that is gone', async () => {
  const functions = await sql<{ name: string }>`
    SELECT proname || '()' AS name FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prosecdef`.execute(
    database.db,
  );
  const expected = [...tables, ...functions.rows.map(({ name }) => name)].sort();
  expect([...(rights.get('WORKER')?.keys() ?? [])].sort()).toEqual(expected);
});

describe.each(ROLE_KINDS)('Z27: as %s', (kind) => {
  test('each verb on each table is refused where it is not in the matrix, and nowhere else', {
    timeout: 60_000,
  }, async () => {
    const wrong = await as(kind, async (client) => {
      const found: string[] = [];
      for (const table of tables) {
        for (const [verb, statement] of Object.entries(verbsOn(table))) {
          const isAllowed = [...(rights.get(kind)?.get(table) ?? [])].some((each) => each === verb);
          const isRefused = (await attempt(client, statement)) === FORBIDDEN;
          // A view refuses what no view takes before anybody's rights are looked at.
          if (isRefused === isAllowed && !(table === 'account_balance' && !isAllowed))
            found.push(`${verb} on ${table}`);
        }
      }
      return found;
    });
    expect(wrong).toEqual([]);
  });

  test('nothing is made, altered or dropped, no trigger is put out of action, nobody becomes somebody else', async () => {
    const passed = await as(kind, async (client) => {
      const statements = [
        'CREATE TABLE mine ()',
        'CREATE FUNCTION mine() RETURNS void LANGUAGE sql AS $$ SELECT $$',
        'ALTER TABLE audit_entry DISABLE TRIGGER USER',
        "SET session_replication_role = 'replica'",
        'DROP TABLE event',
        'ALTER ROLE CURRENT_USER SUPERUSER',
        'CREATE ROLE another',
        'SET ROLE pg_write_all_data',
        "COPY ledger_update TO PROGRAM 'cat'",
        "SELECT pg_read_file('PG_VERSION')",
        'CREATE TEMPORARY TABLE bait (id text); CREATE TRIGGER forged AFTER INSERT ON bait FOR EACH ROW EXECUTE FUNCTION audit_change($$id$$, $$id$$)',
      ];
      const found: string[] = [];
      for (const statement of statements) {
        if ((await attempt(client, statement)) !== FORBIDDEN) found.push(statement);
      }
      return found;
    });
    expect(passed).toEqual([]);
  });
});

test('Z28: nobody but the owner changes or removes what was received, booked, numbered or audited', async () => {
  const history = [
    'ledger_update',
    'journal_entry',
    'posting',
    'event',
    'audit_outbox',
    'audit_entry',
    'audit_chain',
    'signed_hash',
    'policy_verdict',
    'policy_judgement',
    'withdrawal_approval',
    'token_change',
    'post_transfer',
    'migration_hash',
  ];
  for (const kind of ROLE_KINDS) {
    for (const table of history) {
      expect([kind, table, rights.get(kind)?.get(table)?.has('UPDATE')]).toEqual([kind, table, false]);
      expect([kind, table, rights.get(kind)?.get(table)?.has('DELETE')]).toEqual([kind, table, false]);
    }
    for (const table of ['audit_outbox', 'audit_entry', 'audit_chain', 'customer_balance']) {
      expect([...(rights.get(kind)?.get(table) ?? [])]).toEqual(['SELECT']);
    }
  }
});

test('Z28: a table of the caller’s that is named like one of ours is not taken for it by a function with its owner’s rights', async () => {
  const { rows } = await as('WORKER', async (client) => {
    await client.query('BEGIN');
    await client.query('CREATE TEMPORARY TABLE audit_outbox (LIKE public.audit_outbox)');
    await client.query(
      "INSERT INTO pg_temp.audit_outbox (seq, at, principal, action, subject_type, subject) VALUES (1, 1, 'forger', 'x', 'x', 'x')",
    );
    await client.query('SELECT chain_audit(10)');
    const found = await client.query("SELECT FROM public.audit_entry WHERE principal = 'forger'");
    await client.query('ROLLBACK');
    return found;
  });
  expect(rows).toEqual([]);
});

test('Z27: the doctor tells a role that has more than it needs from one that lacks something, and from one that is right', async () => {
  const outcome = async (connectionString: string, role: 'api' | 'worker' | 'all') => {
    const { db, close } = createDatabase({
      connectionString,
      applicationName: 'sluice-test',
      poolSizeMax: 1,
      logger: database.logger,
    });
    const [finding] = await checkRights(db, role);
    await close();
    return finding;
  };

  expect(await outcome(roles.connectionString('API'), 'api')).toMatchObject({ outcome: 'OK' });
  expect(await outcome(roles.connectionString('WORKER'), 'worker')).toMatchObject({ outcome: 'OK' });
  expect(await outcome(roles.connectionString('ALL'), 'all')).toMatchObject({ outcome: 'OK' });
  expect(await outcome(roles.connectionString('READ'), 'api')).toMatchObject({ outcome: 'OK' });
  expect(await outcome(roles.connectionString('ALL'), 'api')).toMatchObject({ outcome: 'WARN' });
  expect(await outcome(roles.connectionString('API'), 'worker')).toMatchObject({ outcome: 'FAIL' });
  expect(await outcome(database.connectionString, 'all')).toMatchObject({
    outcome: 'WARN',
    found: expect.stringMatching(/owns the tables/),
  });
});

test('grants are made anew without harm, taken away with the role, and refused to who has everything or is not there', async () => {
  const name = roles.roles.find(({ kind }) => kind === 'AUDITOR')?.name ?? '';
  const strong = `${name}_strong`;
  await onServer(`CREATE ROLE "${strong}" SUPERUSER`);
  try {
    await grantRights(database.db);
    await grantRights(database.db);
    await expect(grantRights(database.db, [{ name: strong, kind: 'API' }])).rejects.toMatchObject({
      code: 'DATABASE_ROLE_TOO_STRONG',
    });
    await expect(grantRights(database.db, [{ name: `${name}_none`, kind: 'API' }])).rejects.toMatchObject({
      code: 'DATABASE_ROLE_UNKNOWN',
    });
  } finally {
    await onServer(`DROP ROLE "${strong}"`);
  }

  expect(await as('AUDITOR', async (client) => attempt(client, 'SELECT FROM audit_entry'))).toBeNull();
  expect(await forgetRole(database.db, name)).toBe(true);
  expect(await as('AUDITOR', async (client) => attempt(client, 'SELECT FROM audit_entry'))).toBe(FORBIDDEN);
  expect(await forgetRole(database.db, name)).toBe(false);
});

test('a migration that found a role gone gives the others their rights all the same, and one that ended before it granted is made good', async () => {
  const { connectionString, db, logger } = database;
  const api = roles.roles.find(({ kind }) => kind === 'API')?.name ?? '';
  await db
    .insertInto('database_role')
    .values({ name: `${api}_gone`, kind: 'READ' })
    .execute();
  try {
    await sql`REVOKE ALL ON withdrawal FROM ${sql.id(api)}`.execute(db);
    expect(await migrate({ connectionString, logger })).toEqual([]);
    expect(await as('API', async (client) => attempt(client, 'SELECT FROM withdrawal'))).toBeNull();
    await expect(grantRights(db)).rejects.toMatchObject({ code: 'DATABASE_ROLE_UNKNOWN' });
  } finally {
    await forgetRole(db, `${api}_gone`);
  }
});

test('C7: a role that is shown no sessions but its own counts the connections of all, and says what it cannot see', async () => {
  const others = await Promise.all(
    Array.from({ length: 5 }, async () => {
      const client = new pg.Client({ connectionString: database.connectionString });
      await client.connect();
      return client;
    }),
  );
  const { db, close } = createDatabase({
    connectionString: roles.connectionString('API'),
    applicationName: 'sluice-test',
    poolSizeMax: 1,
    logger: database.logger,
  });
  try {
    const checks = await readDatabaseHealth(db);
    const { rows } = await sql<{ max: number }>`SELECT current_setting('max_connections')::int AS max`.execute(db);
    const used = ((checks.find(({ name }) => name === 'connections')?.value ?? 0) / 100) * (rows[0]?.max ?? 0);
    expect(Math.round(used)).toBeGreaterThanOrEqual(6);
    expect(checks.find(({ name }) => name === 'oldest-transaction')?.where).toMatch(/\d sessions of other roles/);
    const findings = await checkDatabase(db, { clock: systemClock });
    expect(findings.find(({ check }) => check === 'database.old_transaction')?.found).toMatch(
      /not looked for in \d+ sessions/,
    );
  } finally {
    await close();
    for (const client of others) await client.end();
  }
});

test('a worker decides for a network that has not decided whether deposits are screened, and only the owner changes that', async () => {
  const { db } = database;
  const switched = async (kind: RoleKind | null) => {
    const opened = createDatabase({
      connectionString: kind === null ? database.connectionString : roles.connectionString(kind),
      applicationName: 'sluice-test',
      poolSizeMax: 1,
      logger: database.logger,
    });
    const wanted = { network: 'screened', to: 'off', by: 'mallory', why: 'because', nowMicros: 2n } as const;
    const first = { network: 'screened', isWanted: true, nowMicros: 1n };
    try {
      if (kind === 'WORKER') await agreeOnScreening(opened.db, first);
      return await switchScreening(opened.db, wanted).catch(({ cause }) => cause?.code ?? null);
    } finally {
      await opened.close();
    }
  };

  await db.insertInto('network').values({ name: 'screened' }).execute();
  for (const kind of ROLE_KINDS.filter((kind) => kind !== 'WORKER')) expect(await switched(kind), kind).toBe(FORBIDDEN);
  expect(await readDepositScreening(db, 'screened')).toMatchObject({ decided: null });
  expect(await switched('WORKER')).toBe(FORBIDDEN);
  expect(await readDepositScreening(db, 'screened')).toMatchObject({ isOn: true, decided: { by: 'sluice:start' } });
  expect(await switched(null)).toBe('on');
});

test('Z27: a process that only reads does not ask the server again and again for what it may not have', async () => {
  const told: unknown[] = [];
  let woken = 0;
  const notifications = createNotifications({
    ...{ clock: systemClock, random: systemRandom, applicationName: 'sluice-test-listen' },
    connectionString: roles.connectionString('READ'),
    logger: { ...database.logger, info: (_message, facts) => told.push(facts) },
  });
  notifications.listenBy?.(NEWS_LISTENER, () => told.push('heard'));
  notifications.listen(LOG_CHANNEL, () => woken++);
  await eventually(() => expect(woken).toBe(1));

  expect(told).toEqual([{ listener: NEWS_LISTENER, why: expect.stringMatching(/^Our role may not/) }]);
  await notifications.close();
});
