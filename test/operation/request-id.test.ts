/** One id from the request to the ledger's update: searched for in the log, it shows the whole way. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { environmentFor, payoutEnvironmentFor } from '../../src/cli/simnet-environment.ts';
import { requestIdOf, traceIdOf, traceParentOf } from '../../src/env/request-id.ts';
import { systemRandom } from '../../src/env/system.ts';
import { type SluiceProcess, startSluice } from '../e2e/sluice-process.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { startTestNetwork, type TestNetwork } from '../support/network.ts';

let database: TestDatabase;
let simnet: TestNetwork;
let sluice: SluiceProcess;
let url = '';

beforeAll(async () => {
  database = await createTestDatabase();
  simnet = await startTestNetwork('request-id');
  const [participant] = simnet.participants;
  if (participant === undefined) throw new Error('The network has no participant.');
  simnet.network.preapprove({ instrument: 'amulet', receiver: 'bob' });
  simnet.network.tap({ instrument: 'amulet', owner: 'treasury', amount: '100' });
  sluice = startSluice(['serve'], {
    DATABASE_URL: database.connectionString,
    SLUICE_PORT: '0',
    SLUICE_ADMIN_PORT: '0',
    SLUICE_LOG_LEVEL: 'info',
    ...environmentFor(simnet, participant),
    ...(await payoutEnvironmentFor(simnet, systemRandom)),
  });
  [, url = ''] = await sluice.waitFor(/^Sluice serves (http:\S+)\/graphql$/m);
}, 60_000);

afterAll(async () => {
  await sluice.stop();
  await simnet.stop();
  await database.close();
});

async function withdraw(key: string, headers: Record<string, string>): Promise<Response> {
  const { admin, id } = simnet.network.instrument('amulet');
  const query = `mutation ($input: CreateWithdrawalInput!) { createWithdrawal(input: $input) { ... on CreateWithdrawalPayload { withdrawal { withdrawalId } } ... on Error { code message } } }`;
  const input = {
    idempotencyKey: key,
    account: 'alice',
    instrumentAdmin: admin,
    instrumentId: id,
    receiver: simnet.network.party('bob'),
    amount: '2',
  };
  return await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ query, variables: { input } }),
  });
}

const linesWith = (text: string) =>
  sluice
    .stderr()
    .split('\n')
    .filter((line) => line.includes(text))
    .map((line): Record<string, unknown> => JSON.parse(line));

test('the id of a request is in its log line, with the withdrawal, at each try, and at the update', {
  timeout: 60_000,
}, async () => {
  const response = await withdraw('one', { 'x-request-id': 'support-4711' });
  expect(response.headers.get('x-request-id')).toBe('support-4711');
  const { data } = (await response.json()) as { data: { createWithdrawal: { withdrawal: { withdrawalId: string } } } };
  const { withdrawalId } = data.createWithdrawal.withdrawal;

  await eventually(
    () => {
      const messages = linesWith('support-4711').map(({ msg }) => msg);
      expect(messages).toEqual(
        expect.arrayContaining([
          'A withdrawal was requested.',
          'Tried an attempt.',
          'The ledger shows a transfer of a withdrawal.',
        ]),
      );
    },
    { deadlineMs: 40_000, intervalMs: 200 },
  );
  const lines = linesWith('support-4711');
  expect(lines.find(({ msg }) => msg === 'A withdrawal was requested.')).toMatchObject({
    withdrawalId,
    requestId: 'support-4711',
  });
  expect(lines.find(({ msg }) => msg === 'Tried an attempt.')).toMatchObject({
    subjectId: withdrawalId,
    attempt: 1,
    tryNumber: 1,
    traceId: traceIdOf('support-4711'),
  });
  const seen = lines.find(({ msg }) => msg === 'The ledger shows a transfer of a withdrawal.');
  expect(seen).toMatchObject({ withdrawalId, state: 'COMPLETED' });

  const stored = await database.db
    .selectFrom('withdrawal')
    .select(['request_id', 'update_id'])
    .where('id', '=', withdrawalId)
    .executeTakeFirstOrThrow();
  expect(stored).toEqual({ request_id: 'support-4711', update_id: seen?.['updateId'] });
  const update = await database.db
    .selectFrom('ledger_update')
    .select('trace_parent')
    .where('update_id', '=', stored.update_id ?? '')
    .executeTakeFirstOrThrow();
  expect(update.trace_parent).toContain(`-${traceIdOf('support-4711')}-`);
});

test('the trace of a caller is the id, one is made where none was sent, and what could forge a line is not taken', {
  timeout: 30_000,
}, async () => {
  const trace = 'ab'.repeat(16);
  const traced = await withdraw('two', { traceparent: `00-${trace}-${'cd'.repeat(8)}-01` });
  expect(traced.headers.get('x-request-id')).toBe(trace);
  const made = await withdraw('three', {});
  expect(made.headers.get('x-request-id')).toMatch(/^[0-9a-f]{32}$/);
  const refused = await withdraw('four', { 'x-request-id': 'a"} {"level":60' });
  expect(refused.headers.get('x-request-id')).toMatch(/^[0-9a-f]{32}$/);
  expect(sluice.stderr()).not.toContain('level":60');
});

test('ids and traces by their forms', () => {
  const random = { bytes: (length: number) => new Uint8Array(length).fill(1) };
  expect(requestIdOf({ 'x-request-id': 'a.b_c:d-1' }, random)).toBe('a.b_c:d-1');
  for (const bad of ['', '-x', 'a b', 'a\nb', 'x'.repeat(65), 'ü'])
    expect(requestIdOf({ 'x-request-id': bad }, random)).toBe('01'.repeat(16));
  expect(requestIdOf({ traceparent: `00-${'0'.repeat(32)}-${'1'.repeat(16)}-01` }, random)).toBe('01'.repeat(16));
  expect(requestIdOf({ 'x-request-id': ['a', 'b'] }, random)).toBe('01'.repeat(16));
  expect(traceParentOf('01'.repeat(16), random)).toBe(`00-${'01'.repeat(16)}-${'01'.repeat(8)}-01`);
  expect(traceIdOf('x')).toMatch(/^[0-9a-f]{32}$/);
});
