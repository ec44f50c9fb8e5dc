import pg from 'pg';
import { expect, test } from 'vitest';
import { createTestDatabase } from './database.ts';

test('each test database is migrated, empty and its own', async () => {
  const [one, other] = await Promise.all([createTestDatabase(), createTestDatabase()]);

  await one.db.insertInto('network').values({ name: 'simnet' }).execute();

  expect(await one.db.selectFrom('network').select('name').execute()).toEqual([{ name: 'simnet' }]);
  expect(await other.db.selectFrom('network').select('name').execute()).toEqual([]);
  await one.close();
  await other.close();
});

test('closing names whoever is still connected, and drops the database all the same', async () => {
  const database = await createTestDatabase();
  const leak = new pg.Client({ connectionString: database.connectionString, application_name: 'forgetful' });
  leak.on('error', () => undefined); // Dropping the database cuts it off.
  await leak.connect();

  await expect(database.close()).rejects.toThrow(/not closed:\n {2}forgetful, idle/);

  await expect(new pg.Client(database.connectionString).connect()).rejects.toMatchObject({ code: '3D000' });
});
