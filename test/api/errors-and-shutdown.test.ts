/** What clients see when something is wrong inside, and when the server goes away. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createDatabase } from '../../src/db/connection.ts';
import { startApi } from '../support/api.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { createRows } from '../support/rows.ts';
import { subscribeSse } from '../support/sse-client.ts';
import { connectAcknowledged } from '../support/ws-client.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
  await createRows(database.db).treasury();
});

afterAll(async () => {
  await database.close();
});

describe('the unexpected', () => {
  test('is masked on every transport, with an id that the log has too', async () => {
    const broken = createDatabase({
      connectionString: database.connectionString,
      applicationName: 'sluice-test-broken',
      poolSizeMax: 2,
      logger: database.logger,
    });
    const db = broken.db.withPlugin({
      transformQuery: () => {
        throw new TypeError('secret detail');
      },
      transformResult: async ({ result }) => result,
    });
    const api = await startApi(database, { db });
    const query = '{ treasuryParties { nodes { name } } }';

    const overHttp = await api.query(query);
    const client = await connectAcknowledged(api.url);
    client.send({ id: 'x', type: 'subscribe', payload: { query } });
    const overWebSocket = (await client.next()).payload as { errors: unknown[] };
    const { stream } = await subscribeSse(api.url, { query });
    const overSse = JSON.parse((await stream.next())?.data ?? '') as { errors: unknown[] };

    for (const errors of [overHttp.errors, overWebSocket.errors, overSse.errors]) {
      expect(errors).toEqual([
        {
          message: 'Unexpected error.',
          path: ['treasuryParties'],
          locations: expect.anything(),
          extensions: { code: 'INTERNAL_SERVER_ERROR', errorId: expect.any(String) },
        },
      ]);
      const { errorId } = errors[0].extensions;
      const line = api.lines.find(({ fields }) => fields['errorId'] === errorId);
      expect(line).toMatchObject({ level: 'error', fields: { error: 'secret detail', path: ['treasuryParties'] } });
    }
    await client.close();
    stream.cut();
    await api.stop();
    await broken.close();
  });

  test('in the middle of a feed is masked, and the feed goes on', async () => {
    const rows = createRows(database.db);
    const api = await startApi(database);
    const client = await connectAcknowledged(api.url);
    client.send({ id: 'f', type: 'subscribe', payload: { query: 'subscription { deposits { updateId } }' } });
    await eventually(() => expect(api.log.tail.stats().waiting).toBe(1));

    // A payload of a shape nobody writes.
    await database.db
      .insertInto('event_outbox')
      .values({ event_id: 'odd', type: 'deposit.credited', subject: 'x', payload: '{}', recorded_at: 1n })
      .execute();
    const odd = await client.next();
    await rows.depositEvent('after-odd');

    expect(JSON.stringify(odd)).toContain('INTERNAL_SERVER_ERROR');
    expect(JSON.stringify(odd)).not.toContain('invalid_type');
    expect(await client.next()).toMatchObject({ payload: { data: { deposits: { updateId: 'after-odd' } } } });
    await client.close();
    await api.stop();
  });

  test('a database that is away is 503 with the time to wait, and not ready', async () => {
    const away = createDatabase({
      connectionString: 'postgresql://nobody:x@127.0.0.1:1/nothing',
      applicationName: 'sluice-test-away',
      poolSizeMax: 2,
      logger: database.logger,
      connectTimeoutMs: 500,
    });
    const api = await startApi(database, { db: away.db });

    const read = await api.query('{ treasuryParties { nodes { name } } }');
    const write = await api.query('mutation { createDepositAccount(input: { account: "a" }) { __typename } }');
    const ready = await fetch(`${api.url}/readyz`);
    const healthy = await fetch(`${api.url}/healthz`);

    for (const answer of [read, write]) {
      expect(answer.status).toBe(503);
      expect(answer.headers.get('retry-after')).toBe('2');
      expect(answer.errors[0].extensions).toEqual({ code: 'UNAVAILABLE', retryAfterSeconds: 2 });
      expect(JSON.stringify(answer.errors)).not.toContain('127.0.0.1');
    }
    expect(ready.status).toBe(503);
    expect(healthy.status).toBe(200);
    await api.stop();
    await away.close();
  });
});

describe('shutdown', () => {
  test('closes WebSockets with 1001 and cuts SSE, and completes neither', async () => {
    const api = await startApi(database);
    const query = 'subscription { deposits { eventId } }';
    const client = await connectAcknowledged(api.url);
    client.send({ id: 'f', type: 'subscribe', payload: { query } });
    const { stream } = await subscribeSse(api.url, { query });
    await eventually(() => expect(api.log.tail.stats().waiting).toBe(2));
    const messages: string[] = [];
    client.socket.on('message', (data) => messages.push(String(data)));
    const streamEnd = stream.next();

    await api.stop();

    expect(await client.closed).toEqual({ code: 1001, reason: 'Going away' });
    expect(messages).toEqual([]);
    expect(await streamEnd).toBeNull();
    expect(api.log.tail.stats().waiting).toBe(0);
    await expect(fetch(`${api.url}/healthz`)).rejects.toThrow();
  });

  test('lets a running request finish', async () => {
    const api = await startApi(database, { drainMs: 5_000 });
    // Held up by a lock on the row that the mutation's transaction needs.
    const blocker = await database.db.startTransaction().execute();
    await blocker.insertInto('account').values({ network_id: 1, kind: 'CUSTOMER', owner: 'slow' }).execute();
    const mutation = api.query(
      'mutation { createDepositAccount(input: { account: "slow", memo: "slow" }) { __typename } }',
    );
    await eventually(async () => {
      const { rows } = await waitingStatements();
      expect(rows.length).toBeGreaterThan(0);
    });

    const stopping = api.stop();
    await blocker.commit().execute();
    const { data } = await mutation;
    await stopping;

    expect(data.createDepositAccount.__typename).toBe('CreateDepositAccountPayload');
  });

  test('is harmless when repeated', async () => {
    const api = await startApi(database);

    await Promise.all([api.stop(), api.stop()]);
  });

  async function waitingStatements() {
    const { sql } = await import('kysely');
    return await sql`
      SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
    `.execute(database.db);
  }
});
