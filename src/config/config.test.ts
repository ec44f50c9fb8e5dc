import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterAll, expect, test } from 'vitest';
import { ConfigError, type Environment, loadConfig } from './config.ts';
import { describeConfig, printConfigTable } from './describe.ts';

const PARTY = 'treasury::1220abcdef';
const ADMIN = 'DSO::1220be58c29e';
const HASH = 'a'.repeat(64);
const SUFFICIENT: Environment = {
  SLUICE_LEDGER_URL: 'http://127.0.0.1:5001',
  SLUICE_NETWORK: 'simnet',
  SLUICE_TREASURY_PARTIES: PARTY,
  SLUICE_INSTRUMENTS: `CC=${ADMIN}/Amulet`,
};

const directory = mkdtempSync(join(tmpdir(), 'sluice-config-'));
afterAll(() => rmSync(directory, { recursive: true }));

function faultsOf(environment: Environment): readonly string[] {
  try {
    loadConfig(environment);
  } catch (error) {
    if (error instanceof ConfigError) return error.faults;
    throw error;
  }
  return [];
}

test('participants are named one for each URL, or not at all', () => {
  const two = { ...SUFFICIENT, SLUICE_LEDGER_URL: 'http://a.example:1,http://b.example:2' };

  expect(faultsOf({ ...two, SLUICE_LEDGER_PARTICIPANTS: 'node::1220aa' })).toEqual([
    'SLUICE_LEDGER_PARTICIPANTS: expected one for each of the 2 URLs of SLUICE_LEDGER_URL, got 1',
  ]);
  expect(faultsOf({ ...two, SLUICE_LEDGER_PARTICIPANTS: 'node::1220aa,node::1220aa' })).toEqual([]);
  expect(faultsOf({ ...two, SLUICE_LEDGER_PARTICIPANTS: 'node' })).toHaveLength(1);
});

const LIMITS_BY_DEFAULT = {
  allowedHosts: [],
  allowedOrigins: [],
  isIntrospectionOn: true,
  isSuggesting: false,
  atLeastWaitMs: 3_000,
  lastKnownMegabytes: 32,
  lastKnownSeconds: 3_600,
  trustedDocuments: null,
  trustedDocumentsFor: 'nobody',
  queryTokens: 2_000,
  queryDepth: 12,
  queryFields: 500,
  queryBreadth: 150,
  queryAliases: 30,
  queryDirectives: 50,
  queryCost: 20_000,
  bodyBytes: 102_400,
  executionSeconds: 15,
  customerSockets: 10,
  customerSubscriptions: 20,
  customerOperations: 10,
  customerRequestsPerSecond: 20,
  serviceSockets: 1_000,
  serviceSubscriptions: 2_000,
  serviceOperations: 200,
  serviceRequestsPerSecond: 2_000,
};

test('the shortest environment, and its defaults', () => {
  expect(loadConfig(SUFFICIENT)).toEqual({
    databaseUrl: null,
    ledgerUrls: ['http://127.0.0.1:5001'],
    ledgerParticipants: [],
    ledgerToken: null,
    ledgerTokenFile: null,
    oauthUrl: null,
    oauthClientId: null,
    oauthClientSecret: null,
    oauthAudience: null,
    oauthScope: null,
    ledgerCallsInFlight: 32,
    ledgerCallsPerSecond: 200,
    ledgerSilenceSeconds: 75,
    ledgerSwitchSeconds: 30,
    reconnectTries: 40,
    reconnectDelayMs: 5000,
    batchUpdates: 500,
    leaseSeconds: 3,
    verifySeconds: 45,
    offerTries: 5,
    offerBackoffSeconds: 15,
    offerTriesPerSenderHour: 30,
    offerTriesPerInstrumentHour: 300,
    offerTriesPerHour: 600,
    openingAt: null,
    network: 'simnet',
    treasuryParties: [{ name: 'treasury', party: PARTY }],
    instruments: [{ name: 'CC', admin: ADMIN, id: 'Amulet' }],
    registries: [],
    registryPrivate: 'refuse',
    registryCallsPerSecond: 20,
    scan: null,
    validatorUrl: null,
    validatorToken: null,
    validatorTokenFile: null,
    withdrawalKey: null,
    screeningUrl: null,
    screeningSecret: null,
    depositScreening: null,
    screeningTries: 20,
    deskLimits: [],
    signerSeed: null,
    signer: null,
    signerCert: null,
    signerCertKey: null,
    signerCa: null,
    signerKeys: [],
    withdrawalOrigin: 'on',
    withdrawalOriginKeys: [],
    restoreMarginSeconds: 60,
    withdrawalTtlSeconds: 60,
    withdrawalAttempts: 3,
    submissionsPerSecond: 100,
    trafficReserveBytes: 200_000,
    preflightsPerSecond: 10,
    ledgerUser: 'sluice',
    host: '127.0.0.1',
    port: 4000,
    apiKeys: [],
    databaseKeys: false,
    oidcIssuers: [],
    oidcCustomerIssuers: [],
    oidcAudience: null,
    oidcKeysUrl: null,
    oidcTokenType: 'at+jwt',
    oidcNameClaim: 'sub',
    oidcRolesClaim: 'roles',
    oidcRoles: [],
    oidcAccountClaim: 'account',
    oidcTokenAgeSeconds: 3600,
    oidcKeysAgeSeconds: 300,
    oidcKeysStaleSeconds: 14_400,
    oidcPrivate: 'refuse',
    ...LIMITS_BY_DEFAULT,
    adminHost: '127.0.0.1',
    adminPort: null,
    readyLagSeconds: 300,
    logLevel: 'info',
    role: 'all',
    customerBooks: 'external',
    anchorFile: null,
    dataDir: null,
  });
});

