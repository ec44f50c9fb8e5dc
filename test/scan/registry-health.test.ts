/** What the API shows of registries: reported by the process that asked them, here of a quorum with a liar and a dead one. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createSeededRandom } from '../../src/env/random.ts';
import { systemClock, systemRandom } from '../../src/env/system.ts';
import { reportHealth, runHealthReport } from '../../src/scan/health-report.ts';
import { createRegistries } from '../../src/scan/registries.ts';
import { type Simnet, startSimnet } from '../../src/simnet/simnet.ts';
import { silentLogger } from '../simnet/harness.ts';
import { startApi, type TestApi } from '../support/api.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';

let database: TestDatabase;
let api: TestApi;
let simnet: Simnet;

beforeAll(async () => {
  simnet = await startSimnet({
    seed: 'health',
    clock: systemClock,
    random: createSeededRandom(2),
    logger: silentLogger,
    registryInstances: 7,
  });
  database = await createTestDatabase();
  api = await startApi(database);
});
afterAll(async () => {
  await api.stop();
  await database.close();
  await simnet.stop();
});

const suspects = async () => {
  const { data, errors } = await api.query(
    `{ registryInstances(isSuspect: true) { nodes { url process state asked answered failed dissented lastFailure lastDissent } } }`,
  );
  expect(errors).toBeUndefined();
  return data.registryInstances.nodes as Record<string, unknown>[];
};

test('F3: whoever lies or is dead is named in the API, with what it was asked', async () => {
  const instrument = simnet.network.instrument('usd');
  const { instances } = simnet.registries.find(({ admin }) => admin === instrument.admin)!;
  const [liar, dead] = instances;
  liar!.faults.set({ share: 1, fault: { kind: 'lie', lie: 'metadata' } });
  await dead!.close();
  const registries = createRegistries({
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
    sourceOf: () => ({ strategy: 'quorum', urls: instances.map(({ url }) => url), faultsMax: 2 }),
    scan: null,
    validator: null,
    isPrivateAllowed: true,
    callsPerSecondMax: 100,
  });
  const ending = new AbortController();
  const reporting = runHealthReport({
    db: database.db,
    process: 'worker-1',
    health: registries.health,
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
    signal: ending.signal,
  });

  for (let round = 0; round < 4; round += 1) await registries.instrument(instrument);
  await eventually(() =>
    expect(registries.health().find(({ url }) => url === liar!.url)).toMatchObject({ dissented: 4n }),
  );
  await reportHealth(database.db, 'worker-1', registries.health(), systemClock.nowMicros());

  const found = await suspects();
  ending.abort();
  await reporting;
  expect(found).toHaveLength(2);
  expect(found).toContainEqual({
    url: liar!.url,
    process: 'worker-1',
    state: 'WELL',
    asked: '4',
    answered: '4',
    failed: '0',
    dissented: '4',
    lastFailure: null,
    lastDissent: 'instrument',
  });
  expect(found).toContainEqual(
    expect.objectContaining({
      url: dead!.url,
      state: expect.stringMatching(/RESTING|PROBING/),
      answered: '0',
      lastFailure: 'REGISTRY_UNREACHABLE',
    }),
  );
  const { data } = await api.query('{ registryInstances(first: 3) { nodes { url } pageInfo { hasNextPage } } }');
  expect(data.registryInstances).toMatchObject({ nodes: [{}, {}, {}], pageInfo: { hasNextPage: true } });
});

test('what a process said long ago is not shown, and forgotten when another one reports', async () => {
  const now = systemClock.nowMicros();
  const known = { ...EMPTY, url: 'https://scan.example/api/scan' };
  await reportHealth(database.db, 'gone', [{ ...known, dissented: 1n }], now - 120_000_000n);
  expect(await suspects()).not.toContainEqual(expect.objectContaining({ process: 'gone' }));

  await reportHealth(database.db, 'alive', [known], now);

  const processes = await database.db.selectFrom('registry_instance').select('process').execute();
  expect(processes.map(({ process }) => process)).not.toContain('gone');
});

const EMPTY = {
  state: 'WELL',
  asked: 0n,
  answered: 0n,
  failed: 0n,
  spared: 0n,
  dissented: 0n,
  failuresInRow: 0,
  restsUntil: null,
  lastFailure: null,
  lastDissent: null,
  lastAnswerAt: null,
} as const;
