/** The GraphQL-over-HTTP audit of the `graphql-http` package, over a real socket. All of it must pass; nothing is excused. */
import { serverAudits } from 'graphql-http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startApi, type TestApi } from '../support/api.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
let api: TestApi;
// The list of audits does not depend on the address; each asks for it when it runs.
const audits = serverAudits({ url: () => `${api.url}/graphql`, fetchFn: fetch });

beforeAll(async () => {
  database = await createTestDatabase();
  api = await startApi(database);
});

afterAll(async () => {
  await api.stop();
  await database.close();
});

test('the package still brings its audits', () => {
  expect(audits.length).toBeGreaterThanOrEqual(60);
});

for (const audit of audits) {
  test(`${audit.id} ${audit.name}`, async () => {
    const result = await audit.fn();

    expect(result.status === 'ok' ? 'ok' : `${result.status}: ${result.reason}`).toBe('ok');
  });
}
