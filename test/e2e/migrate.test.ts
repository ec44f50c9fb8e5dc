/** Bringing a database to this version from the command line, and refusing to serve from one that is behind. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { EXIT_CODES } from '../../src/cli/exit-code.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { startSluice } from './sluice-process.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase({ isMigrated: false });
});

afterAll(async () => {
  await database.close();
});

async function run(...args: readonly string[]) {
  const sluice = startSluice(args, {
    DATABASE_URL: database.connectionString,
    SLUICE_PORT: '0',
    SLUICE_LEDGER_URL: 'http://127.0.0.1:1',
    SLUICE_NETWORK: 'n',
    SLUICE_TREASURY_PARTIES: 'a::12',
    SLUICE_INSTRUMENTS: 'CC=b::12/Amulet',
  });
  const { code } = await sluice.exited;
  return { code, stdout: sluice.stdout(), stderr: sluice.stderr() };
}

test('an empty database is told pending, refused to serve from, migrated, and then there is nothing to do', async () => {
  const before = await run('migrate', '--status');
  expect(before).toMatchObject({
    code: EXIT_CODES.no.code,
    stdout: expect.stringMatching(/^pending {2}0001_first_light$/m),
  });

  const refused = await run('serve');
  expect(refused.code).toBe(EXIT_CODES.refused.code);
  expect(refused.stderr).toMatch(
    /^MIGRATION_PENDING: The database lacks 0001_first_light.*run the migrate command first/m,
  );

  const migrated = await run('migrate');
  expect(migrated).toMatchObject({
    code: EXIT_CODES.done.code,
    stdout: expect.stringMatching(/^applied {2}0001_first_light$/m),
  });

  expect(await run('migrate')).toMatchObject({ code: EXIT_CODES.done.code, stdout: 'Nothing to do.\n' });
  const after = await run('migrate', '--status');
  expect(after.code).toBe(EXIT_CODES.done.code);
  expect(after.stdout).not.toMatch(/pending/);
});
