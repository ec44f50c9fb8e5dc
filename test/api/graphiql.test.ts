/** The GraphiQL page is whole in itself: it names nothing outside, and its policy would let nothing in. */
import { Kind, parse } from 'graphql';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { PLACEHOLDERS, type SampleTab } from '../../src/server/graphiql-sample.ts';
import { SAMPLE_TABS } from '../../src/server/graphiql-samples.ts';
import { post, startApi, type TestApi } from '../support/api.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { subscribeSse } from '../support/sse-client.ts';

let database: TestDatabase;
let api: TestApi;
let page: Response;
let html: string;

beforeAll(async () => {
  database = await createTestDatabase();
  api = await startApi(database, { isGraphiqlEnabled: true });
  page = await fetch(`${api.url}/`);
  html = await page.text();
});

afterAll(async () => {
  await api.stop();
  await database.close();
});

test('the root leads to it', () => {
  expect(page.url).toBe(`${api.url}/graphiql`);
  expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8');
});

test('no element of the document points outside', () => {
  // What stands inside the scripts is program text; elements are what the browser loads.
  const elements = html.replaceAll(/<script>[\s\S]*<\/script>/g, '').replaceAll(/<style>[\s\S]*<\/style>/g, '');
  const references = [...elements.matchAll(/\b(?:src|href)="([^"]*)"/g)].map(([, target]) => target?.slice(0, 5));

  expect(references).toEqual(['data:']);
  expect(elements).not.toMatch(/https?:/);
});

test('the policy lets it connect to us and load nothing', () => {
  const policy = page.headers.get('content-security-policy') ?? '';

  expect(policy).toContain("default-src 'none'");
  expect(policy).toContain("connect-src 'self'");
  expect(policy).not.toMatch(/https?:|\*/);
});

test('its tabs hold the sample operations and it subscribes over WebSocket', () => {
  expect(html).toContain('subscription DepositFeed');
  expect(html).toContain('"subscriptionsProtocol":"WS"');
});

test('its sample withdrawal runs as it is where the process says whom to pay', async () => {
  const sampleWithdrawal = {
    idempotencyKey: 'payout-77',
    account: 'alice',
    instrumentAdmin: 'DSO::1220aa',
    instrumentId: 'Amulet',
    receiver: 'bob::1220bb',
    amount: '2.5',
  };
  const filled = await startApi(database, { isGraphiqlEnabled: true, sampleWithdrawal });

  const text = await (await fetch(`${filled.url}/graphiql`)).text();

  expect(html).toContain('customer::1220…');
  for (const value of ['bob::1220bb', 'payout-77']) expect(text).toContain(value);
  expect(text).not.toContain('customer::1220…');
  await filled.stop();

  const half = await startApi(database, { isGraphiqlEnabled: true, sampleWithdrawal: { instrumentId: 'Half' } });
  const partly = await (await fetch(`${half.url}/graphiql`)).text();
  for (const value of ['Half', 'customer::1220…']) expect(partly).toContain(value);
  await half.stop();
});

test('switched off, nothing is there', async () => {
  const without = await startApi(database);

  expect((await fetch(`${without.url}/graphiql`)).status).toBe(404);
  expect((await fetch(`${without.url}/`)).status).toBe(404);
  await without.stop();
});

/** Of one tab, each by its name. */
function operationsOf({ query }: SampleTab): readonly { readonly name: string; readonly kind: string }[] {
  return parse(query).definitions.flatMap((node) =>
    node.kind === Kind.OPERATION_DEFINITION ? [{ name: node.name?.value ?? '', kind: node.operation }] : [],
  );
}

test.each(SAMPLE_TABS.map((tab) => [tab.title, tab] as const))(
  'every operation of the tab %s runs',
  async (title, tab) => {
    const { query, variablesOf } = tab;
    const variables = variablesOf?.(PLACEHOLDERS) ?? {};
    const operations = operationsOf(tab);

    expect(operations[0]?.name).toBe(title);
    for (const { name, kind } of operations) {
      const body = { query, variables, operationName: name };
      if (name === 'WithdrawalPreflight') {
        // Nobody is there to be asked; against the simulated network it runs as the others do (test/examples).
        expect((await post(api.url, body)).errors[0].extensions.code).toBe('WITHDRAWALS_OFF');
        continue;
      }
      if (kind !== 'subscription') {
        expect(await post(api.url, body), name).toMatchObject({ status: 200, errors: undefined });
        continue;
      }
      const { status, stream } = await subscribeSse(api.url, body);
      expect(status).toBe(200);
      // A feed says nothing until something happens; one that follows one withdrawal says that there is none.
      if (name === 'WithdrawalUpdated') expect((await stream.next())?.data).toContain('WITHDRAWAL_UNKNOWN');
      stream.cut();
    }
  },
);
