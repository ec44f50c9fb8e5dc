/**
 * What each kind of process may do in the database, as migrations/rights.csv has it: one line a table, with the verbs of each kind (S, I, U, D; X: a function may be called). What is not there is denied, TRUNCATE to
 * everybody. Nobody but the owner changes or removes what was received, booked, numbered or audited.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { sql } from 'kysely';
import { PermanentError } from '../env/errors.ts';
import type { Database, Transaction } from './connection.ts';
import { MIGRATIONS_DIRECTORY } from './migration-files.ts';

/** WORKER and API: `SLUICE_ROLE`; ALL: both in one process; READ: an API that answers and changes nothing; AUDITOR: a person or tool that looks. */
export const ROLE_KINDS = ['WORKER', 'API', 'ALL', 'READ', 'AUDITOR'] as const;
export type RoleKind = (typeof ROLE_KINDS)[number];

export type Verb = 'SELECT' | 'INSERT' | 'UPDATE' | 'DELETE' | 'EXECUTE';

/** Of one kind: table, or function with `()`, to its verbs. Has every one of the database, also those with none. */
export type Rights = ReadonlyMap<string, ReadonlySet<Verb>>;

const VERBS: Readonly<Record<string, Verb>> = {
  S: 'SELECT',
  I: 'INSERT',
  U: 'UPDATE',
  D: 'DELETE',
  X: 'EXECUTE',
};
const COLUMNS = ['WORKER', 'API', 'READ', 'AUDITOR'] as const;

/** @throws PermanentError MIGRATION_FILES_INVALID where the file is not what it should be. */
export async function readRights(): Promise<ReadonlyMap<RoleKind, Rights>> {
  const [head, ...lines] = (await readFile(join(MIGRATIONS_DIRECTORY, 'rights.csv'), 'utf8')).trim().split('\n');
  const faults = head === 'table,worker,api,read,auditor' ? [] : [`its first line is ${head}`];
  const rights = new Map(COLUMNS.map((kind) => [kind, new Map<string, ReadonlySet<Verb>>()] as const));
  for (const line of lines) {
    const [name = '', ...cells] = line.split(',');
    if (
      !/^[a-z_]+(?:\(\))?$/.test(name) ||
      cells.length !== COLUMNS.length ||
      !cells.every((cell) => /^[SIUDX]*$/.test(cell))
    )
      faults.push(`line "${line}"`);
    COLUMNS.forEach((kind, index) => {
      rights.get(kind)?.set(name, new Set([...(cells[index] ?? '')].flatMap((letter) => VERBS[letter] ?? [])));
    });
  }
  if (faults.length > 0) throw new PermanentError('MIGRATION_FILES_INVALID', `rights.csv: ${faults.join('; ')}.`, {});
  const of = (kind: (typeof COLUMNS)[number]): Rights => rights.get(kind) ?? new Map();
  const all = new Map(
    [...of('WORKER')].map(([name, verbs]) => [name, new Set([...verbs, ...(of('API').get(name) ?? [])])]),
  );
  return new Map<RoleKind, Rights>([...rights, ['ALL', all]]);
}

export type DatabaseRole = { readonly name: string; readonly kind: RoleKind };

/** Statements that give `role` exactly what its kind has in `schema`, whatever it had there. Harmless when repeated. */
export function grantsOf(role: DatabaseRole, rights: Rights, schema: string): readonly string[] {
  const to = quoted(role.name);
  const on = quoted(schema);
  const grants = [...rights].flatMap(([name, verbs]) => {
    if (verbs.size === 0) return [];
    // No function of ours has a namesake with other arguments.
    const what = name.endsWith('()') ? `FUNCTION ${on}.${quoted(name.slice(0, -2))}` : `TABLE ${on}.${quoted(name)}`;
    return [`GRANT ${[...verbs].join(', ')} ON ${what} TO ${to}`];
  });
  return [
    `REVOKE ALL ON ALL TABLES IN SCHEMA ${on} FROM ${to}`,
    `REVOKE ALL ON ALL SEQUENCES IN SCHEMA ${on} FROM ${to}`,
    `REVOKE ALL ON ALL FUNCTIONS IN SCHEMA ${on} FROM ${to}`,
    `GRANT USAGE ON SCHEMA ${on} TO ${to}`,
    ...grants,
  ];
}

