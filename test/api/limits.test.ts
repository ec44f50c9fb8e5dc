/** Operations that ask for too much are refused before anything runs, with the same code over HTTP, WebSocket and SSE. */
import { getIntrospectionQuery, parse, validate } from 'graphql';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { API_LIMITS_DEFAULT } from '../../src/schema/api-limits.ts';
import { createSchema } from '../../src/schema/index.ts';
import { SAMPLE_TABS } from '../../src/server/graphiql-samples.ts';
import { createQueryLimitsRule } from '../../src/server/query-limits.ts';
import { post, startApi, type TestApi } from '../support/api.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { subscribeSse } from '../support/sse-client.ts';
import { connectAcknowledged } from '../support/ws-client.ts';

const queryLimitsRule = createQueryLimitsRule(API_LIMITS_DEFAULT.query);

let database: TestDatabase;
let api: TestApi;

beforeAll(async () => {
  database = await createTestDatabase();
  api = await startApi(database);
});

afterAll(async () => {
  await api.stop();
  await database.close();
});

const repeat = (count: number, text: (index: number) => string): string =>
  Array.from({ length: count }, (_, index) => text(index)).join(' ');

/** Nests through the one cycle of the schema: account → deposit account → account. */
const nested = (levels: number): string =>
  levels === 0 ? 'customer' : `depositAccounts { account { ${nested(levels - 1)} } }`;

const TOO_LARGE = {
  deep: [`{ accounts(first: 1) { nodes { ${nested(6)} } } }`, 'QUERY_TOO_DEEP'],
  'deep by fragments': [
    `{ accounts(first: 1) { nodes { ...A } } } fragment A on Account { depositAccounts { account { ...B } } }
     fragment B on Account { depositAccounts { account { ...C } } } fragment C on Account { ${nested(4)} }`,
    'QUERY_TOO_DEEP',
  ],
  'deep under a name of introspection': [
    `{ accounts(first: 1) { nodes { ...__schema } } } fragment __schema on Account { ${nested(6)} }`,
    'QUERY_TOO_DEEP',
  ],
  'an alias overload': [`{ ${repeat(101, (index) => `a${index}: eventLog { epoch }`)} }`, 'QUERY_TOO_MANY_ALIASES'],
  'a field a thousand times': [`{ ${repeat(1_000, () => '__typename')} }`, 'QUERY_TOO_LARGE'],
  'directives in heaps': [`{ __typename ${repeat(60, () => '@include(if: true)')} }`, 'QUERY_TOO_MANY_DIRECTIVES'],
  'too many rows': [
    '{ accounts(first: 100) { nodes { depositAccounts { addresses { treasury { balances { total } } } } } } }',
    'QUERY_TOO_COSTLY',
  ],
  'too many rows by a variable': [
    'query ($n: Int) { accounts(first: $n) { nodes { depositAccounts { addresses { treasury { balances { total } } } } } } }',
    'QUERY_TOO_COSTLY',
  ],
  'fragments that double each other': [
    `{ accounts { nodes { ...F0 } } } ${repeat(30, (index) => `fragment F${index} on Account { ...F${index + 1} ...F${index + 1} }`)}
     fragment F30 on Account { customer }`,
    'QUERY_TOO_LARGE',
  ],
  'circular introspection': [
    `{ __schema { types { fields { type { fields { type { fields { type { fields { name } } } } } } } } } }`,
    'QUERY_TOO_COSTLY',
  ],
  'more tokens than the parser takes': [`{ ${repeat(3_000, () => 'a')} }`, 'GRAPHQL_PARSE_FAILED'],
} as const;

describe.each(Object.entries(TOO_LARGE))('%s', (_name, [query, code]) => {
  test('is refused over HTTP with status 400', async () => {
    for (const accept of ['application/graphql-response+json', 'application/json']) {
      const { status, data, errors } = await post(api.url, { query }, { accept });

      expect(codesOf(errors)).toContain(code);
      expect(data).toBeUndefined();
      // Validation of its own kind answers as the audit demands: 200 to those who ask for plain JSON.
      if (code.startsWith('QUERY') || accept !== 'application/json') expect(status).toBe(400);
    }
  });

  test('is refused over WebSocket, and the socket lives on', async () => {
    const client = await connectAcknowledged(api.url);
    client.send({ id: 'x', type: 'subscribe', payload: { query } });

    const answer = await client.next();

    expect(answer.type).toBe('error');
    const codes = codesOf(answer.payload);
    expect(code === 'GRAPHQL_PARSE_FAILED' ? [...codes, code] : codes).toContain(code);
    expect(JSON.stringify(answer)).not.toContain('"http"');
    expect(client.socket.readyState).toBe(client.socket.OPEN);
    await client.close();
  });

  test('is refused over SSE', async () => {
    const { stream } = await subscribeSse(api.url, { query });

    const { errors } = JSON.parse((await stream.next())?.data ?? '{}');

    expect(codesOf(errors)).toContain(code);
    stream.cut();
  });
});

function codesOf(errors: unknown): unknown[] {
  return Array.isArray(errors)
    ? errors.map((error: { extensions?: { code?: unknown } }) => error.extensions?.code)
    : [];
}

describe('what is within the limits', () => {
  const schema = createSchema();
  const refusals = (query: string) => validate(schema, parse(query), [queryLimitsRule]).map(({ message }) => message);

  test('the sample operations and introspection pass', () => {
    for (const { query } of SAMPLE_TABS) expect(refusals(query)).toEqual([]);
    const everything = getIntrospectionQuery({ descriptions: true, specifiedByUrl: true, inputValueDeprecation: true });
    expect(refusals(everything)).toEqual([]);
  });

  test('a full page with all that belongs to its rows passes', () => {
    expect(
      refusals(`query ($after: String) { transfers(first: 100, after: $after) { edges { cursor node {
        id transferId kind direction status amount memo recordTime treasury { id name party } instrument { id admin name }
        attribution { account { customer } depositAccount { memo } } } } pageInfo { hasNextPage endCursor } } }`),
    ).toEqual([]);
  });

  test('measuring is fast for any document the parser lets through', () => {
    const documents = [
      TOO_LARGE['fragments that double each other'][0],
      `{ ${repeat(400, (index) => `...F${index}`)} } ${repeat(90, (index) => `fragment F${index} on Query { ${repeat(3, (k) => `...F${(index + k) % 90}`)} }`)}`,
      `{ ${repeat(600, () => 'eventLog { epoch }')} }`,
    ];
    for (const query of documents) {
      const document = parse(query);
      // The best of five: on a busy machine any single one may be kept waiting. What is not linear takes longer than a lifetime.
      const tries = Array.from({ length: 5 }, () => {
        const startedAt = performance.now();
        validate(schema, document, [queryLimitsRule]);
        return performance.now() - startedAt;
      });
      expect(Math.min(...tries)).toBeLessThan(50);
    }
  });
});

describe('requests', () => {
  test('a batch of operations is refused', async () => {
    const { status } = await post(api.url, [{ query: '{ __typename }' }, { query: '{ __typename }' }]);

    expect(status).toBe(400);
  });

  test('a body of more than 100 KiB is refused', async () => {
    const { status } = await post(api.url, { query: `{ __typename } #${'x'.repeat(110_000)}` });

    expect(status).toBe(413);
  });
});
