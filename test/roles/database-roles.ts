/** Roles of the server that a test makes for its database, with the rights of their kind. */
import pg from 'pg';
import { inject } from 'vitest';
import { type DatabaseRole, grantRights, ROLE_KINDS, type RoleKind } from '../../src/db/rights.ts';
import { systemRandom } from '../../src/env/system.ts';
import type { TestDatabase } from '../support/database.ts';

export type DatabaseRoles = {
  readonly roles: readonly DatabaseRole[];
  /** Of the database, as that role. */
  connectionString(kind: RoleKind): string;
  /** After the database is gone: until then they have rights in it. */
  drop(): Promise<void>;
};

const PASSWORD = 'a password of these tests';

export async function createDatabaseRoles(database: TestDatabase, suffix: string): Promise<DatabaseRoles> {
  const prefix = `sluice_${systemRandom.uuid().slice(0, 8)}_${suffix}`;
  const roles = ROLE_KINDS.map((kind) => ({ kind, name: `${prefix}_${kind.toLowerCase()}` }));
  for (const { name } of roles) await onServer(`CREATE ROLE "${name}" LOGIN PASSWORD '${PASSWORD}'`);
  await grantRights(database.db, roles);
  return {
    roles,
    connectionString: (kind) => {
      const url = new URL(database.connectionString);
      url.username = roles.find((role) => role.kind === kind)?.name ?? '';
      url.password = encodeURIComponent(PASSWORD);
      return url.href;
    },
    drop: async () => {
      for (const { name } of roles) await onServer(`DROP ROLE "${name}"`);
    },
  };
}

export async function onServer(statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: inject('databaseServerUrl') });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}
