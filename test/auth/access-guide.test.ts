/** The guide's tables are what the code does: roles, their scopes, and what scopes mean. */
import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { CONFIG_KEYS } from '../../src/config/keys.ts';
import { conflictOf, SCOPE_MEANINGS, SCOPES } from '../../src/schema/principal.ts';
import { ROLE_MEANINGS, ROLE_SCOPES, ROLES } from '../../src/schema/role.ts';

const guide = await readFile(new URL('../../docs/guides/access.md', import.meta.url), 'utf8');
/** The rows of the table that begins so. */
function linesOf(heading: string): string[] {
  const lines = guide.slice(guide.indexOf(heading)).split('\n').slice(2);
  return lines.slice(0, lines.indexOf(''));
}

test('roles and scopes stand in the guide as they are', () => {
  expect(linesOf('| role |')).toEqual(
    ROLES.map(
      (role) =>
        `| \`${role}\` | ${ROLE_SCOPES[role].map((scope) => `\`${scope}\``).join(' ')} | ${ROLE_MEANINGS[role]} |`,
    ),
  );
  expect(linesOf('| scope |')).toEqual(SCOPES.map((scope) => `| \`${scope}\` | ${SCOPE_MEANINGS[scope]} |`));
});

test('every variable that the guide names is one', () => {
  const known = new Set(Object.values(CONFIG_KEYS).map(({ variable }) => variable));
  const named = [...guide.matchAll(/\bSLUICE_[A-Z_]+\b/g)].map(([name]) => name);

  expect(named.filter((name) => !known.has(name))).toEqual([]);
  expect(named.length).toBeGreaterThan(10);
});

test('Z20: no role has both sides of an approval, nor anything else that excludes one another', () => {
  for (const role of ROLES) expect(conflictOf(ROLE_SCOPES[role]), role).toBeNull();
});
