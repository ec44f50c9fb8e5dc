/** An empty database for the next schedule, without the cost of a new one. */
import type pg from 'pg';

/** Emptying by TRUNCATE makes new files for every table and index (80 ms and more); by DELETE it takes 4 ms, but leaves dead rows behind. */
const SCHEDULES_PER_TRUNCATE = 20;

/** Temporary tables and new files leave dead rows in the system's own tables, which nobody else clears away: after thousands of schedules looking things up in them took most of the time. */
const SCHEDULES_PER_VACUUM = 200;

/** @returns the names, quoted, of all tables that a schedule writes. */
export async function ownTables(client: pg.Client): Promise<readonly string[]> {
  const { rows } = await client.query<{ name: string }>(
    `SELECT tablename AS name FROM pg_tables
     WHERE schemaname = 'public' AND tablename <> 'migration_hash' AND tablename NOT LIKE 'kysely%' ORDER BY 1`,
  );
  return rows.map(({ name }) => `"${name}"`);
}

/** @returns empties all tables and restarts their numbers. Nobody else may be at work. */
export async function prepareReset(client: pg.Client): Promise<() => Promise<void>> {
  const names = await ownTables(client);
  // Statistics that change in the middle of a run would change plans, and with them the order of rows that nobody ordered.
  for (const name of names) await client.query(`ALTER TABLE ${name} SET (autovacuum_enabled = off)`);
  // What refuses to be emptied has to be, here.
  const { rows: walls } = await client.query<{ wall: string; name: string }>(
    `SELECT quote_ident(tgname) AS wall, tgrelid::regclass::text AS name FROM pg_trigger WHERE NOT tgisinternal AND tgtype & 32 <> 0`,
  );
  for (const { wall, name } of walls) await client.query(`DROP TRIGGER ${wall} ON ${name}`);
  const { rows: roles } = await client.query<{ isSuper: boolean }>(
    'SELECT rolsuper AS "isSuper" FROM pg_roles WHERE rolname = current_user',
  );
  const canDelete = roles[0]?.isSuper === true; // Past the foreign keys, that is.
  // Not the tables of a schedule: what is counted there would change plans.
  const { rows: system } = await client.query<{ name: string }>(
    `SELECT oid::regclass::text AS name FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind = 'r' AND NOT relisshared`,
  );
  const vacuum = `VACUUM ${system.map(({ name }) => name).join(', ')}`;
  let schedules = 0;
  return async () => {
    if (canDelete && schedules % SCHEDULES_PER_TRUNCATE !== 0) {
      await client.query(
        [
          'BEGIN; SET LOCAL session_replication_role = replica',
          ...names.map((name) => `DELETE FROM ${name}`),
          `SELECT setval(format('%I.%I', schemaname, sequencename)::regclass, start_value, false) FROM pg_sequences WHERE schemaname = 'public'`,
          'COMMIT',
        ].join('; '),
      );
    } else {
      await client.query(`TRUNCATE ${names.join(', ')} RESTART IDENTITY CASCADE`);
    }
    schedules += 1;
    if (canDelete && schedules % SCHEDULES_PER_VACUUM === 0) await client.query(vacuum);
    // As migrations leave it.
    await client.query(`INSERT INTO event_log (epoch, last_position) VALUES ('0123456789abcdef', 0)`);
    await client.query(`INSERT INTO audit_chain (position, hash) VALUES (0, decode(repeat('00', 32), 'hex'))`);
    await client.query(`INSERT INTO api_key_version (version) VALUES ('simulated')`);
  };
}