test('Z18: a signer elsewhere and a key here are not meant together, and TLS needs all of its files', () => {
  const seed = 'ab'.repeat(32);
  const remote = { ...SUFFICIENT, SLUICE_WITHDRAWAL_KEY: seed, SLUICE_SIGNER_URL: 'unix:/run/sluice/signer.sock' };
  expect(loadConfig(remote).signer).toEqual({ kind: 'UNIX', path: '/run/sluice/signer.sock' });
  expect(() => loadConfig({ ...remote, SLUICE_DEV_SIGNER_SEED: seed })).toThrow('with the signer alone');
  expect(() => loadConfig({ ...remote, SLUICE_WITHDRAWAL_KEY: '' })).toThrow('expected both');
  const tls = { ...remote, SLUICE_SIGNER_URL: 'https://signer.internal:7443' };
  expect(() => loadConfig(tls)).toThrow('SLUICE_SIGNER_TLS_CA');
  const files = { SLUICE_SIGNER_TLS_CERT: 'a', SLUICE_SIGNER_TLS_KEY: 'b', SLUICE_SIGNER_TLS_CA: 'c' };
  expect(loadConfig({ ...tls, ...files }).signer).toEqual({ kind: 'TLS', host: 'signer.internal', port: 7443 });
  for (const place of [
    'http://signer:1',
    'unix:relative',
    'https://signer',
    'https://u:p@signer:1',
    'https://signer:1/x',
  ]) {
    expect(() => loadConfig({ ...remote, SLUICE_SIGNER_URL: place })).toThrow('SLUICE_SIGNER_URL');
  }
  expect(() => loadConfig({ ...remote, SLUICE_SIGNER_KEYS: 'abc' })).toThrow('1220');
});

test('payouts need their key and their signer together, and registries by admin', () => {
  const seed = 'ab'.repeat(32);
  const given = {
    ...SUFFICIENT,
    SLUICE_REGISTRIES: `${ADMIN}=http://127.0.0.1:9000/registry`,
    SLUICE_DEV_SIGNER_SEED: seed,
  };
  const config = loadConfig({ ...given, SLUICE_WITHDRAWAL_KEY: seed });
  expect(config.registries).toEqual([
    { admin: ADMIN, instrumentId: null, source: { strategy: 'rotate', urls: ['http://127.0.0.1:9000/registry'] } },
  ]);
  expect(config.signerSeed?.reveal()).toBe(seed);
  expect(() => loadConfig(given)).toThrow('expected both');
  expect(() => loadConfig({ ...SUFFICIENT, SLUICE_WITHDRAWAL_KEY: 'short' })).toThrow('64 lower-case hex digits');
  expect(() => loadConfig({ ...SUFFICIENT, SLUICE_REGISTRIES: `${ADMIN}=ftp://x` })).toThrow('quorum:url|url|url|url');
});

