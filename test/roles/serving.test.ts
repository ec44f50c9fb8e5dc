/**
 * `serve --role worker` and `--role api` as processes of their own, each with the rights of its kind and the tables owned by somebody else: deposits are credited, withdrawals are paid, and the doctor finds nothing
 * too much. The network's own ledger says what was paid.
 */
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { ask, type SimnetProcess, startSimnetProcess } from '../e2e/simnet-process.ts';
import { type SluiceProcess, startSluice } from '../e2e/sluice-process.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { createDatabaseRoles, type DatabaseRoles } from './database-roles.ts';

let simnet: SimnetProcess;
let database: TestDatabase;
let roles: DatabaseRoles;
let variables: Readonly<Record<string, string>>;
let payee: string;
let api: { readonly url: string };
let reading: { readonly url: string };
const running: SluiceProcess[] = [];

function start(args: readonly string[], more: Readonly<Record<string, string>>): SluiceProcess {
  const started = startSluice(args, {
    ...variables,
    SLUICE_PORT: '0',
    SLUICE_ADMIN_PORT: '0',
    SLUICE_LOG_LEVEL: 'warn',
    ...more,
  });
  running.push(started);
  return started;
}

async function serveApi(kind: 'API' | 'READ'): Promise<{ readonly url: string }> {
  const served = start(['serve'], { SLUICE_ROLE: 'api', DATABASE_URL: roles.connectionString(kind) });
  const [, url = ''] = await served.waitFor(/^Sluice serves (http:\S+)\/graphql$/m);
  return { url };
}

beforeAll(async () => {
  simnet = await startSimnetProcess('--interval', '400', '--customers', '2');
  database = await createTestDatabase();
  roles = await createDatabaseRoles(database, 'serving');
  variables = {
    ...simnet.variablesOf('participant1'),
    ...simnet.variablesOf('withdrawals'),
    SLUICE_VERIFY_SECONDS: '5',
  };
  payee = z.string().parse((await simnet.control('/party', { hint: 'payee', on: ['participant2'] }))['party']);
  await simnet.control('/preapprove', { instrument: 'amulet', receiver: payee });
  await simnet.control('/tap', { instrument: 'amulet', owner: 'treasury', amount: '1000' });
  const worker = start(['serve'], { SLUICE_ROLE: 'worker', DATABASE_URL: roles.connectionString('WORKER') });
  await worker.waitFor(/^Sluice follows/m);
  api = await serveApi('API');
  reading = await serveApi('READ');
}, 90_000);

afterAll(async () => {
  for (const each of running) {
    each.child.kill('SIGKILL');
    await each.exited;
  }
  simnet.process.child.kill('SIGKILL');
  await database.close();
  await roles.drop();
});

test('Z27: a deposit is credited and a withdrawal paid by processes that own nothing, and a read-only API shows both', async () => {
  const [customer] = simnet.customers;
  if (customer === undefined) throw new Error('No customer was printed.');
  await ask(
    api,
    `mutation ($memo: String!, $account: String!) {
      createDepositAccount(input: { memo: $memo, account: $account }) { __typename ... on Error { code } }
    }`,
    { memo: customer.memo, account: customer.name },
  );
  const [, instrumentAdmin = '', instrumentId = ''] =
    /amulet=([^/]+)\/([^,]+)/.exec(variables['SLUICE_INSTRUMENTS'] ?? '') ?? [];
  // Customers of the network deposit by themselves, all the time.
  await eventually(
    async () => {
      const { rows } = await sql<{ count: bigint }>`SELECT count(*) AS count FROM attribution`.execute(database.db);
      expect(rows[0]?.count).toBeGreaterThan(0n);
    },
    { deadlineMs: 40_000, intervalMs: 200 },
  );

  const input = {
    idempotencyKey: 'least',
    account: customer.name,
    instrumentAdmin,
    instrumentId,
    receiver: payee,
    amount: '10',
  };
  const { createWithdrawal } = await ask<{ createWithdrawal: { withdrawal?: { state: string } } }>(
    api,
    'mutation ($input: CreateWithdrawalInput!) { createWithdrawal(input: $input) { ... on CreateWithdrawalPayload { withdrawal { state } } ... on Error { code message } } }',
    { input },
  );
  expect(createWithdrawal).toMatchObject({ withdrawal: { state: 'QUEUED' } });
  await eventually(
    async () => {
      const { withdrawal } = await ask<{ withdrawal: { state: string } }>(
        reading,
        'query { withdrawal(idempotencyKey: "least") { state } }',
      );
      expect(withdrawal.state).toBe('COMPLETED');
    },
    { deadlineMs: 60_000, intervalMs: 200 },
  );
  expect((await simnet.control('/balance', { instrument: 'amulet', owner: payee }))['balance']).toBe('10.0000000000');

  // What is decided has its entry, chained by a process that may not write one.
  await eventually(
    async () => {
      const { rows } = await sql`SELECT FROM audit_entry WHERE action = 'createWithdrawal'`.execute(database.db);
      expect(rows).not.toEqual([]);
    },
    { deadlineMs: 20_000, intervalMs: 200 },
  );
}, 120_000);

test('Z27: an API with read rights refuses what would change something, and answers on', async () => {
  const [, admin = '', id = ''] = /amulet=([^/]+)\/([^,]+)/.exec(variables['SLUICE_INSTRUMENTS'] ?? '') ?? [];
  const wanted = `idempotencyKey: "denied", account: "a", instrumentAdmin: "${admin}", instrumentId: "${id}", receiver: "${payee}", amount: "1"`;
  const changes = [
    'mutation { haltMoney(input: { why: "looks wrong" }) { __typename } }',
    'mutation { createDepositAccount(input: { memo: "new", account: "new" }) { __typename } }',
    `mutation { createWithdrawal(input: { ${wanted} }) { __typename } }`,
  ];
  for (const query of changes) {
    const response = await fetch(`${reading.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ query }),
    });
    // A refusal with a name, and no error that nobody expected.
    expect(JSON.parse(await response.text())).toMatchObject({ errors: [{ extensions: { code: 'RIGHTS_MISSING' } }] });
  }
  const { rows } = await sql`SELECT FROM halt`.execute(database.db);
  expect(rows).toEqual([]);
  await ask(reading, '{ viewer { name } }');
}, 30_000);

test('Z27: nothing that they do was refused: neither process said so, and none has a right too much', async () => {
  for (const [index, kind] of (['WORKER', 'API', 'READ'] as const).entries()) {
    expect([kind, running[index]?.child.exitCode]).toEqual([kind, null]);
    if (kind !== 'READ') expect(running[index]?.stderr()).not.toMatch(/permission denied|42501/);
  }
  const doctor = start(['doctor', '--json'], { SLUICE_ROLE: 'worker', DATABASE_URL: roles.connectionString('WORKER') });
  await doctor.exited;
  const { findings } = z
    .object({ findings: z.array(z.object({ check: z.string(), outcome: z.string(), found: z.string() })) })
    .parse(JSON.parse(doctor.stdout()));
  expect(findings.find(({ check }) => check === 'database.rights')).toMatchObject({ outcome: 'OK' });
}, 40_000);