export async function listDatabaseRoles(db: Database | Transaction): Promise<readonly DatabaseRole[]> {
  return await db.selectFrom('database_role').selectAll().orderBy('name').execute();
}

/**
 * Gives every role that is noted its rights, those in `added` after noting them. One transaction: no process ever finds itself without.
 * @param onUnfit told of a role that was noted before and is not fit any more; the others get theirs. Default: throw.
 * @throws PermanentError DATABASE_ROLE_UNKNOWN, DATABASE_ROLE_TOO_STRONG: nothing is changed. DB_STATEMENT where we do not own the tables.
 */
export async function grantRights(
  db: Database,
  added: readonly DatabaseRole[] = [],
  onUnfit: (error: PermanentError) => void = (error) => {
    throw error;
  },
): Promise<readonly DatabaseRole[]> {
  const rights = await readRights();
  return await db.transaction().execute(async (tx) => {
    // One at a time: two at once would update the same rows of the catalogue.
    await sql`LOCK TABLE database_role IN SHARE ROW EXCLUSIVE MODE`.execute(tx);
    for (const role of added) await note(tx, role);
    const { rows } = await sql<{ schema: string }>`SELECT current_schema() AS schema`.execute(tx);
    const schema = rows[0]?.schema ?? 'public';
    const roles = await listDatabaseRoles(tx);
    for (const role of roles) {
      const unfit = await unfitnessOf(tx, role);
      if (unfit !== null) {
        if (added.some(({ name }) => name === role.name)) throw unfit;
        onUnfit(unfit);
        continue;
      }
      for (const statement of grantsOf(role, rights.get(role.kind) ?? new Map(), schema)) {
        await sql.raw(statement).execute(tx);
      }
    }
    return roles;
  });
}

/** Takes all that it has from a role and forgets it. @returns false where it was not noted. */
export async function forgetRole(db: Database, name: string): Promise<boolean> {
  return await db.transaction().execute(async (tx) => {
    const { numDeletedRows } = await tx.deleteFrom('database_role').where('name', '=', name).executeTakeFirst();
    if (numDeletedRows === 0n) return false;
    const { rows } = await sql<{ schema: string; exists: boolean }>`
      SELECT current_schema() AS schema, EXISTS (SELECT FROM pg_roles WHERE rolname = ${name}) AS exists`.execute(tx);
    if (rows[0]?.exists === true) {
      for (const statement of grantsOf({ name, kind: 'READ' }, new Map(), rows[0].schema)) {
        await sql.raw(statement.replace(/^GRANT (.*) TO /, 'REVOKE $1 FROM ')).execute(tx);
      }
    }
    return true;
  });
}

async function note(tx: Transaction, { name, kind }: DatabaseRole): Promise<void> {
  await tx
    .insertInto('database_role')
    .values({ name, kind })
    .onConflict((conflict) => conflict.column('name').doUpdateSet({ kind }))
    .execute();
}

/** Rights that are granted mean nothing for a role that has all of them anyway. @returns null where there is nothing against it. */
async function unfitnessOf(tx: Transaction, { name }: DatabaseRole): Promise<PermanentError | null> {
  const { rows } = await sql<{ isStrong: boolean }>`
    SELECT r.rolsuper OR pg_has_role(r.oid, c.relowner, 'MEMBER') AS "isStrong"
    FROM pg_roles r, pg_class c WHERE r.rolname = ${name} AND c.oid = 'ledger_update'::regclass`.execute(tx);
  const [found] = rows;
  if (found === undefined) {
    return new PermanentError(
      'DATABASE_ROLE_UNKNOWN',
      `The server has no role ${name}. Whoever may make roles makes it first: CREATE ROLE ${quoted(name)} LOGIN PASSWORD '…' NOSUPERUSER NOCREATEDB NOCREATEROLE.`,
      { name },
    );
  }
  if (!found.isStrong) return null;
  return new PermanentError(
    'DATABASE_ROLE_TOO_STRONG',
    `${name} is a superuser, owns the tables or belongs to who does: what is granted to it limits nothing.`,
    { name },
  );
}

/** @see PostgreSQL documentation, "Identifiers and Key Words". */
function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
