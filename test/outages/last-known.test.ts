/** Reads while the database is away: a short list of questions gets the last answer that its asker was given, which says so; nothing else is answered, and nothing is changed. */
import { readFile } from 'node:fs/promises';
import { sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createDatabase, type DatabaseConnection } from '../../src/db/connection.ts';
import type { Clock } from '../../src/env/clock.ts';
import { createSystemLogger, systemClock } from '../../src/env/system.ts';
import { parseApiKey } from '../../src/server/principals.ts';
import { startApi, type TestApi } from '../support/api.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { createRows } from '../support/rows.ts';
import { subscribeSse } from '../support/sse-client.ts';
import { createTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';
import { connectAcknowledged } from '../support/ws-client.ts';

let database: TestDatabase;
let proxy: TcpProxy;
let lane: DatabaseConnection;
let api: TestApi;
/** Microseconds that the wall clock of the API differs from ours. */
let skew = 0n;

const skewed: Clock = { ...systemClock, nowMicros: () => systemClock.nowMicros() + skew };
const PATIENCE_MS = 300;

beforeEach(async () => {
  skew = 0n;
  database = await createTestDatabase();
  const rows = createRows(database.db);
  await rows.holding('c-1', '12.5');
  await rows.depositAccount('alice-memo', 'alice');
  await rows.depositAccount('bob-memo', 'bob');
  const url = new URL(database.connectionString);
  proxy = await createTcpProxy({ host: url.hostname, port: Number(url.port) });
  url.host = `127.0.0.1:${proxy.port}`;
  const connectionString = url.href;
  lane = createDatabase({
    connectionString,
    applicationName: 'test-api',
    poolSizeMax: 4,
    logger: createSystemLogger('silent'),
    statementTimeoutMs: 3_000,
    answerTimeoutMs: 3_000,
    connectTimeoutMs: 2_000,
  });
  const keys = [
    key('one', ['read']),
    key('two', ['read']),
    key('three', ['read', 'operate']),
    key('writer', ['read', 'deposits', 'subscribe']),
  ];
  const logger = createSystemLogger('silent'); // Every loop tells that the database is away.
  api = await startApi(
    { ...database, db: lane.db, connectionString, logger },
    { clock: skewed, apiKeys: await Promise.all(keys), answers: { patienceMs: PATIENCE_MS } },
  );
});

afterEach(async () => {
  if (proxy.connections() === 0) await proxy.admit().catch(() => undefined);
  proxy.speak();
  await api.stop();
  await lane.close();
  await proxy.close();
  await database.close();
});

async function key(name: string, scopes: readonly string[]) {
  const sha256 = Buffer.from(await crypto.subtle.digest('SHA-256', Buffer.from(`secret-of-${name}`))).toString('hex');
  return parseApiKey(`${name}:${scopes.join('+')}:${sha256}`);
}

const as = (name: string) => ({ authorization: `Bearer secret-of-${name}` });
const ask = async (name: string, query: string, variables: Record<string, unknown> = {}) => {
  const response = await fetch(`${api.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...as(name) },
    body: JSON.stringify({ query, variables }),
  });
  const { data, errors, extensions } = await response.json();
  return { status: response.status, retryAfter: response.headers.get('retry-after'), data, errors, extensions };
};

const BALANCES = '{ freshness { state ageMs recordTime position } balances { nodes { total } } viewer { name } }';
const ADDRESS =
  'query ($account: String!) { depositAccounts(account: $account) { nodes { memo addresses { party } } } }';
/** What a customer's page asks, as the guide for frontends has it. */
const [, PAGE = ''] =
  /```graphql\n(query Page.*?)```/s.exec(
    await readFile(new URL('../../docs/guides/frontends.md', import.meta.url), 'utf8'),
  ) ?? [];

test('the database away: the short list is answered as last known, flagged, with an age that has the whole outage in it', async () => {
  const fresh = await ask('one', BALANCES);
  const address = await ask('one', ADDRESS, { account: 'alice' });
  expect(await ask('one', PAGE, { customer: 'alice' })).toMatchObject({ status: 200, errors: undefined });
  expect(fresh).toMatchObject({ status: 200, data: { balances: { nodes: [{ total: '12.5000000000' }] } } });
  expect(fresh.extensions).toBeUndefined();

  const awaySince = performance.now();
  await proxy.refuse();
  for (let round = 0; round < 5; round += 1) {
    await systemClock.sleep(100);
    const outageMs = performance.now() - awaySince;
    const known = await ask('one', BALANCES);

    expect(known).toMatchObject({ status: 200, data: { viewer: { name: 'one' }, freshness: { state: 'LAST_KNOWN' } } });
    expect(known.data.balances).toEqual(fresh.data.balances);
    expect(known.data.freshness.position).toBe(fresh.data.freshness.position);
    expect(known.data.freshness.ageMs).toBeGreaterThanOrEqual(outageMs);
    const page = await ask('one', PAGE, { customer: 'alice' });
    expect(page.data.transfers).toEqual({ nodes: [] });
    expect(page.data.freshness.state).toBe('LAST_KNOWN');
    // Also for whoever did not ask.
    const flagged = await ask('one', ADDRESS, { account: 'alice' });
    expect(flagged.data).toEqual(address.data);
    expect(flagged.extensions.freshness).toMatchObject({
      state: 'LAST_KNOWN',
      position: fresh.data.freshness.position,
    });
    expect(flagged.extensions.freshness.ageMs).toBeGreaterThanOrEqual(outageMs);
  }

  await proxy.admit();
  await eventually(async () => {
    const again = await ask('one', BALANCES);
    expect(again.data.freshness.state).not.toBe('LAST_KNOWN');
    expect(again.extensions).toBeUndefined();
  });
});

test('the database away: everything else is 503 with the time to wait, and nothing is changed', async () => {
  const questions = [
    '{ holdings { nodes { amount } } }',
    '{ balances { nodes { total } } halts { nodes { why } } }',
    '{ ingestionStreams { freshness { state ageMs } } }',
    'query @atLeast(waitMs: 0) { balances { nodes { total } } }',
    // Never asked before.
    '{ treasuryParties { nodes { name } } }',
  ];
  for (const question of questions.slice(0, -1)) expect((await ask('three', question)).status).toBe(200);
  const register = 'mutation { createDepositAccount(input: { account: "carol", memo: "carol-memo" }) { __typename } }';
  await proxy.refuse();

  for (const question of questions) {
    const answer = await ask('three', question);
    expect({ question, status: answer.status, code: answer.errors[0].extensions.code }).toEqual({
      question,
      status: 503,
      code: 'UNAVAILABLE',
    });
    expect(Number(answer.retryAfter)).toBeGreaterThan(0);
  }
  const refused = await ask('writer', register);
  expect(refused).toMatchObject({ status: 503, errors: [{ extensions: { code: 'UNAVAILABLE' } }] });
  expect(Number(refused.retryAfter)).toBeGreaterThan(0);
  const { rows } = await sql`SELECT FROM deposit_account WHERE memo = 'carol-memo'`.execute(database.db);
  expect(rows).toEqual([]);
});

test('Z25: a last known answer is shown to whoever was given it, for that very question, and to nobody else', async () => {
  const people = ['one', 'two', 'three', 'writer'];
  const questions = [
    { query: BALANCES, variables: {} },
    { query: `${BALANCES} `, variables: {} },
    { query: ADDRESS, variables: { account: 'alice' } },
    { query: ADDRESS, variables: { account: 'bob' } },
  ];
  const given = new Map<string, unknown>();
  for (const [line, name] of people.entries()) {
    for (const [column, { query, variables }] of questions.entries()) {
      if ((line + column) % 2 === 0) given.set(`${name}/${column}`, (await ask(name, query, variables)).data);
    }
  }
  await proxy.refuse();

  for (const name of people) {
    for (const [column, { query, variables }] of questions.entries()) {
      const answer = await ask(name, query, variables);
      const before = given.get(`${name}/${column}`);
      if (before === undefined) {
        expect({ status: answer.status, data: answer.data ?? null }).toEqual({ status: 503, data: null });
      } else {
        expect(withoutFreshness(answer.data)).toEqual(withoutFreshness(before));
        expect(answer.extensions.freshness.state).toBe('LAST_KNOWN');
      }
    }
  }
  for (const stranger of ['nobody', 'One', '']) expect((await ask(stranger, BALANCES)).status).toBe(401);
});

test('H12: no setting of the wall clock, and no ledger ahead of it, makes a last known answer younger than the outage', async () => {
  await sql`INSERT INTO ingestion_stream (treasury_id, status, observed_at) SELECT id, 'RUNNING', ${systemClock.nowMicros()}::bigint FROM treasury_party`.execute(
    database.db,
  );
  await sql`INSERT INTO synchronizer_time (treasury_id, synchronizer_id, record_time)
    SELECT id, 'sync::1220', ${systemClock.nowMicros() + 600_000_000n}::bigint FROM treasury_party`.execute(
    database.db,
  );
  await ask('one', BALANCES);
  const awaySince = performance.now();
  await proxy.refuse();

  for (const by of [0n, -3_600_000_000n, 30_000_000n]) {
    skew = by;
    await systemClock.sleep(150);
    const outageMs = performance.now() - awaySince;
    const { data } = await ask('one', BALANCES);
    expect({ by, isTrue: data.freshness.ageMs >= outageMs, state: data.freshness.state }).toEqual({
      by,
      isTrue: true,
      state: 'LAST_KNOWN',
    });
  }
});

test('a database that swallows what it is asked costs the first caller a moment, and those after him nothing', async () => {
  await ask('one', BALANCES);
  proxy.silence();
  const times: number[] = [];
  for (let round = 0; round < 4; round += 1) {
    const startedAt = performance.now();
    const { data } = await ask('one', BALANCES);
    times.push(performance.now() - startedAt);
    expect(data.freshness.state).toBe('LAST_KNOWN');
  }

  expect(times[0]).toBeGreaterThanOrEqual(PATIENCE_MS - 5);
  expect(Math.min(...times.slice(1))).toBeLessThan(PATIENCE_MS / 2);
  proxy.speak();
  await eventually(async () => expect((await ask('one', BALANCES)).data.freshness.state).not.toBe('LAST_KNOWN'), {
    deadlineMs: 15_000,
  });
});

test('a question that is slow by itself gets its last known answer, and makes nobody else’s old', async () => {
  await ask('one', BALANCES);
  await ask('one', ADDRESS, { account: 'alice' });
  const holding = Promise.withResolvers<void>();
  const locked = Promise.withResolvers<void>();
  const held = database.db.transaction().execute(async (tx) => {
    await sql`LOCK TABLE deposit_account IN ACCESS EXCLUSIVE MODE`.execute(tx);
    locked.resolve();
    await holding.promise;
  });
  await locked.promise;

  const states: unknown[] = [];
  for (let round = 0; round < 3; round += 1) {
    states.push((await ask('one', ADDRESS, { account: 'alice' })).extensions?.freshness.state);
    states.push((await ask('one', BALANCES)).extensions?.freshness.state);
  }
  holding.resolve();
  await held;

  expect(states).toEqual(Array.from({ length: 3 }, () => ['LAST_KNOWN', undefined]).flat());
});

test('whoever leaves while the database is away does not keep others from the fresh answer', async () => {
  await ask('one', BALANCES);
  proxy.silence();
  const leaving = new AbortController();
  const left = fetch(`${api.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...as('one') },
    body: JSON.stringify({ query: BALANCES }),
    signal: leaving.signal,
  }).catch(() => 'left');
  await systemClock.sleep(PATIENCE_MS / 3);
  leaving.abort();
  expect(await left).toBe('left');
  await systemClock.sleep(PATIENCE_MS * 2);
  proxy.speak();

  await eventually(async () => expect((await ask('one', BALANCES)).data.freshness.state).not.toBe('LAST_KNOWN'), {
    deadlineMs: 15_000,
  });
});

