/** Z10: who may say whose tokens are Canton Coin. Scans over real HTTP, of which some name a DSO of their own. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import type { ReadSource } from '../../src/config/read-source.ts';
import { adoptCantonCoin } from '../../src/directory/canton-coin.ts';
import { createSystemLogger, systemClock, systemRandom } from '../../src/env/system.ts';
import { readTokensOfNetwork } from '../../src/read/tokens.ts';
import { createRegistries } from '../../src/scan/registries.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

const NETWORK = 'testnet';
const DSO = `DSO::1220${'aa'.repeat(32)}`;
const EVIL = `EVIL::1220${'bb'.repeat(32)}`;

let database: TestDatabase;
const servers: Server[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
  await database.db.insertInto('network').values({ name: NETWORK }).execute();
});

afterAll(async () => {
  await database.close();
});

beforeEach(async () => {
  for (const table of ['token_change', 'token'] as const) await database.db.deleteFrom(table).execute();
});

afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

/** A Scan that names this party. @returns its URL. */
async function scanThatNames(party: string): Promise<string> {
  const server = createServer((_request, response) => {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ dso_party_id: party }));
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function adopt(source: ReadSource): Promise<string[]> {
  const env = { clock: systemClock, random: systemRandom, logger: createSystemLogger('silent') };
  const { scan } = createRegistries({
    ...env,
    sourceOf: () => null,
    scan: source,
    validator: null,
    isPrivateAllowed: true,
    callsPerSecondMax: 100,
  });
  await adoptCantonCoin({ ...env, db: database.db, network: NETWORK }, { scan, source });
  return (await readTokensOfNetwork(database.db, NETWORK)).map(({ instrument }) => instrument.admin);
}

test('Z10: a rotation, which is one Scan’s word, makes nothing Canton Coin', async () => {
  expect(await adopt({ strategy: 'rotate', urls: [await scanThatNames(EVIL)] })).toEqual([]);
});

test('Z10: of a quorum one liar is outvoted, and two keep it from being said', async () => {
  const [honest, other, third, liar, second] = await Promise.all([DSO, DSO, DSO, EVIL, EVIL].map(scanThatNames));
  const urls = (...some: (string | undefined)[]) => some.map((url) => url ?? '');
  expect(await adopt({ strategy: 'quorum', urls: urls(honest, other, liar, second), faultsMax: 1 })).toEqual([]);
  expect(await adopt({ strategy: 'quorum', urls: urls(honest, other, third, liar), faultsMax: 1 })).toEqual([DSO]);
});
