/** Registering what is served while another process is in the middle of writing: nobody waits for anybody. */
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createDatabase } from '../../src/db/connection.ts';
import { type CatalogConfig, registerCatalog } from '../../src/ingestion/catalog.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

const CATALOG: CatalogConfig = {
  network: 'net',
  treasuries: [{ name: 'main', party: 'treasury::1220aa' }],
  instruments: [
    { admin: 'DSO::1220bb', id: 'Amulet', name: 'CC' },
    { admin: 'registrar::1220cc', id: 'USDX', name: 'USD' },
  ],
};

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
  await registerCatalog(database.db, CATALOG);
});

afterAll(async () => {
  await database.close();
});

async function rows(): Promise<unknown> {
  const instruments = await database.db
    .selectFrom('instrument')
    .select(['instrument_id', 'name', 'is_accepted'])
    .orderBy('instrument_id')
    .execute();
  const treasuries = await database.db.selectFrom('treasury_party').select(['party', 'name']).execute();
  return { instruments, treasuries };
}

test('a start that changes nothing neither waits for a running batch nor holds it up', async () => {
  const impatient = createDatabase({
    connectionString: database.connectionString,
    applicationName: 'test-catalog',
    poolSizeMax: 1,
    logger: database.logger,
    lockTimeoutMs: 200,
  });
  try {
    const [known] = await registerCatalog(database.db, CATALOG);
    await database.db.transaction().execute(async (batch) => {
      // What a batch holds by its foreign keys.
      await sql`SELECT FROM treasury_party WHERE id = ${known?.id ?? 0} FOR KEY SHARE`.execute(batch);
      await sql`SELECT FROM instrument FOR KEY SHARE`.execute(batch);

      expect(await registerCatalog(impatient.db, CATALOG)).toEqual([known]);
    });
  } finally {
    await impatient.close();
  }
});

test('names and acceptance follow the configuration', async () => {
  const [main] = CATALOG.treasuries;
  const [amulet] = CATALOG.instruments;
  if (main === undefined || amulet === undefined) throw new Error('Nothing configured.');

  await registerCatalog(database.db, {
    ...CATALOG,
    treasuries: [{ ...main, name: 'renamed' }],
    instruments: [{ ...amulet, name: 'Coin' }],
  });
  const changed = await rows();
  await registerCatalog(database.db, CATALOG);

  expect(changed).toEqual({
    instruments: [
      { instrument_id: 'Amulet', name: 'Coin', is_accepted: true },
      { instrument_id: 'USDX', name: 'USD', is_accepted: false },
    ],
    treasuries: [{ party: main.party, name: 'renamed' }],
  });
  expect(await rows()).toEqual({
    instruments: [
      { instrument_id: 'Amulet', name: 'CC', is_accepted: true },
      { instrument_id: 'USDX', name: 'USD', is_accepted: true },
    ],
    treasuries: [{ party: main.party, name: 'main' }],
  });
});
