/**
 * Copies of all tables as of a committed moment, and putting them back: what a restored backup is to those who use the database. PostgreSQL's own ways take seconds; this takes milliseconds, and lets a
 * schedule go back to any of its commits.
 */
import type pg from 'pg';
import { ownTables } from './reset.ts';

export type Backups = {
  /** Keeps what is committed now, instead of what was kept before. */
  make(): Promise<void>;
  /** Makes it the present. Nobody may be in a transaction. */
  putBack(): Promise<void>;
};

const SCHEMA = 'simulation_backup';
/** Emptied by DELETE, as it is cheaper; dead rows pile up until the next TRUNCATE. */
const COPIES_PER_TRUNCATE = 20;

/** @returns null where the user may not write past foreign keys. */
export async function prepareBackups(client: pg.Client): Promise<Backups | null> {
  const { rows: roles } = await client.query<{ isSuper: boolean }>(
    'SELECT rolsuper AS "isSuper" FROM pg_roles WHERE rolname = current_user',
  );
  if (roles[0]?.isSuper !== true) return null;
  const tables = await ownTables(client);
  await client.query(`DROP SCHEMA IF EXISTS ${SCHEMA} CASCADE; CREATE SCHEMA ${SCHEMA}`);
  const { rows: columns } = await client.query<{ name: string; list: string }>(
    `SELECT c.relname AS name, string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) AS list
     FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') GROUP BY 1`,
  );
  const listOf = new Map(columns.map(({ name, list }) => [name, list]));
  const columnsOf = (name: string): string => listOf.get(name.replaceAll('"', '')) ?? '';
  for (const name of tables)
    await client.query(
      `CREATE UNLOGGED TABLE ${SCHEMA}.${name} AS SELECT ${columnsOf(name)} FROM public.${name} WITH NO DATA; ALTER TABLE ${SCHEMA}.${name} SET (autovacuum_enabled = off)`,
    );
  const copy = (name: string, from: string, to: string): string =>
    `INSERT INTO ${to}.${name} (${columnsOf(name)}) OVERRIDING SYSTEM VALUE SELECT ${columnsOf(name)} FROM ${from}.${name}`;
  let sequences: readonly { readonly name: string; readonly value: string | null }[] = [];
  let copies = 0;
  return {
    make: async () => {
      copies += 1;
      const empty =
        copies % COPIES_PER_TRUNCATE === 0
          ? [`TRUNCATE ${tables.map((name) => `${SCHEMA}.${name}`).join(', ')}`]
          : tables.map((name) => `DELETE FROM ${SCHEMA}.${name}`);
      await client.query(
        [
          'BEGIN ISOLATION LEVEL REPEATABLE READ',
          ...empty,
          ...tables.map((name) => copy(name, 'public', SCHEMA)),
          'COMMIT',
        ].join('; '),
      );
      const { rows } = await client.query<{ name: string; value: string | null }>(
        `SELECT format('%I.%I', schemaname, sequencename) AS name, last_value::text AS value FROM pg_sequences WHERE schemaname = 'public' ORDER BY 1`,
      );
      sequences = rows;
    },
    putBack: async () => {
      await client.query(
        [
          'BEGIN; SET LOCAL session_replication_role = replica',
          ...tables.map((name) => `DELETE FROM public.${name}`),
          ...tables.map((name) => copy(name, SCHEMA, 'public')),
          ...sequences.map(({ name, value }) =>
            value === null ? `SELECT setval('${name}', 1, false)` : `SELECT setval('${name}', ${value}, true)`,
          ),
          'COMMIT',
        ].join('; '),
      );
    },
  };
}