test('who reads through the proxy of a validator says which validator', () => {
  const given = { ...SUFFICIENT, SLUICE_REGISTRIES: `${ADMIN}=proxy` };
  expect(() => loadConfig(given)).toThrow('SLUICE_VALIDATOR_URL is required');
  expect(() => loadConfig({ ...SUFFICIENT, SLUICE_SCAN: 'proxy' })).toThrow('SLUICE_VALIDATOR_URL is required');
  const config = loadConfig({
    ...given,
    SLUICE_VALIDATOR_URL: 'https://validator.example/api/validator',
    SLUICE_VALIDATOR_TOKEN: 'hunter2',
  });
  expect(config.registries[0]?.source).toEqual({ strategy: 'proxy' });
  expect(JSON.stringify(config)).not.toContain('hunter2');
});

test('everything set', () => {
  const config = loadConfig({
    ...SUFFICIENT,
    DATABASE_URL: 'postgres://user:hunter2@db:5432/sluice',
    SLUICE_LEDGER_URL: 'https://node.example:443/, http://other.example:80',
    SLUICE_LEDGER_TOKEN: 'eyJ',
    SLUICE_TREASURY_PARTIES: `hot=${PARTY}, cold::1220ff`,
    SLUICE_INSTRUMENTS: `CC=${ADMIN}/Amulet,odd=${ADMIN}/a/b=c`,
    SLUICE_HOST: '0.0.0.0',
    SLUICE_PORT: '0',
    SLUICE_API_KEYS: `frontend:read:${HASH},risk:read+deposits.write:${'b'.repeat(64)}`,
    SLUICE_LOG_LEVEL: 'debug',
    SLUICE_ROLE: 'worker',
    SLUICE_DATA_DIR: '/var/lib/sluice',
  });

  expect(config).toMatchObject({
    ledgerUrls: ['https://node.example:443', 'http://other.example:80'],
    treasuryParties: [
      { name: 'hot', party: PARTY },
      { name: 'cold', party: 'cold::1220ff' },
    ],
    instruments: [
      { name: 'CC', admin: ADMIN, id: 'Amulet' },
      { name: 'odd', admin: ADMIN, id: 'a/b=c' },
    ],
    apiKeys: [
      { name: 'frontend', scopes: ['read'] },
      { name: 'risk', scopes: ['read', 'deposits.write'] },
    ],
    port: 0,
    role: 'worker',
  });
  expect(config.databaseUrl?.reveal()).toBe('postgres://user:hunter2@db:5432/sluice');
  expect(config.apiKeys[0]?.sha256.reveal()).toBe(HASH);
});

