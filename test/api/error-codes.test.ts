/** Every error that a transport carries has a code, one that the catalog explains, whatever was wrong with the question. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { isApiErrorCode } from '../../src/schema/error-catalog.ts';
import { post, startApi, type TestApi } from '../support/api.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { subscribeSse } from '../support/sse-client.ts';
import { connectAcknowledged } from '../support/ws-client.ts';

type Question = {
  readonly query: string;
  readonly operationName?: string;
  readonly variables?: Record<string, unknown>;
};

const WRONG: Readonly<Record<string, readonly [Question, string]>> = {
  'what is no GraphQL': [{ query: '{' }, 'GRAPHQL_PARSE_FAILED'],
  'too many words': [{ query: `{ ${'a '.repeat(3_000)} }` }, 'GRAPHQL_PARSE_FAILED'],
  'too many lines': [{ query: `${'\n'.repeat(3_000)}{ __typename }` }, 'GRAPHQL_PARSE_FAILED'],
  'a field that is none': [{ query: '{ withdrawl }' }, 'GRAPHQL_VALIDATION_FAILED'],
  'a circle of fragments': [{ query: '{ ...A } fragment A on Query { ...A }' }, 'GRAPHQL_VALIDATION_FAILED'],
  'one of several operations': [
    { query: 'query A { __typename } query B { __typename }' },
    'OPERATION_RESOLUTION_FAILURE',
  ],
  'an operation that is not there': [
    { query: 'query A { __typename }', operationName: 'B' },
    'OPERATION_RESOLUTION_FAILURE',
  ],
  'a variable that is missing': [{ query: 'query ($id: ID!) { node(id: $id) { id } }' }, 'BAD_USER_INPUT'],
  'a variable of another type': [
    { query: 'query ($n: Int) { accounts(first: $n) { nodes { id } } }', variables: { n: 'many' } },
    'BAD_USER_INPUT',
  ],
  'an argument that is missing by its variable': [
    { query: 'query ($id: ID) { node(id: $id) { id } }', variables: {} },
    'GRAPHQL_VALIDATION_FAILED',
  ],
  'an argument with a default that is null': [
    { query: 'query ($on: Boolean! = true) { viewer { name @include(if: $on) } }', variables: { on: null } },
    'BAD_USER_INPUT',
  ],
  'an id that is none': [{ query: '{ node(id: "x") { id } }' }, 'ID_INVALID'],
  'a page that is none': [{ query: '{ accounts(first: 0) { nodes { id } } }' }, 'PAGE_ARGUMENTS_INVALID'],
  'a cursor that is none': [{ query: '{ accounts(after: "x") { nodes { id } } }' }, 'PAGE_CURSOR_INVALID'],
  'a question that is too large': [{ query: `{ ${'__typename '.repeat(600)} }` }, 'QUERY_TOO_LARGE'],
  'a subscription from a cursor that is none': [
    { query: 'subscription { deposits(after: "x") { eventId } }' },
    'CURSOR_INVALID',
  ],
  'a subscription with a variable that is missing': [
    { query: 'subscription ($key: String!) { withdrawalUpdated(idempotencyKey: $key) { state } }' },
    'BAD_USER_INPUT',
  ],
};

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

function codesOf(errors: unknown): readonly string[] {
  expect(errors).toEqual(expect.any(Array));
  return (errors as { extensions?: { code?: unknown } }[]).map(({ extensions }) => String(extensions?.code));
}

function expectCode(errors: unknown, code: string): void {
  const codes = codesOf(errors);
  expect(codes).toContain(code);
  for (const each of codes) expect(isApiErrorCode(each), each).toBe(true);
}

test.each(Object.entries(WRONG))('%s', async (_name, [question, code]) => {
  if (!question.query.startsWith('subscription')) {
    for (const accept of ['application/graphql-response+json', 'application/json', '*/*']) {
      const { errors } = await post(api.url, question, { accept });
      expectCode(errors, code);
    }
    const parameters = new URLSearchParams({
      query: question.query,
      ...(question.operationName === undefined ? {} : { operationName: question.operationName }),
      variables: JSON.stringify(question.variables ?? {}),
    });
    const got = (await (await fetch(`${api.url}/graphql?${parameters}`)).json()) as { errors: unknown };
    expectCode(got.errors, code);
  }
  const client = await connectAcknowledged(api.url);
  client.send({ id: 'x', type: 'subscribe', payload: question });
  const { type, payload } = await client.next();
  expectCode(type === 'error' ? payload : (payload as { errors: unknown }).errors, code);
  await client.close();
  const { stream } = await subscribeSse(api.url, question);
  expectCode(JSON.parse((await stream.next())?.data ?? '{}').errors, code);
  stream.cut();
});

test('an answer is kept by no cache, by whatever method it was asked for', async () => {
  for (const init of [
    {},
    { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"query":"{ viewer { name } }"}' },
  ]) {
    const response = await fetch(`${api.url}/graphql?query=${encodeURIComponent('{ viewer { name } }')}`, init);
    expect(await response.json()).toEqual({ data: { viewer: { name: 'developer' } } });
    expect(response.headers.get('cache-control')).toBe('no-store');
  }
});

test('what is no request at all', async () => {
  const raw = async (path: string, init: RequestInit = {}) => {
    const response = await fetch(`${api.url}${path}`, init);
    return { status: response.status, errors: ((await response.json()) as { errors: unknown }).errors };
  };
  const json = { 'content-type': 'application/json' };
  const question = encodeURIComponent('{ __typename }');
  const mutation = encodeURIComponent('mutation { createDepositAccount(input: { account: "x" }) { __typename } }');
  for (const [path, init, status, code] of [
    ['/graphql', { method: 'POST', headers: json, body: '{"query":' }, 400, 'BAD_REQUEST'],
    ['/graphql', { method: 'POST', headers: json, body: '[]' }, 400, 'BAD_REQUEST'],
    ['/graphql', { method: 'POST', headers: json, body: '{"query":{}}' }, 400, 'BAD_REQUEST'],
    ['/graphql', { method: 'POST', headers: json, body: '{"query":"{ __typename }","more":1}' }, 400, 'BAD_REQUEST'],
    ['/graphql', { method: 'PUT', headers: json, body: '{}' }, 405, 'BAD_REQUEST'],
    ['/graphql', { method: 'POST', headers: { 'content-type': 'text/plain' }, body: '{}' }, 415, 'MEDIA_TYPE_REFUSED'],
    [`/graphql?query=${question}&variables={`, {}, 400, 'BAD_REQUEST'],
    [`/graphql?query=${question}&extensions=nothing`, {}, 400, 'BAD_REQUEST'],
    [`/graphql?query=${question}&variables=3`, {}, 400, 'BAD_REQUEST'],
    [`/graphql?query=${mutation}`, {}, 405, 'BAD_REQUEST'],
    ['/graphql', { headers: { accept: 'application/graphql-response+json' } }, 400, 'BAD_REQUEST'],
    ['/nowhere', {}, 404, 'NOT_FOUND'],
  ] as const) {
    const answer = await raw(path, init);
    expectCode(answer.errors, code);
    expect(answer.status, `${path} ${JSON.stringify(init)}`).toBe(status);
  }
  expect(api.lines).toEqual([]);
});
