/** Goal: whoever runs an installation makes, sees and ends keys from a shell. Method: the command, on a real database. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createApiKeys } from '../../src/auth/api-keys.ts';
import type { CommandContext } from '../../src/cli/command-context.ts';
import { keyCommand } from '../../src/cli/key.ts';
import { createTerminal } from '../../src/cli/terminal.ts';
import { createSystemLogger, systemClock, systemRandom } from '../../src/env/system.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
});

afterAll(async () => {
  await database.close();
});

async function run(...args: readonly string[]): Promise<string> {
  let text = '';
  const write = (part: string): boolean => {
    text += part;
    return true;
  };
  const context: CommandContext = {
    environment: { DATABASE_URL: database.connectionString, SLUICE_NETWORK: 'testnet' },
    terminal: createTerminal({ write }, { isPlain: true }),
    createLogger: () => createSystemLogger('silent'),
    clock: systemClock,
    random: systemRandom,
    end: () => undefined,
  };
  await keyCommand(context).parseAsync([...args], { from: 'user' });
  return text;
}

async function prove(key: string) {
  const keys = createApiKeys({
    db: database.db,
    notifications: null,
    clock: systemClock,
    logger: createSystemLogger('silent'),
    signal: new AbortController().signal,
  });
  await keys.refresh();
  return (await keys.prove(key))?.principal ?? null;
}

test('a key is made, listed without itself, and revoked', async () => {
  const made = await run('create', 'exchange', '--role', 'service', '--by', 'ann', '--days', '30');
  const [, id = '', key = ''] = /^(key_\S+) for exchange.*\n {2}(sluice_\S{43})\n/.exec(made) ?? [];
  expect(await prove(key)).toMatchObject({ name: 'exchange', client: 'exchange', reach: { kind: 'EVERYTHING' } });

  const listed = await run('list');
  expect(listed).toMatch(new RegExp(`^${id}  exchange  .*valid until .*made .* by ann  never used`));
  expect(listed).not.toContain(key);

  await run('revoke', id, '--by', 'bob', '--why', 'left');
  expect(await prove(key)).toBeNull();
  expect(await run('list', 'exchange')).toMatch(/REVOKED .* by bob/);
});

test('a customer’s key names his account and reaches nothing else', async () => {
  const made = await run('create', 'page', '--role', 'customer', '--account', 'carol', '--by', 'ann');
  const [, key = ''] = /\n {2}(sluice_\S{43})\n/.exec(made) ?? [];

  expect(await prove(key)).toMatchObject({
    scopes: new Set(['own']),
    reach: { kind: 'ACCOUNT', network: 'testnet', owner: 'carol' },
  });
});

test.each([
  ['a customer’s without account', ['create', 'x', '--role', 'customer', '--by', 'a'], 'API_KEY_INVALID'],
  [
    'an account of who is no customer',
    ['create', 'x', '--role', 'service', '--account', 'c', '--by', 'a'],
    'API_KEY_INVALID',
  ],
  ['both sides of an approval', ['create', 'x', '--scopes', 'withdrawals+approve', '--by', 'a'], 'API_KEY_INVALID'],
  ['neither role nor scopes', ['create', 'x', '--by', 'a'], 'API_KEY_INVALID'],
  ['a key that is not there', ['revoke', 'key_nothing00', '--by', 'a', '--why', 'b'], 'API_KEY_UNKNOWN'],
] as const)('refuses %s', async (_name, args, code) => {
  await expect(run(...args)).rejects.toMatchObject({ code });
});
