/** The GraphQL-over-HTTP audit of the `graphql-http` package, over a real socket: in development, and as production has it, with whatever credential. All of it must pass; nothing is excused,
 * but that a few of its questions are about the schema, which not everybody may ask: they have to be refused then, and nothing else. */
import { createHash } from 'node:crypto';
import { serverAudits } from 'graphql-http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DEVELOPER_SCOPES, principalOf } from '../../src/schema/principal.ts';
import { parseApiKey } from '../../src/server/principals.ts';
import { startApi, type TestApi } from '../support/api.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const developer = principalOf('dora', DEVELOPER_SCOPES);
const customer = principalOf('customer-ann', ['own'], {
  client: 'frontend',
  reach: { kind: 'ACCOUNT', network: 'testnet', owner: 'ann' },
});

type Configuration = {
  readonly options: Parameters<typeof startApi>[1];
  /** Null: none is sent. */
  readonly credential: string | null;
  /** False: the schema tells nothing of itself there. */
  readonly mayIntrospect: boolean;
};

const KEYS = {
  apiKeys: [parseApiKey(`exchange:read+subscribe:${sha256('secret-of-exchange')}`)],
  access: {
    isDemanding: true,
    authenticators: [{ takes: () => true, prove: async (credential: string) => proofOf(credential) }],
  },
  allowedHosts: ['127.0.0.1'],
  allowedOrigins: ['https://console.example'],
};

function proofOf(credential: string) {
  const principal = credential === 'token-of-dora' ? developer : credential === 'token-of-ann' ? customer : null;
  return principal === null ? null : { principal, isStanding: () => true };
}

const CONFIGURATIONS: Readonly<Record<string, Configuration>> = {
  'the development server': { options: {}, credential: null, mayIntrospect: true },
  'production with a key': { options: KEYS, credential: 'secret-of-exchange', mayIntrospect: true },
  'production with a key, introspection off': {
    options: { ...KEYS, isIntrospectionOn: false },
    credential: 'secret-of-exchange',
    mayIntrospect: false,
  },
  'production with a developer’s token': { options: KEYS, credential: 'token-of-dora', mayIntrospect: true },
  'production with a customer’s token': { options: KEYS, credential: 'token-of-ann', mayIntrospect: false },
};

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
});

afterAll(async () => {
  await database.close();
});

describe.each(Object.entries(CONFIGURATIONS))('%s', (_name, { options, credential, mayIntrospect }) => {
  let api: TestApi;
  let asksTheSchema = false;
  // The list of audits does not depend on the address; each asks for it when it runs.
  const audits = serverAudits({
    url: () => `${api.url}/graphql`,
    fetchFn: async (url: string, init: RequestInit = {}) => {
      const headers = new Headers(init.headers);
      asksTheSchema = /__type\(name:[ +]\$name/.test(`${decodeURIComponent(url)} ${String(init.body)}`);
      if (credential !== null) headers.set('authorization', `Bearer ${credential}`);
      return await fetch(url, { ...init, headers });
    },
  });

  beforeAll(async () => {
    api = await startApi(database, options);
  });

  afterAll(async () => {
    await api.stop();
  });

  test('the package still brings its audits', () => {
    expect(audits.length).toBeGreaterThanOrEqual(60);
  });

  test('it answers with data', async () => {
    const headers: Record<string, string> = credential === null ? {} : { authorization: `Bearer ${credential}` };

    const query = 'query ($isAsked: Boolean!) { viewer { name @include(if: $isAsked) } }';
    const variables = { isAsked: true };
    const parameters = new URLSearchParams({ query, variables: JSON.stringify(variables) });
    const got = await fetch(`${api.url}/graphql?${parameters}`, { headers });

    expect((await api.query(query, variables, headers)).data.viewer.name).toEqual(expect.any(String));
    expect(await got.json()).toEqual({ data: { viewer: { name: expect.any(String) } } });
  });

  for (const audit of audits) {
    test(`${audit.id} ${audit.name}`, async () => {
      const result = await audit.fn();

      const found = result.status === 'ok' ? 'ok' : `${result.status}: ${result.reason}`;
      if (asksTheSchema && !mayIntrospect) expect(found).toMatch(/status code is not 200|has a property "errors"/);
      else expect(found).toBe('ok');
    });
  }
});
