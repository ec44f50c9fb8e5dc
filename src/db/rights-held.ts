/** What a role of the database may do, against what it needs: for the doctor and for whoever grants. */
import { sql } from 'kysely';
import type { Database } from './connection.ts';
import type { Rights } from './rights.ts';

export type RightsHeld = {
  /** `INSERT on holding`; in order. */
  readonly missing: readonly string[];
  readonly extra: readonly string[];
  /** It may become the owner of the tables, and do all with them. */
  readonly isOwner: boolean;
};

/** @param role a name; null: whoever is connected. By every way it has a right: granted, inherited, as owner, to everybody. */
export async function readRightsOf(db: Database, role: string | null, rights: Rights): Promise<RightsHeld> {
  const { rows } = await sql<{ name: string; verb: string; isHeld: boolean }>`
    WITH who AS (SELECT oid FROM pg_roles WHERE rolname = coalesce(${role}, current_user))
    SELECT c.relname AS name, verb, has_table_privilege(who.oid, c.oid, verb) AS "isHeld"
    FROM who, pg_class c, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER']) AS verb
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
    UNION ALL
    SELECT p.proname || '()', 'EXECUTE', has_function_privilege(who.oid, p.oid, 'EXECUTE')
    FROM who, pg_proc p WHERE p.pronamespace = current_schema()::regnamespace AND (p.prosecdef OR p.proname || '()' = ANY (${[...rights.keys()]}::text[]))
    UNION ALL
    SELECT current_schema(), 'CREATE', has_schema_privilege(who.oid, current_schema(), 'CREATE') FROM who
    ORDER BY 1, 2`.execute(db);
  const owner = await sql<{ isOwner: boolean }>`
    SELECT pg_has_role(r.oid, c.relowner, 'MEMBER') AS "isOwner" FROM pg_roles r, pg_class c
    WHERE r.rolname = coalesce(${role}, current_user) AND c.oid = 'ledger_update'::regclass`.execute(db);
  const needs = (name: string, verb: string): boolean => [...(rights.get(name) ?? [])].some((each) => each === verb);
  const named = (wanted: typeof rows): readonly string[] => wanted.map(({ name, verb }) => `${verb} on ${name}`);
  return {
    missing: named(rows.filter(({ name, verb, isHeld }) => !isHeld && needs(name, verb))),
    extra: named(rows.filter(({ name, verb, isHeld }) => isHeld && !needs(name, verb))),
    isOwner: owner.rows[0]?.isOwner === true,
  };
}
