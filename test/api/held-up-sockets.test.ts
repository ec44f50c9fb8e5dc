/** WebSockets of a process that is held up, and of clients that do not answer. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { principalOf } from '../../src/schema/principal.ts';
import { startApi } from '../support/api.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { createRows } from '../support/rows.ts';
import { connect, connectAcknowledged } from '../support/ws-client.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
  await createRows(database.db).treasury();
});

afterAll(async () => await database.close());

/** As the loop of a process that has too much to do, or too little of its machine. */
function standStill(ms: number): void {
  for (const until = performance.now() + ms; performance.now() < until; );
}

describe('a process that was held up', () => {
  test('takes the first message of a WebSocket that has come in time', async () => {
    const api = await startApi(database, { initTimeoutMs: 200 });
    const client = await connect(api.url);

    client.send({ type: 'connection_init' });
    standStill(400);

    expect(await client.next()).toEqual({ type: 'connection_ack' });
    await client.close();
    await api.stop();
  });

  test('hears the sign of life that has come in time', async () => {
    const api = await startApi(database, { heartbeatMs: 200 });
    const client = await connectAcknowledged(api.url);
    let pings = 0;
    client.socket.on('ping', () => {
      pings += 1;
      standStill(400);
    });

    await eventually(() => expect(pings).toBeGreaterThan(3));

    expect(client.socket.readyState).toBe(client.socket.OPEN);
    await client.close();
    await api.stop();
  });

  test('cuts who gives no sign of life', async () => {
    const api = await startApi(database, { heartbeatMs: 100 });
    const client = await connectAcknowledged(api.url);

    client.socket.pause();
    // It does not read, and so learns of it when it writes.
    await eventually(() => {
      if (client.socket.readyState === client.socket.OPEN) client.socket.ping();
      expect(client.socket.readyState).not.toBe(client.socket.OPEN);
    });
    await client.close();
    await api.stop();
  });
});

test('H9: nothing is read for a socket whose authority has ended, although its client does not answer', async () => {
  let isStanding = true;
  const principal = principalOf('leaving', ['read', 'subscribe']);
  const api = await startApi(database, {
    access: {
      isDemanding: true,
      authenticators: [
        { takes: () => true, prove: async () => ({ principal: { ...principal }, isStanding: () => isStanding }) },
      ],
    },
  });
  const client = await connectAcknowledged(api.url, 'Bearer leaving');
  client.send({ id: '1', type: 'subscribe', payload: { query: 'subscription { events { eventId } }' } });
  await eventually(() => expect(api.log.tail.stats().waiting).toBe(1));

  client.socket.pause();
  isStanding = false;

  await eventually(() => expect(api.log.tail.stats().waiting).toBe(0));
  client.socket.resume();
  expect((await client.closed).code).toBe(4403);
  await api.stop();
});
