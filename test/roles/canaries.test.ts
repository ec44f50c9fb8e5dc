/**
 * Secrets that are nowhere else in the world are given to a worker, an API, a signer and commands, through start, work, refusals and the end by failures; then everything that came out of them is searched: logs at the most
 * talkative level, answers, metrics, titles of processes, and what the database keeps.
 */
import { createHash, randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { sql } from 'kysely';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type SimnetProcess, startSimnetProcess } from '../e2e/simnet-process.ts';
import { type SluiceProcess, startSluice } from '../e2e/sluice-process.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { onServer } from './database-roles.ts';

const canary = (name: string): string => `canary-${name}-${randomBytes(12).toString('hex')}`;
const SECRETS = {
  databasePassword: canary('database'),
  wrongPassword: canary('wrong'),
  apiKey: canary('key'),
  unknownKey: canary('unknown'),
  withdrawalKey: randomBytes(32).toString('hex'),
  ledgerToken: canary('ledger'),
};
const role = `canary_${randomBytes(6).toString('hex')}`;

let simnet: SimnetProcess;
let database: TestDatabase;
let variables: Record<string, string>;
const running: SluiceProcess[] = [];
/** Everything that was answered. */
const answers: string[] = [];
const titles: string[] = [];

function start(args: readonly string[], more: Readonly<Record<string, string>> = {}): SluiceProcess {
  const started = startSluice(args, { ...variables, ...more });
  running.push(started);
  return started;
}

function urlWith(password: string, name = role): string {
  const url = new URL(database.connectionString);
  url.username = name;
  url.password = password;
  return url.href;
}

async function ask(url: string, body: unknown, key: string): Promise<string> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
    body: JSON.stringify(body),
  });
  const text = `${JSON.stringify([...response.headers])} ${await response.text()}`;
  answers.push(text);
  return text;
}

beforeAll(async () => {
  simnet = await startSimnetProcess('--interval', '400', '--customers', '1');
  database = await createTestDatabase();
  await onServer(`CREATE ROLE "${role}" LOGIN SUPERUSER PASSWORD '${SECRETS.databasePassword}'`);
  const sha256 = createHash('sha256').update(SECRETS.apiKey).digest('hex');
  variables = {
    ...simnet.variablesOf('participant1'),
    ...simnet.variablesOf('withdrawals'),
    SLUICE_LEDGER_TOKEN: SECRETS.ledgerToken,
    SLUICE_WITHDRAWAL_KEY: SECRETS.withdrawalKey,
    SLUICE_API_KEYS: `exchange:read+withdrawals:${sha256}`,
    DATABASE_URL: urlWith(SECRETS.databasePassword),
    SLUICE_PORT: '0',
    SLUICE_ADMIN_PORT: '0',
    SLUICE_LOG_LEVEL: 'debug',
  };
}, 60_000);
afterAll(async () => {
  for (const each of running) {
    each.child.kill('SIGKILL');
    await each.exited;
  }
  simnet.process.child.kill('SIGKILL');
  await database.close();
  await onServer(`DROP ROLE "${role}"`);
});

test('Z29: through start, work, refusals and failures no secret comes out of any process, nor into the database', {
  timeout: 150_000,
}, async () => {
  start(['serve'], { SLUICE_ROLE: 'worker' });
  const api = start(['serve'], { SLUICE_ROLE: 'api' });
  const [, base = ''] = await api.waitFor(/^Sluice serves (http:\S+)\/graphql$/m);
  const url = `${base}/graphql`;
  const [, admin = '', id = ''] = /amulet=([^/]+)\/([^,]+)/.exec(variables['SLUICE_INSTRUMENTS'] ?? '') ?? [];
  const create = (amount: string) => ({
    query:
      'mutation ($input: CreateWithdrawalInput!) { createWithdrawal(input: $input) { __typename ... on Error { code message } } }',
    variables: {
      input: {
        idempotencyKey: amount,
        account: 'a',
        instrumentAdmin: admin,
        instrumentId: id,
        receiver: simnet.customers[0]?.party,
        amount,
      },
    },
  });

  // In use: what is right, what is refused, what is nonsense, with a key that is known and one that is not.
  expect(await ask(url, create('1'), SECRETS.apiKey)).toContain('CreateWithdrawalPayload');
  for (const key of [SECRETS.apiKey, SECRETS.unknownKey]) {
    for (const body of [create('-1'), { query: '{ viewer { name } }' }, { query: '{' }, { query: `{ ${key} }` }, key])
      await ask(url, body, key);
    await ask(`${url}?access_token=${key}`, { query: '{ viewer { name } }' }, 'another');
  }
  for (const each of running) {
    titles.push(await readFile(`/proc/${each.pid}/cmdline`, 'utf8').catch(() => ''));
  }
  for (const path of ['/healthz', '/readyz', '/metrics']) answers.push(await (await fetch(`${base}${path}`)).text());
  await eventually(
    async () => {
      const { rows } = await sql`SELECT FROM withdrawal WHERE state <> 'QUEUED'`.execute(database.db);
      expect(rows.length).toBeGreaterThan(0);
    },
    { deadlineMs: 40_000, intervalMs: 200 },
  );

  // At failures: a password that is wrong, keys that are none, a participant that is away, the database taken from under them, an end by error.
  const failing = [
    start(['serve'], { DATABASE_URL: urlWith(SECRETS.wrongPassword, 'nobody') }),
    start(['serve'], { DATABASE_URL: `${urlWith(SECRETS.databasePassword)}_of_nobody` }),
    start(['serve'], { SLUICE_API_KEYS: SECRETS.apiKey, SLUICE_WITHDRAWAL_KEY: `${SECRETS.withdrawalKey}00` }),
    start(['doctor'], { SLUICE_LEDGER_URL: 'http://127.0.0.1:1' }),
    start(['config']),
    start(['verify']),
  ];
  await sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = ${role}`.execute(database.db);
  await ask(url, { query: '{ withdrawals(first: 1) { nodes { id } } }' }, SECRETS.apiKey);
  for (const each of failing.slice(2)) await each.exited;
  for (const each of running) each.child.kill('SIGTERM');
  for (const each of running) await each.exited;

  const said = running.flatMap((each, index) => [
    [`stdout of ${index}`, each.stdout()],
    [`stderr of ${index}`, each.stderr()],
  ]);
  const tables = await sql<{ name: string }>`
    SELECT relname AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'`.execute(
    database.db,
  );
  for (const { name } of tables.rows) {
    const { rows } = await sql<{
      text: string;
    }>`SELECT coalesce(string_agg(t::text, ' '), '') AS text FROM ${sql.table(name)} AS t`.execute(database.db);
    said.push([`table ${name}`, rows[0]?.text ?? '']);
  }
  said.push(...answers.map((text, index) => [`answer ${index}`, text]), ['titles', titles.join(' ')]);
  const found = said.flatMap(([where = '', text = '']) =>
    Object.entries(SECRETS)
      // Whoever sent it gets his own words back, in what he asked.
      .filter(
        ([name, secret]) => text.includes(secret) && !(where.startsWith('answer') && /^(?:api|unknown)Key$/.test(name)),
      )
      .map(([name]) => `${name} in ${where}`),
  );
  expect(found).toEqual([]);
  // Something was said at all, and would have been found.
  expect(said.find(([where]) => where === 'stderr of 0')?.[1]?.length).toBeGreaterThan(100);
  expect(answers.some((text) => text.includes('CreateWithdrawalPayload'))).toBe(true);
});
