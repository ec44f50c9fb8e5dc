/** The rounds in which tokens are looked at. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createLeases } from '../../src/db/lease.ts';
import { adoptConfiguredTokens } from '../../src/directory/configured-tokens.ts';
import type { OpenRegistry } from '../../src/directory/registry-access.ts';
import { createRegistryAccess } from '../../src/directory/registry-access.ts';
import { runTokenChecks } from '../../src/directory/token-checks.ts';
import { systemClock, systemRandom } from '../../src/env/system.ts';
import { registerCatalog } from '../../src/ingestion/catalog.ts';
import { readTokensOfNetwork } from '../../src/read/tokens.ts';
import { createRegistries } from '../../src/scan/registries.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { NETWORK, startTestNetwork, type TestNetwork } from '../support/network.ts';

let network: TestNetwork;
let database: TestDatabase;
beforeEach(async () => {
  network = await startTestNetwork('token-checks');
  database = await createTestDatabase();
  await registerCatalog(database.db, { ...network.catalog, instruments: [] });
});
afterEach(async () => {
  await network.stop();
  await database.close();
});

test('what cannot be added before a round keeps no token from being looked at', async () => {
  const { db, logger } = database;
  const env = { clock: systemClock, random: systemRandom, logger };
  const { admin, id } = network.network.instrument('usd');
  const url = network.registries.find((each) => each.admin === admin)?.url ?? '';
  await adoptConfiguredTokens(
    db,
    {
      network: NETWORK,
      instruments: [{ name: 'usd', admin, id }],
      registries: [{ admin, instrumentId: null, source: { strategy: 'rotate', urls: [url] } }],
    },
    env,
  );
  const openRegistry: OpenRegistry = createRegistryAccess((sourceOf) =>
    createRegistries({
      ...env,
      sourceOf,
      scan: null,
      validator: null,
      isPrivateAllowed: true,
      callsPerSecondMax: 1_000,
    }),
  );
  const ending = new AbortController();
  const running = runTokenChecks({
    ...env,
    db,
    openRegistry,
    call: null,
    treasuries: [],
    network: NETWORK,
    leases: createLeases({ db }),
    holder: 'test',
    signal: ending.signal,
    everyMs: 1_000,
    beforeRound: async () => {
      await db.insertInto('network').values({ name: 'no\0network' }).execute();
    },
  });
  try {
    await eventually(async () => {
      const [token] = await Promise.race([readTokensOfNetwork(db, NETWORK), running.then(() => [])]);
      expect(token?.pinned).toMatchObject({ decimals: 10 });
    });
  } finally {
    ending.abort();
    await running;
  }
});
