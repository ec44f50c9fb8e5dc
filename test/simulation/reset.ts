/** An empty database for the next schedule, without the cost of a new one. */
import type pg from 'pg';

/** Emptying by TRUNCATE makes new files for every table and index, and every session plans all of its statements anew: half a second and more. By DELETE it takes a millisecond, but leaves dead rows behind. */
const SCHEDULES_PER_TRUNCATE = 60;

/** Temporary tables and new files leave dead rows in the system's own tables, which nobody else clears away: after thousands of schedules looking things up in them took most of the time. */
const SCHEDULES_PER_VACUUM = 200;

/** @returns the names, quoted, of all tables that a schedule writes. */
export async function ownTables(client: pg.Client): Promise<readonly string[]> {
  const { rows } = await client.query<{ name: string }>(
    `SELECT tablename AS name FROM pg_tables
     WHERE schemaname = 'public' AND tablename NOT IN ('migration_hash', 'news_channel') AND tablename NOT LIKE 'kysely%' ORDER BY 1`,
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
  // For good, since every change of it makes the session forget its plans. Past triggers and foreign keys.
  if (canDelete) await client.query('SET session_replication_role = replica');
  let schedules = 0;
  return async () => {
    if (canDelete && schedules % SCHEDULES_PER_TRUNCATE !== 0)
      await client.query({ name: 'empty', text: emptying(names) });
    else await client.query(`TRUNCATE ${names.join(', ')} RESTART IDENTITY CASCADE`);
    schedules += 1;
    if (canDelete && schedules % SCHEDULES_PER_VACUUM === 0) await client.query(vacuum);
    await client.query({ name: 'begin', text: AS_MIGRATED });
  };
}

/** One statement, which is planned once. */
function emptying(names: readonly string[]): string {
  return `WITH ${names.map((name, index) => `emptied_${index} AS (DELETE FROM ${name})`).join(', ')}
    SELECT setval(format('%I.%I', schemaname, sequencename)::regclass, start_value, false) FROM pg_sequences WHERE schemaname = 'public'`;
}

/** As migrations leave it. */
const AS_MIGRATED = `
  WITH log AS (INSERT INTO event_log (epoch, last_position) VALUES ('0123456789abcdef', 0)),
    chain AS (INSERT INTO audit_chain (position, hash) VALUES (0, decode(repeat('00', 32), 'hex')))
  INSERT INTO api_key_version (version) VALUES ('simulated')`;
