/** The token directory: what operators decide through the API, what registries say, and what hosts have vetted. Real registries over HTTP, real participants over gRPC. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { adoptConfiguredTokens } from '../../src/directory/configured-tokens.ts';
import { createRegistryAccess, type OpenRegistry } from '../../src/directory/registry-access.ts';
import { lookAtToken } from '../../src/directory/token-look.ts';
import { createTokenSources } from '../../src/directory/token-sources.ts';
import { systemClock, systemRandom } from '../../src/env/system.ts';
import { createInstrumentBook, registerCatalog } from '../../src/ingestion/catalog.ts';
import { type Channel, openChannel } from '../../src/ledger/channel.ts';
import { ledgerKey } from '../../src/read/ledger-keys.ts';
import { readTokenChanges, readTokensOfNetwork, type Token } from '../../src/read/tokens.ts';
import { createRegistries } from '../../src/scan/registries.ts';
import { formatGlobalId } from '../../src/schema/global-id.ts';
import { parseAmount } from '../../src/tokens/amount.ts';
import { createWithdrawals } from '../../src/withdrawals/withdrawal-requests.ts';
import { ID_KEY, startApi, type TestApi } from '../support/api.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { NETWORK, startTestNetwork, type TestNetwork } from '../support/network.ts';

let network: TestNetwork;
let database: TestDatabase;
let api: TestApi;
let channel: Channel;

const openRegistry: OpenRegistry = createRegistryAccess((sourceOf) =>
  createRegistries({
    clock: systemClock,
    random: systemRandom,
    logger: database.logger,
    sourceOf,
    scan: null,
    validator: null,
    isPrivateAllowed: true,
    callsPerSecondMax: 1_000,
    timeoutMs: 3_000,
  }),
);

beforeAll(async () => {
  network = await startTestNetwork('token-directory');
  channel = openChannel({ url: network.ledgerUrl() });
});

afterAll(async () => {
  channel.close();
  await network.stop();
});

beforeEach(async () => {
  database = await createTestDatabase();
  await registerCatalog(database.db, { ...network.catalog, instruments: [] });
  api = await startApi(database, { openRegistry });
});

afterEach(async () => {
  for (const { faults } of network.registries) faults.clear();
  await api.stop();
  await database.close();
});

const TOKEN_FIELDS = `
  instrument { id name isAccepted admin instrumentId } isFrozen creditsDeposits acceptsOffers depositMin paysDirect paysOffers
  offerValiditySeconds packages registry { strategy urls faultsMax } version pinned { name symbol decimals }
  registryDiffers { field pinned found } packagesMissing { package treasury why } changes { action changedBy why }`;

function registryOf(name: string) {
  const { admin, id } = network.network.instrument(name);
  const registry = network.registries.find((each) => each.admin === admin);
  if (registry === undefined) throw new Error('No such registry.');
  return { ...registry, instrumentId: id, key: formatGlobalId('Instrument', ledgerKey(NETWORK, admin, id)) };
}

async function add(name: string, input: Record<string, unknown> = {}) {
  const { admin, instrumentId, url } = registryOf(name);
  const answer = await api.query(
    `mutation ($input: AddTokenInput!) { addToken(input: $input) {
      __typename ... on TokenPayload { token { ${TOKEN_FIELDS} } } ... on Error { code message why fix retryable } } }`,
    {
      input: {
        network: NETWORK,
        admin,
        instrumentId,
        name: `our ${name}`,
        registry: { strategy: 'ROTATE', urls: [url] },
        why: 'Customers ask for it.',
        ...input,
      },
    },
  );
  expect(answer.errors).toBeUndefined();
  return answer.data.addToken;
}

async function change(mutation: string, type: string, input: Record<string, unknown>, headers = {}) {
  return await api.query(
    `mutation ($input: ${type}!) { ${mutation}(input: $input) {
      __typename ... on TokenPayload { token { ${TOKEN_FIELDS} } } ... on Error { code message } } }`,
    { input },
    headers,
  );
}

async function look(): Promise<Token> {
  const treasuries = network.catalog.treasuries;
  for (const token of await readTokensOfNetwork(database.db, NETWORK)) {
    const { db, logger } = database;
    await lookAtToken({ db, openRegistry, call: channel.call, treasuries, clock: systemClock, logger }, token);
  }
  const [token] = await readTokensOfNetwork(database.db, NETWORK);
  if (token === undefined) throw new Error('No token.');
  return token;
}

describe('whose contracts move a token', () => {
  test('is said when it is added, and changed only while it is frozen', async () => {
    const { key } = registryOf('usd');
    const set = async (implementation: string) =>
      await change('setTokenImplementation', 'SetTokenImplementationInput', {
        instrument: key,
        implementation,
        why: 'Looked.',
      });

    await add('usd', { implementation: 'UTILITY_REGISTRY' });
    const [added] = await readTokensOfNetwork(database.db, NETWORK);
    expect(added).toMatchObject({ implementation: 'UTILITY_REGISTRY' });
    expect(added?.packages).toContain('utility-registry-app-v0');

    expect((await set('OTHER')).data.setTokenImplementation.token).toMatchObject({ version: 2 });
    const [other] = await readTokensOfNetwork(database.db, NETWORK);
    expect(other).toMatchObject({ implementation: 'OTHER' });
    expect(other?.packages).not.toContain('utility-registry-app-v0');
    expect(await readTokenChanges(database.db, [other!.instrument], 1)).toMatchObject([
      [{ action: 'POLICY', before: { implementation: 'UTILITY_REGISTRY' }, after: { implementation: 'OTHER' } }],
    ]);

    await change('enableToken', 'TokenInput', { instrument: key, why: 'Looked at.' });
    expect((await set('UTILITY_REGISTRY')).data.setTokenImplementation).toMatchObject({ code: 'TOKEN_NOT_READY' });
  });

  test('what a return costs is part of the policy, and never less than nothing', async () => {
    await add('usd', { policy: { paysOffers: true, returnFee: '0.5' } });
    const [token] = await readTokensOfNetwork(database.db, NETWORK);
    expect(token).toMatchObject({ paysOffers: true, returnFee: '0.5000000000' });

    expect(await add('note', { policy: { returnFee: '-1' } })).toMatchObject({ code: 'TOKEN_INPUT_INVALID' });
  });
});

describe('adding a token', () => {
  test('pins what its registry says, and leaves it frozen until somebody enables it', async () => {
    const { key, url } = registryOf('usd');

    const { token } = await add('usd');

    expect(token).toMatchObject({
      instrument: { id: key, name: 'our usd', isAccepted: true },
      isFrozen: true,
      creditsDeposits: true,
      paysOffers: false,
      registry: { strategy: 'ROTATE', urls: [url], faultsMax: 0 },
      pinned: { decimals: 10 },
      version: 1,
      changes: [{ action: 'ADDED', changedBy: 'developer', why: 'Customers ask for it.' }],
    });
    const enabled = await change('enableToken', 'TokenInput', { instrument: key, why: 'Looked at.' });
    expect(enabled.data.enableToken.token).toMatchObject({
      isFrozen: false,
      changes: [{ action: 'ENABLED' }, { action: 'ADDED' }],
    });
    const frozen = await change('freezeToken', 'TokenInput', { instrument: key, why: 'Rumours.' });
    expect(frozen.data.freezeToken.token.isFrozen).toBe(true);
  });

  test('Z10: is refused where the registry is another admin’s, and where it knows no such id', async () => {
    const other = registryOf('note');

    const ofAnother = await add('usd', { registry: { strategy: 'ROTATE', urls: [other.url] } });
    const unknown = await add('usd', { instrumentId: 'usdx' });

    expect(ofAnother).toMatchObject({ __typename: 'TokenRefusedError', code: 'TOKEN_REGISTRY_OF_ANOTHER_ADMIN' });
    expect(unknown).toMatchObject({ __typename: 'TokenRefusedError', code: 'TOKEN_UNKNOWN_TO_REGISTRY' });
    expect(await readTokensOfNetwork(database.db, NETWORK)).toEqual([]);
    expect(await database.db.selectFrom('instrument').selectAll().execute()).toEqual([]);
  });

  test('is refused while the registry is silent, and may be tried again', async () => {
    registryOf('usd').faults.set({ share: 1, fault: { kind: 'status', status: 503 } });

    const refused = await add('usd');
    registryOf('usd').faults.clear();
    const added = await add('usd');
    const again = await add('usd');

    expect(refused).toMatchObject({ code: 'TOKEN_REGISTRY_SILENT', retryable: true });
    expect(added.__typename).toBe('TokenPayload');
    expect(again).toMatchObject({ code: 'TOKEN_EXISTS' });
  });

  test.each([
    ['urls with credentials', { registry: { strategy: 'ROTATE', urls: ['http://user:pass@registry.example'] } }],
    ['another scheme', { registry: { strategy: 'ROTATE', urls: ['file:///etc/passwd'] } }],
    ['no url', { registry: { strategy: 'ROTATE', urls: [] } }],
    ['a quorum that liars win', { registry: { strategy: 'QUORUM', urls: ['http://a', 'http://b'], faultsMax: 1 } }],
    ['a negative minimum', { policy: { depositMin: '-1' } }],
    ['an offer for longer than a year', { policy: { offerValiditySeconds: 40_000_000 } }],
    ['no reason', { why: '' }],
    ['a package name with a path', { packages: ['../x'] }],
  ])('refuses %s', async (_what, input) => {
    expect(await add('usd', input)).toMatchObject({ code: 'TOKEN_INPUT_INVALID' });
  });

  test('needs the scope of an operator', async () => {
    const { key } = registryOf('usd');
    await add('usd');

    const refused = await change(
      'enableToken',
      'TokenInput',
      { instrument: key, why: 'x' },
      { authorization: 'Bearer dev-frontend' },
    );

    expect(refused.errors[0].extensions.code).toBe('FORBIDDEN');
    expect((await readTokensOfNetwork(database.db, NETWORK))[0]?.isFrozen).toBe(true);
  });
});

describe('the policy', () => {
  test('is changed by whoever saw the latest one, and decides whether deposits are credited', async () => {
    const { key, admin, instrumentId } = registryOf('usd');
    await add('usd', { policy: { depositMin: '5', paysOffers: true } });

    const policy = { creditsDeposits: false };
    const changed = await change('setTokenPolicy', 'SetTokenPolicyInput', {
      instrument: key,
      version: 1,
      policy,
      why: 'Delisted.',
    });
    const late = await change('setTokenPolicy', 'SetTokenPolicyInput', {
      instrument: key,
      version: 1,
      policy,
      why: 'Me too.',
    });

    expect(changed.data.setTokenPolicy.token).toMatchObject({
      creditsDeposits: false,
      depositMin: '5.0000000000',
      paysOffers: true,
      version: 2,
    });
    expect(late.data.setTokenPolicy.code).toBe('TOKEN_CHANGED_MEANWHILE');
    const { id: networkId } = await database.db.selectFrom('network').select('id').executeTakeFirstOrThrow();
    const known = await database.db.transaction().execute(async (tx) => {
      const find = await createInstrumentBook(networkId).resolve(tx, [{ admin, id: instrumentId }]);
      return find({ admin, id: instrumentId });
    });
    expect(known.isAccepted).toBe(false);
  });
});

test('a token that is not paid directly takes no new withdrawals', async () => {
  const { key, admin, instrumentId } = registryOf('usd');
  await add('usd');
  const withdrawals = createWithdrawals({ db: database.db, clock: systemClock, network: NETWORK, idKey: ID_KEY });
  const request = (idempotencyKey: string) => ({
    client: 'service',
    idempotencyKey,
    account: 'alice',
    treasuryParty: network.catalog.treasuries[0]?.party ?? '',
    instrument: { admin, id: instrumentId },
    receiver: network.network.party('bob'),
    amount: parseAmount('1'),
    memo: null,
  });

  await withdrawals.create(request('before'));
  const policy = { paysDirect: false };
  await change('setTokenPolicy', 'SetTokenPolicyInput', { instrument: key, version: 1, policy, why: 'Delisted.' });

  await expect(withdrawals.create(request('after'))).rejects.toMatchObject({ code: 'INSTRUMENT_NOT_ACCEPTED' });
});

describe('looking at a token again', () => {
  test('Z15: shows other decimals, name and admin, takes none of it, and keeps the token from being enabled', async () => {
    const { key, faults } = registryOf('usd');
    const { token: added } = await add('usd');
    faults.set({ share: 1, fault: { kind: 'lie', lie: 'metadata' } });

    const token = await look();

    expect(token.pinned).toMatchObject(added.pinned);
    expect(token.registryDiffers.map(({ field }) => field)).toEqual(
      expect.arrayContaining(['admin', 'decimals', 'name']),
    );
    const refused = await change('enableToken', 'TokenInput', { instrument: key, why: 'Hurry.' });
    expect(refused.data.enableToken.code).toBe('TOKEN_NOT_READY');
    const pinned = await change('pinToken', 'TokenInput', { instrument: key, why: 'Hurry.' });
    expect(pinned.data.pinToken.code).toBe('TOKEN_REGISTRY_OF_ANOTHER_ADMIN');
    faults.clear();
    expect((await look()).registryDiffers).toEqual([]);
  });

  test('a change that somebody has made sure of is pinned', async () => {
    const { key, faults } = registryOf('usd');
    await add('usd');
    faults.set({ share: 1, fault: { kind: 'mutate', fields: { name: 'Renamed', decimals: 6 } } });
    expect((await look()).registryDiffers).toHaveLength(2);

    const pinned = await change('pinToken', 'TokenInput', { instrument: key, why: 'They told us.' });

    expect(pinned.data.pinToken.token).toMatchObject({ pinned: { name: 'Renamed', decimals: 6 }, registryDiffers: [] });
  });

  test('Z16: names a package that one host has not vetted, uploads nothing, and finds it when it is there', async () => {
    const { key } = registryOf('usd');
    await add('usd', { packages: ['utility-registry-app-v0', 'no-such-package'] });
    network.network.vetting.unvet('participant2', 'utility-registry-app-v0');

    const lacking = await look();
    const refused = await change('enableToken', 'TokenInput', { instrument: key, why: 'Hurry.' });
    network.network.vetting.vet('participant2', 'utility-registry-app-v0');
    const later = await look();

    expect(lacking.packagesMissing).toMatchObject([
      { package: 'utility-registry-app-v0', treasury: 'treasury', why: expect.stringContaining('vetted') },
      { package: 'no-such-package', treasury: 'treasury', why: expect.stringContaining('unknown') },
    ]);
    expect(refused.data.enableToken).toMatchObject({ code: 'TOKEN_NOT_READY' });
    expect(later.packagesMissing.map((missing) => missing.package)).toEqual(['no-such-package']);
  });

  test('a registry whose texts cannot be stored is in trouble, and the round goes on', async () => {
    const { admin, instrumentId, url, faults } = registryOf('usd');
    const registries = [{ admin, instrumentId: null, source: { strategy: 'rotate', urls: [url] } }] as const;
    const configured = { network: NETWORK, instruments: [{ name: 'usd', admin, id: instrumentId }], registries };
    await adoptConfiguredTokens(database.db, configured, { clock: systemClock, logger: database.logger });
    faults.set({ share: 1, fault: { kind: 'mutate', fields: { name: 'U\u0000S', symbol: '\ud800' } } });

    const first = await look();
    faults.clear();
    const later = await look();

    expect(first).toMatchObject({ pinned: null, registryTrouble: expect.stringContaining('character') });
    expect(later).toMatchObject({ pinned: { decimals: 10 }, registryTrouble: null });
  });

  test('one that says otherwise in texts that cannot be stored changes nothing that is pinned', async () => {
    const { faults } = registryOf('usd');
    await add('usd');
    faults.set({ share: 1, fault: { kind: 'mutate', fields: { name: 'U\u0000S' } } });

    expect(await look()).toMatchObject({ registryDiffers: [], registryTrouble: expect.stringContaining('character') });
  });

  test('F1: a silent registry is said to be silent, and changes nothing', async () => {
    const { faults } = registryOf('usd');
    await add('usd');
    faults.set({ share: 1, fault: { kind: 'cut' } });

    const token = await look();

    expect(token.registryTrouble).toEqual(expect.any(String));
    expect(token).toMatchObject({ registryDiffers: [], pinned: { decimals: 10 } });
  });
});

describe('the configuration', () => {
  test('gives the first entries, enabled; afterwards the directory decides', async () => {
    const { admin, instrumentId, url, key } = registryOf('usd');
    const configured = {
      network: NETWORK,
      instruments: [{ name: 'usd', admin, id: instrumentId }],
      registries: [{ admin, instrumentId: null, source: { strategy: 'rotate', urls: [url] } }],
    } as const;
    const warnings: string[] = [];
    const logger = { ...database.logger, warn: (message: string) => warnings.push(message) };
    const env = { clock: systemClock, logger };
    const sources = createTokenSources({ db: database.db, network: NETWORK, clock: systemClock, logger });

    await adoptConfiguredTokens(database.db, configured, env);
    await sources.refresh();
    expect(sources.sourceOf(admin, instrumentId)).toEqual({ strategy: 'rotate', urls: [url] });
    const first = await look();
    expect(first).toMatchObject({ isFrozen: false, pinned: { decimals: 10 }, instrument: { isAccepted: true } });
    const moved = await change('setTokenRegistry', 'SetTokenRegistryInput', {
      instrument: key,
      registry: { strategy: 'ROTATE', urls: [`${url}/`] },
      why: 'Moved.',
    });
    expect(moved.data.setTokenRegistry.token.registry.urls).toEqual([`${url}/`]);

    const renamed = { ...configured, instruments: [{ name: 'dollar', admin, id: instrumentId }] };
    await registerCatalog(database.db, { ...network.catalog, instruments: renamed.instruments });
    await adoptConfiguredTokens(database.db, renamed, env);
    await registerCatalog(database.db, { ...network.catalog, instruments: [] });
    await sources.refresh();

    const [after] = await readTokensOfNetwork(database.db, NETWORK);
    expect(after).toMatchObject({ instrument: { name: 'usd', isAccepted: true } });
    expect(sources.sourceOf(admin, instrumentId)).toEqual({ strategy: 'rotate', urls: [`${url}/`] });
    expect(warnings).toHaveLength(2);
  });
});
