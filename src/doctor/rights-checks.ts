/** Whether the role that a process connects with may do what it has to, and no more. Reads catalogues, changes nothing. */
import { sql } from 'kysely';
import type { Database } from '../db/connection.ts';
import { listDatabaseRoles, type RoleKind, readRights } from '../db/rights.ts';
import { readRightsOf } from '../db/rights-held.ts';
import { type Finding, fail, looked, ok, warn } from './finding.ts';

const NAMED = 3; // In a sentence; `sluice roles` has all of them.
const KINDS: Readonly<Record<'api' | 'worker' | 'all', RoleKind>> = { api: 'API', worker: 'WORKER', all: 'ALL' };

/** @param db migrated. */
export async function checkRights(db: Database, role: 'api' | 'worker' | 'all'): Promise<readonly Finding[]> {
  const todo = 'Is the catalogue readable for our role?';
  return await looked('database.rights', todo, async () => {
    const { rows } = await sql<{ name: string }>`SELECT current_user AS name`.execute(db);
    const name = rows[0]?.name ?? '';
    const noted = (await listDatabaseRoles(db)).find((each) => each.name === name);
    const kind = role === 'api' && noted?.kind === 'READ' ? 'READ' : KINDS[role];
    const { missing, extra, isOwner } = await readRightsOf(db, null, (await readRights()).get(kind) ?? new Map());
    if (missing.length > 0) {
      const asOwner = `As the owner of the tables: \`sluice roles --${kind.toLowerCase()} ${name}\`.`;
      return [fail('database.rights', `${name} lacks ${inWords(missing)}`, asOwner)];
    }
    const split = `Connect as a role that \`sluice roles --${kind.toLowerCase()}\` gave its rights, and keep the owner for \`sluice migrate\` (docs/guides/running.md).`;
    if (isOwner) {
      return [
        warn(
          'database.rights',
          `${name} owns the tables: whoever breaks in can rewrite what was booked and audited`,
          split,
        ),
      ];
    }
    if (extra.length > 0) {
      return [warn('database.rights', `${name} has more than SLUICE_ROLE=${role} needs: ${inWords(extra)}`, split)];
    }
    return [ok('database.rights', `${name} may do what SLUICE_ROLE=${role} needs, and no more`)];
  });
}

function inWords(rights: readonly string[]): string {
  const more = rights.length - NAMED;
  return `${rights.slice(0, NAMED).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}