test('all faults come at once, each with its variable and what was expected', () => {
  expect(
    faultsOf({
      DATABASE_URL: 'mysql://root:hunter2@db/x',
      SLUICE_LEDGER_URL: 'localhost:5001',
      SLUICE_TREASURY_PARTIES: `a=${PARTY},b=${PARTY}`,
      SLUICE_INSTRUMENTS: 'Amulet',
      SLUICE_PORT: '70000',
      SLUICE_LOG_LEVEL: 'loud',
      SLUICE_API_KEYS: 'me:all:hunter2',
      SLUICE_LEDGER_TOKN: 'hunter2',
      SLUICE_COFFEE: '1',
    }),
  ).toEqual([
    'SLUICE_COFFEE is not known',
    'SLUICE_LEDGER_TOKN is not known: did you mean SLUICE_LEDGER_TOKEN?',
    'DATABASE_URL: expected a URL, postgresql://user:password@host:port/database',
    'SLUICE_LEDGER_URL: expected a comma list of http://host:port, or https://host:port for TLS, each once and with nothing after the port, got "localhost:5001"',
    'SLUICE_NETWORK is required: expected name',
    expect.stringMatching(/^SLUICE_TREASURY_PARTIES: expected a comma list of `party` or `name=party`, .* got "a=/),
    expect.stringMatching(/^SLUICE_INSTRUMENTS: expected a comma list of `name=admin\/id`, .* got "Amulet"$/),
    'SLUICE_PORT: expected a port, 0–65535, got "70000"',
    expect.stringMatching(/^SLUICE_API_KEYS: expected a comma list of `name:scope\+scope:sha256`, [^"]*$/),
    'SLUICE_LOG_LEVEL: expected one of debug, info, warn, error, silent, got "loud"',
  ]);
});

test.each([
  ['no port', { SLUICE_LEDGER_URL: 'http://node' }],
  ['an address twice', { SLUICE_LEDGER_URL: 'http://node:1,http://node:1/' }],
  ['a path', { SLUICE_LEDGER_URL: 'http://node:1/x' }],
  ['credentials in the address', { SLUICE_LEDGER_URL: 'http://a:b@node:1' }],
  ['a party without a fingerprint', { SLUICE_TREASURY_PARTIES: 'treasury' }],
  ['a name twice', { SLUICE_TREASURY_PARTIES: 'a=x::12,a=y::12' }],
  ['no instrument', { SLUICE_INSTRUMENTS: ',' }],
  ['an instrument twice', { SLUICE_INSTRUMENTS: `a=${ADMIN}/x,b=${ADMIN}/x` }],
  ['a key twice', { SLUICE_API_KEYS: `a:read:${HASH},b:read:${HASH}` }],
  ['a negative port', { SLUICE_PORT: '-1' }],
  ['a port with a fraction', { SLUICE_PORT: '1.5' }],
])('refused: %s', (_, environment) => {
  expect(faultsOf({ ...SUFFICIENT, ...environment })).toHaveLength(1);
});

test('without keys only loopback is open, and one embedded database serves one process', () => {
  expect(faultsOf({ ...SUFFICIENT, SLUICE_HOST: '0.0.0.0', SLUICE_ROLE: 'api' })).toEqual([
    'SLUICE_HOST: without SLUICE_API_KEYS everybody is let in, so expected a loopback address, got "0.0.0.0"',
    'DATABASE_URL is required with SLUICE_ROLE=api: an embedded database serves one process only',
  ]);
  expect(faultsOf({ ...SUFFICIENT, SLUICE_HOST: '127.0.0.1.evil.example' })).toHaveLength(1);
  for (const host of ['127.8.8.8', '::1', 'localhost'])
    expect(faultsOf({ ...SUFFICIENT, SLUICE_HOST: host })).toEqual([]);
});

test('a secret may come from a file, and from one place only', () => {
  const file = join(directory, 'token');
  writeFileSync(file, 'eyJ\n');

  const { ledgerToken, ledgerTokenFile } = loadConfig({ ...SUFFICIENT, SLUICE_LEDGER_TOKEN_FILE: file });
  expect(ledgerToken?.reveal()).toBe('eyJ');
  expect(ledgerTokenFile).toBe(file);
  expect(faultsOf({ ...SUFFICIENT, SLUICE_LEDGER_TOKEN_FILE: file, SLUICE_LEDGER_TOKEN: 'x' })).toEqual([
    'SLUICE_LEDGER_TOKEN and SLUICE_LEDGER_TOKEN_FILE are both set: expected one of them',
  ]);
  expect(faultsOf({ ...SUFFICIENT, SLUICE_LEDGER_TOKEN_FILE: join(directory, 'none') })[0]).toMatch(
    /^SLUICE_LEDGER_TOKEN_FILE: expected a readable file: ENOENT/,
  );
  expect(faultsOf({ ...SUFFICIENT, SLUICE_PORT_FILE: file })).toEqual(['SLUICE_PORT_FILE is not known']);
});

test('tokens come from one source, and an identity provider needs all that it asks for', () => {
  const oauth = {
    SLUICE_LEDGER_OAUTH_URL: 'https://idp.example/token',
    SLUICE_LEDGER_OAUTH_CLIENT_ID: 'sluice',
    SLUICE_LEDGER_OAUTH_CLIENT_SECRET: 'hunter2',
  };
  const { oauthClientSecret } = loadConfig({ ...SUFFICIENT, ...oauth });
  expect(oauthClientSecret?.reveal()).toBe('hunter2');
  expect(`${oauthClientSecret}`).toBe('[secret]');
  expect(faultsOf({ ...SUFFICIENT, ...oauth, SLUICE_LEDGER_OAUTH_CLIENT_ID: '' })).toEqual([
    expect.stringMatching(/expected all three or none$/),
  ]);
  expect(faultsOf({ ...SUFFICIENT, ...oauth, SLUICE_LEDGER_TOKEN: 'x' })).toEqual([
    'SLUICE_LEDGER_TOKEN and SLUICE_LEDGER_OAUTH_URL are both set: expected one of them',
  ]);
  expect(faultsOf({ ...SUFFICIENT, ...oauth, SLUICE_LEDGER_OAUTH_URL: 'https://a:b@idp.example/' })).toHaveLength(1);
});

test('a secret prints nowhere', () => {
  const config = loadConfig({
    ...SUFFICIENT,
    DATABASE_URL: 'postgres://user:hunter2@db/x',
    SLUICE_LEDGER_TOKEN: 'hunter2',
    SLUICE_API_KEYS: `me:read:${HASH}`,
  });

  for (const printed of [
    inspect(config, { depth: 9, showHidden: true }),
    JSON.stringify(config),
    `${config.databaseUrl} ${config.ledgerToken}`,
  ]) {
    expect(printed).toContain('[secret]');
    expect(printed).not.toMatch(/hunter2|aaaa/);
  }
});

test('a command may ask for a part, and is not bothered with the rest', () => {
  expect(loadConfig({ SLUICE_PORT: 'x' }, ['databaseUrl', 'dataDir'])).toEqual({ databaseUrl: null, dataDir: null });
});

test('the configuration is frozen, deeply', () => {
  const config = loadConfig(SUFFICIENT);

  expect(
    Object.isFrozen(config) && Object.isFrozen(config.treasuryParties) && Object.isFrozen(config.treasuryParties[0]),
  ).toBe(true);
});

test('every variable is described, and the table has a row for each', () => {
  const table = printConfigTable();

  for (const row of describeConfig()) {
    expect(row.meaning).toMatch(/\.$/);
    expect(table).toContain(`| \`${row.variable}\` `);
  }
});

test('an identity provider needs an audience, and names where there are several', () => {
  const issuer = 'https://idp.example/realms/exchange';
  const given = { ...SUFFICIENT, SLUICE_OIDC_ISSUERS: issuer, SLUICE_OIDC_AUDIENCE: 'sluice' };
  expect(
    loadConfig({ ...given, SLUICE_HOST: '0.0.0.0', SLUICE_OIDC_ROLES: 'team=operator,retail=customer' }),
  ).toMatchObject({
    oidcIssuers: [{ name: '', url: issuer }],
    oidcRoles: [
      { value: 'team', role: 'operator' },
      { value: 'retail', role: 'customer' },
    ],
  });
  expect(loadConfig({ ...given, SLUICE_OIDC_ISSUERS: `staff=${issuer},retail=https://b.example` }).oidcIssuers).toEqual(
    [
      { name: 'staff', url: issuer },
      { name: 'retail', url: 'https://b.example' },
    ],
  );
  const apart = {
    SLUICE_OIDC_ISSUERS: `staff=${issuer},retail=https://b.example`,
    SLUICE_OIDC_CUSTOMER_ISSUERS: 'retail',
  };
  expect(loadConfig({ ...given, ...apart }).oidcCustomerIssuers).toEqual(['retail']);
  expect(() => loadConfig({ ...given, ...apart, SLUICE_OIDC_CUSTOMER_ISSUERS: 'Retail' })).toThrow('"Retail"');
  expect(() => loadConfig({ ...given, SLUICE_OIDC_AUDIENCE: '' })).toThrow('SLUICE_OIDC_AUDIENCE is required');
  expect(() => loadConfig({ ...given, SLUICE_OIDC_ISSUERS: `${issuer},https://b.example` })).toThrow('need names');
  expect(() => loadConfig({ ...given, SLUICE_OIDC_ISSUERS: 'http://idp.example' })).toThrow('SLUICE_OIDC_PRIVATE');
  expect(() => loadConfig({ ...given, SLUICE_OIDC_ISSUERS: `${issuer}?x=1` })).toThrow('SLUICE_OIDC_ISSUERS');
  expect(loadConfig({ ...SUFFICIENT, SLUICE_DATABASE_KEYS: 'on', SLUICE_HOST: '0.0.0.0' }).databaseKeys).toBe(true);
});

test('who may ask from where, and with which documents', () => {
  expect(
    loadConfig({
      ...SUFFICIENT,
      SLUICE_ALLOWED_HOSTS: 'api.example, eu.api.example',
      SLUICE_ALLOWED_ORIGINS: 'https://a.example',
    }),
  ).toMatchObject({ allowedHosts: ['api.example', 'eu.api.example'], allowedOrigins: ['https://a.example'] });
  for (const origin of ['https://a.example/', '*', 'null', 'a.example', 'https://A.example', 'https://a.example:443']) {
    expect(() => loadConfig({ ...SUFFICIENT, SLUICE_ALLOWED_ORIGINS: origin })).toThrow('SLUICE_ALLOWED_ORIGINS');
  }
  expect(() => loadConfig({ ...SUFFICIENT, SLUICE_TRUSTED_DOCUMENTS_FOR: 'customers' })).toThrow(
    'SLUICE_TRUSTED_DOCUMENTS is required with SLUICE_TRUSTED_DOCUMENTS_FOR=customers',
  );
});