test('a server that ends every session, as in a failover, is told from an answer that is wrong: the last known one, then a fresh one', async () => {
  await ask('one', BALANCES);
  await proxy.refuse();
  expect((await ask('one', BALANCES)).data.freshness.state).toBe('LAST_KNOWN');
  // Meanwhile the ledger went on.
  await createRows(database.db).holding('c-2', '7.5');
  expect((await ask('one', BALANCES)).data.balances.nodes).toEqual([{ total: '12.5000000000' }]);

  await proxy.admit();
  await eventually(async () =>
    expect((await ask('one', BALANCES)).data.balances.nodes).toEqual([{ total: '20.0000000000' }]),
  );
  // What was given last is what is known last.
  await proxy.refuse();
  expect((await ask('one', BALANCES)).data).toMatchObject({
    freshness: { state: 'LAST_KNOWN' },
    balances: { nodes: [{ total: '20.0000000000' }] },
  });
});

test('it holds over WebSocket and SSE alike, and names and fragments change nothing', async () => {
  const query = `query Page($account: String!) { ...rest asOf: freshness { howOld: ageMs state } }
    fragment rest on Query { mine: depositAccounts(account: $account) { nodes { memo } } also: freshness { state } }`;
  const variables = { account: 'alice' };
  const socket = await connectAcknowledged(api.url, as('writer').authorization);
  const overSocket = async () => {
    socket.send({ id: '1', type: 'subscribe', payload: { query, variables } });
    const { payload } = await socket.next();
    await socket.next();
    return payload as { data: Record<string, { state: string; howOld: number }>; extensions?: { freshness: object } };
  };
  const before = await overSocket();
  expect(before.data['asOf']?.state).not.toBe('LAST_KNOWN');
  const awaySince = performance.now();
  await proxy.refuse();
  await systemClock.sleep(200);
  const outageMs = performance.now() - awaySince;

  const after = await overSocket();
  const { stream } = await subscribeSse(api.url, { query, variables }, as('writer'));
  const overSse = JSON.parse((await stream.next())?.data ?? '{}');
  stream.cut();
  await socket.close();

  for (const answer of [after, overSse]) {
    expect(answer.data['mine']).toEqual(before.data['mine']);
    expect([answer.data['asOf'].state, answer.data['also'].state]).toEqual(['LAST_KNOWN', 'LAST_KNOWN']);
    expect(answer.data['asOf'].howOld).toBeGreaterThanOrEqual(outageMs);
    expect(answer.extensions.freshness).toMatchObject({ state: 'LAST_KNOWN' });
  }
});

function withoutFreshness(data: unknown): unknown {
  const { freshness: _freshness, ...rest } = data as Record<string, unknown>;
  return rest;
}
