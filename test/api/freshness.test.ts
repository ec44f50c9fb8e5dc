/** How fresh an answer says it is, and what it is made to wait for. */
import { sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { formatEventCursor, parseEventCursor } from '../../src/db/event-cursor.ts';
import { formatRecordTime } from '../../src/env/record-time.ts';
import { systemClock } from '../../src/env/system.ts';
import { ledgerKey } from '../../src/read/ledger-keys.ts';
import { readOperationFacts } from '../../src/read/operation-facts.ts';
import { formatGlobalId } from '../../src/schema/global-id.ts';
import { startApi, type TestApi } from '../support/api.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { append, draftOf } from '../support/event-log.ts';
import { createRows, SYNCHRONIZER } from '../support/rows.ts';
import { subscribeSse } from '../support/sse-client.ts';
import { connectAcknowledged } from '../support/ws-client.ts';

let database: TestDatabase;
let api: TestApi;
const PARTIES = ['fast::1220aa', 'slow::1220bb'] as const;

beforeAll(async () => {
  database = await createTestDatabase();
  const rows = createRows(database.db);
  for (const party of PARTIES) await rows.holding(`c-${party}`, '1', { party });
  api = await startApi(database, { answers: { atLeastWaitMs: 400 } });
});

afterAll(async () => {
  await api.stop();
  await database.close();
});

const SECOND = 1_000_000n;

/** Each stream is told something by a message of now, of a record time so many seconds ago. */
async function told(seconds: readonly (bigint | null)[]): Promise<void> {
  const now = systemClock.nowMicros();
  await sql`DELETE FROM synchronizer_time`.execute(database.db);
  await sql`DELETE FROM ingestion_stream`.execute(database.db);
  for (const [index, ago] of seconds.entries()) {
    await sql`INSERT INTO ingestion_stream (treasury_id, status, observed_at)
      SELECT id, 'RUNNING', ${now}::bigint FROM treasury_party WHERE party = ${PARTIES[index]}`.execute(database.db);
    if (ago === null) continue;
    await sql`INSERT INTO synchronizer_time (treasury_id, synchronizer_id, record_time)
      SELECT id, ${SYNCHRONIZER}, ${now - ago * SECOND}::bigint FROM treasury_party WHERE party = ${PARTIES[index]}`.execute(
      database.db,
    );
  }
}

const treasuryId = (party: string): string => formatGlobalId('TreasuryParty', ledgerKey('testnet', party));

beforeEach(async () => await told([2n, 3n]));

const head = async (): Promise<{ epoch: string; position: bigint }> => {
  const { data } = await api.query('{ freshness { position } }');
  return parseEventCursor(data.freshness.position);
};
const ahead = async (by = 1n): Promise<string> => {
  const { epoch, position } = await head();
  return formatEventCursor({ epoch, position: position + by });
};

test('a query tells the worst of all treasury parties, or how one of them is', async () => {
  await told([2n, 200n]);
  const query = `query ($fast: ID!) { freshness { state ageMs recordTime position } fast: freshness(treasury: $fast) { state ageMs }
    balances { nodes { total } } }`;

  const { data } = await api.query(query, { fast: treasuryId(PARTIES[0]) });

  expect(data.freshness).toMatchObject({ state: 'BEHIND' });
  expect(data.freshness.ageMs).toBeGreaterThanOrEqual(200_000);
  expect(data.freshness.ageMs).toBeLessThan(230_000);
  expect(data.fast.state).toBe('IDLE');
  expect(data.fast.ageMs).toBeLessThan(60_000);
  const { data: unknown, errors } = await api.query('query ($id: ID!) { freshness(treasury: $id) { state } }', {
    id: treasuryId('nobody::1220cc'),
  });
  expect([unknown, errors[0].extensions.code]).toEqual([null, 'ID_INVALID']);
});

test('B4: another synchronizer that is ahead says nothing of the history of ours', async () => {
  await told([3_000n, 3_000n]);
  await sql`INSERT INTO synchronizer_time (treasury_id, synchronizer_id, record_time)
    SELECT id, 'other::1220', ${systemClock.nowMicros()}::bigint FROM treasury_party`.execute(database.db);
  const demanded = formatRecordTime(systemClock.nowMicros() - 60n * SECOND);

  const { data } = await api.query(
    `{ freshness { state } ingestionStreams { freshness { state } } availableRange { to } }`,
  );
  const { errors } = await api.query(
    'query ($time: RecordTime!) @atLeast(recordTime: $time, waitMs: 0) { freshness { state } }',
    { time: demanded },
  );
  const facts = await readOperationFacts(database.db, { nowMicros: systemClock.nowMicros(), recordTimeAheadMsMax: 0 });

  expect(data.freshness.state).toBe('QUIET');
  expect(data.ingestionStreams.map((stream: { freshness: unknown }) => stream.freshness)).toEqual([
    { state: 'QUIET' },
    { state: 'QUIET' },
  ]);
  for (const { to } of data.availableRange) expect(to < demanded).toBe(true);
  expect(errors[0].extensions.code).toBe('NOT_CAUGHT_UP');
  for (const { value } of facts.filter(({ name }) => name === 'ingestion_lag_seconds')) {
    expect(value).toBeGreaterThanOrEqual(3_000);
  }
});

test('a treasury party that has not been read leaves no record time to tell', async () => {
  await told([2n, null]);

  const { data } = await api.query('{ freshness { state ageMs recordTime } }');

  expect(data.freshness).toEqual({ state: 'STARTING', ageMs: null, recordTime: null });
});

test('a position is of before the rows: what happens while they are read comes after it', async () => {
  // The rows are held back until an event has been added and numbered.
  await database.db.transaction().execute(async (tx) => {
    await sql`LOCK TABLE quarantine IN ACCESS EXCLUSIVE MODE`.execute(tx);
    const before = api.log.tail.head().position;
    const answer = api.query('{ ingestionStreams { freshness { position } } freshness { position } }');
    await systemClock.sleep(100);
    await append(database, draftOf(`while-${before}`));
    await api.log.tail.subscribe({ after: before }).next();
    await sql`COMMIT`.execute(tx);
    const { data } = await answer;

    for (const { position } of [data.freshness, data.ingestionStreams[0].freshness]) {
      expect(parseEventCursor(position).position).toBe(before);
    }
  });
});

test('@atLeast lets a query wait until the event is there', async () => {
  const cursor = await ahead();
  const startedAt = systemClock.nowMicros();
  const answer = api.query('query ($cursor: Cursor!) @atLeast(cursor: $cursor) { freshness { position } }', { cursor });
  await systemClock.sleep(150);
  await append(database, draftOf(`awaited-${cursor}`));

  const { status, data } = await answer;

  expect(status).toBe(200);
  expect(parseEventCursor(data.freshness.position).position).toBeGreaterThanOrEqual(parseEventCursor(cursor).position);
  expect(systemClock.nowMicros() - startedAt).toBeGreaterThan(140_000n);
});

test('what does not come in time is refused with how far we are, by status and by code, and may be asked again', async () => {
  const cursor = await ahead(7n);
  // As on a read replica, where the log may only be behind.
  const { status, headers, data, errors } = await api.query(
    `query ($time: RecordTime!) @atLeast(recordTime: $time, waitMs: 50) { balances { nodes { total } } }`,
    { time: formatRecordTime(systemClock.nowMicros() + 3_600n * SECOND) },
  );

  expect([status, data, headers.get('retry-after')]).toEqual([503, undefined, '1']);
  expect(errors[0].extensions).toMatchObject({
    code: 'NOT_CAUGHT_UP',
    retryable: true,
    recordTime: expect.any(String),
  });
  expect(parseEventCursor(errors[0].extensions.position)).toEqual(await head());
  expect(errors[0].extensions.waitedMs).toBeGreaterThanOrEqual(50);
  // On a primary nothing that is ahead was ever there: as a subscription says it.
  const refused = await api.query('query ($cursor: Cursor!) @atLeast(cursor: $cursor) { viewer { name } }', { cursor });
  expect(refused.errors[0].extensions).toMatchObject({ code: 'CURSOR_AHEAD', headCursor: expect.any(String) });
});

test('a record time that is here is no wait', async () => {
  const time = formatRecordTime(systemClock.nowMicros() - 60n * SECOND);

  const { data } = await api.query(
    'query ($time: RecordTime!) @atLeast(recordTime: $time, waitMs: 0) { freshness { state } }',
    { time },
  );

  expect(data.freshness.state).toBe('IDLE');
});

test.each([
  ['of another log', formatEventCursor({ epoch: 'abcdef', position: 0n }), 'CURSOR_FROM_ANOTHER_LOG'],
  ['of no log', 'AAAA', 'CURSOR_INVALID'],
])('a cursor %s is refused as a subscription refuses it, at once', async (_what, cursor, code) => {
  const { errors } = await api.query('query ($cursor: Cursor!) @atLeast(cursor: $cursor) { viewer { name } }', {
    cursor,
  });
  const socket = await connectAcknowledged(api.url);
  socket.send({
    id: '1',
    type: 'subscribe',
    payload: {
      query: 'subscription ($after: Cursor!) { deposits(after: $after) { cursor } }',
      variables: { after: cursor },
    },
  });
  const message = await socket.next();
  await socket.close();

  expect(errors[0].extensions.code).toBe(code);
  const text = JSON.stringify(message.payload);
  expect(text).toContain(JSON.stringify(errors[0].message));
  expect(text).toContain(`"${code}"`);
});

test('it holds over WebSocket and SSE alike', async () => {
  const query = 'query ($time: RecordTime!) @atLeast(recordTime: $time, waitMs: 0) { viewer { name } }';
  const variables = { time: formatRecordTime(systemClock.nowMicros() + 3_600n * SECOND) };
  const socket = await connectAcknowledged(api.url);
  socket.send({ id: '1', type: 'subscribe', payload: { query, variables } });
  const overSocket = await socket.next();
  await socket.close();
  const { stream } = await subscribeSse(api.url, { query, variables });
  const overSse = await stream.next();
  stream.cut();

  expect(JSON.stringify(overSocket.payload)).toContain('"NOT_CAUGHT_UP"');
  expect(overSse?.data).toContain('"NOT_CAUGHT_UP"');
});

test('somebody who leaves while he waits takes nobody with him', async () => {
  const cursor = await ahead();
  const query = 'query ($cursor: Cursor!) @atLeast(cursor: $cursor) { freshness { position } }';
  const leaving = new AbortController();
  const left = fetch(`${api.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query, variables: { cursor } }),
    signal: leaving.signal,
  }).catch(() => 'left');
  await systemClock.sleep(30);
  const staying = Array.from({ length: 5 }, () => api.query(query, { cursor }));
  await systemClock.sleep(45);
  leaving.abort();
  expect(await left).toBe('left');
  await systemClock.sleep(45);
  await append(database, draftOf(`stayed-${cursor}`));

  for (const { status } of await Promise.all(staying)) expect(status).toBe(200);
});

test('whoever may not read may not wait', async () => {
  const keyed = await startApi(database, {
    apiKeys: [{ name: 'writer', scopes: ['deposits'], sha256: await sha256('secret-of-writer') }],
  });
  try {
    const { errors } = await keyed.query(
      'query @atLeast(waitMs: 0) { __typename }',
      {},
      { authorization: 'Bearer secret-of-writer' },
    );

    expect(errors[0].extensions.code).toBe('FORBIDDEN');
  } finally {
    await keyed.stop();
  }
});

test('the cursor of a mutation’s payload has what it did: for @atLeast, and to subscribe from', async () => {
  const { position: before } = await head();
  await append(database, draftOf('just-before'));
  const { data, errors } = await api.query(
    `mutation { createDepositAccount(input: { account: "carol", memo: "carol-memo" }) { ... on CreateDepositAccountPayload { cursor replayed } } }`,
  );

  expect(errors).toBeUndefined();
  const { cursor } = data.createDepositAccount;
  expect(parseEventCursor(cursor).position).toBeGreaterThan(before);
  const answer = await api.query(
    'query ($cursor: Cursor!) @atLeast(cursor: $cursor, waitMs: 0) { depositAccounts(account: "carol") { nodes { memo } } }',
    { cursor },
  );
  expect(answer.data.depositAccounts.nodes).toEqual([{ memo: 'carol-memo' }]);
});

test('where nobody numbers events the mutation holds and has no cursor', async () => {
  const lonely = await createTestDatabase();
  const rows = createRows(lonely.db);
  await rows.holding('c', '1');
  const alone = await startApi(lonely);
  try {
    const holding = await lonely.db.startTransaction().execute();
    await sql`SELECT FROM event_log FOR UPDATE`.execute(holding);

    const { data } = await alone.query(
      `mutation { createDepositAccount(input: { account: "dave", memo: "dave-memo" }) { ... on CreateDepositAccountPayload { cursor replayed } } }`,
    );

    expect(data.createDepositAccount).toEqual({ cursor: null, replayed: false });
    await holding.rollback().execute();
  } finally {
    await alone.stop();
    await lonely.close();
  }
});

test('every payload of a mutation has a cursor', async () => {
  const { data } = await api.query('{ __schema { types { name fields { name } } } }');
  const payloads = data.__schema.types.filter(({ name }: { name: string }) => name.endsWith('Payload'));

  expect(payloads.length).toBeGreaterThan(8);
  for (const { name, fields } of payloads)
    expect({ name, has: fields.some((field: { name: string }) => field.name === 'cursor') }).toEqual({
      name,
      has: true,
    });
});

async function sha256(text: string): Promise<Buffer> {
  return Buffer.from(await crypto.subtle.digest('SHA-256', Buffer.from(text)));
}
