import { sql } from 'kysely';
import { afterAll, afterEach, expect, test } from 'vitest';
import { createNotifications, type Notifications } from '../../src/db/notifications.ts';
import { createSystemLogger, systemClock, systemRandom } from '../../src/env/system.ts';
import { createTestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';
import { createTcpProxy } from '../support/tcp-proxy.ts';

const database = await createTestDatabase();
afterAll(() => database.close());

const open: Notifications[] = [];
afterEach(async () => {
  for (const notifications of open.splice(0)) await notifications.close();
});

function start(connectionString: string): Notifications {
  const notifications = createNotifications({
    connectionString,
    applicationName: 'sluice-listener',
    clock: systemClock,
    random: systemRandom,
    logger: createSystemLogger('silent'),
  });
  open.push(notifications);
  return notifications;
}

async function notify(channel: string): Promise<void> {
  await sql`SELECT pg_notify(${channel}, '')`.execute(database.db);
}

test('wakes the listeners of a channel, those that came late and those of an odd name too, until they leave', async () => {
  const notifications = start(database.connectionString);
  const woken = { early: 0, late: 0, odd: 0 };
  const leave = notifications.listen('news', () => woken.early++);
  await eventually(() => expect(woken.early).toBeGreaterThan(0)); // by the connection itself
  notifications.listen('news', () => woken.late++);
  notifications.listen('An "odd" name', () => woken.odd++);
  await eventually(() => expect(woken.odd).toBeGreaterThan(0));
  const before = { ...woken };

  await notify('news');
  await notify('An "odd" name');

  await eventually(() =>
    expect(woken).toEqual({ early: before.early + 1, late: before.late + 1, odd: before.odd + 1 }),
  );
  leave();
  await notify('news');
  await eventually(() => expect(woken.late).toBe(before.late + 2));
  expect(woken.early).toBe(before.early + 1);
});

test('a lost connection is made anew, and everybody is woken once for what may have been missed', async () => {
  const notifications = start(database.connectionString);
  let woken = 0;
  notifications.listen('news', () => woken++);
  await eventually(() => expect(woken).toBe(1));

  await sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'sluice-listener'`.execute(
    database.db,
  );

  await eventually(() => expect(woken).toBe(2));
  await notify('news');
  await eventually(() => expect(woken).toBe(3));
});

test('over a dead network closing is prompt as well', async () => {
  const url = new URL(database.connectionString);
  const proxy = await createTcpProxy({ host: url.hostname, port: Number(url.port) });
  url.port = String(proxy.port);
  const notifications = start(url.href);
  let woken = 0;
  notifications.listen('news', () => woken++);
  await eventually(() => expect(woken).toBe(1));

  proxy.silence();
  const startedAt = systemClock.nowMicros();
  await notifications.close();

  expect(systemClock.nowMicros() - startedAt).toBeLessThan(2_000_000n);
  await proxy.close();
});

test('a server that cannot be reached is no error to anybody, and closing is prompt', async () => {
  const notifications = start('postgresql://nobody@127.0.0.1:1/nothing');
  let woken = 0;
  notifications.listen('news', () => woken++);

  await notifications.close();
  await notifications.close();

  expect(woken).toBe(0);
});

test('a statement goes over the connection that listens; where that fails the asker is told nothing, and it is made anew', async () => {
  const notifications = start(database.connectionString);
  let woken = 0;
  notifications.listen('news', () => woken++);
  await eventually(() => expect(woken).toBe(1));
  const double = { name: 'double', text: 'SELECT $1::bigint * 2 AS twice' };

  expect(await notifications.ask?.({ ...double, values: [21n] })).toEqual([{ twice: 42n }]);
  expect(await notifications.ask?.({ name: 'wrong', text: 'SELECT 1 / 0 AS never', values: [] })).toBeNull();

  await eventually(() => expect(woken).toBe(2)); // for what may have been missed
  expect(await notifications.ask?.({ ...double, values: [4n] })).toEqual([{ twice: 8n }]);
  await notifications.close();
  expect(await notifications.ask?.({ ...double, values: [4n] })).toBeNull();
});

test('a connection that fell silent keeps nobody who asks waiting, and is given up for another', {
  timeout: 30_000,
}, async () => {
  const target = new URL(database.connectionString);
  const proxy = await createTcpProxy({ host: target.hostname, port: Number(target.port) });
  target.hostname = '127.0.0.1';
  target.port = String(proxy.port);
  const notifications = start(target.href);
  try {
    const ask = async (value: bigint) =>
      await notifications.ask?.({ name: 'double', text: 'SELECT $1::bigint * 2 AS twice', values: [value] });
    await eventually(async () => expect(await ask(21n)).toEqual([{ twice: 42n }]));
    proxy.strand();

    const startedAt = systemClock.nowMicros();
    for (let count = 0; count < 20; count += 1) expect(await ask(1n)).toBeNull();
    expect(systemClock.nowMicros() - startedAt).toBeLessThan(4_000_000n);
    await eventually(async () => expect(await ask(4n)).toEqual([{ twice: 8n }]), { deadlineMs: 20_000 });
  } finally {
    await notifications.close();
    await proxy.close();
  }
});

test('a channel that the database does not let us listen to makes nobody deaf on the others, and is heard once it may be', async () => {
  const notifications = start(database.connectionString);
  const { db } = database;
  const woken = { before: 0, told: [] as string[], after: 0 };
  notifications.listen('before', () => woken.before++);
  notifications.listenBy?.('listen_to_what_comes', (said) => woken.told.push(said));
  notifications.listen('after', () => woken.after++);
  await eventually(() => expect(woken).toEqual({ before: 1, told: [], after: 1 }));

  await notify('before');
  await notify('after');
  await eventually(() => expect(woken).toEqual({ before: 2, told: [], after: 2 }));

  await sql`CREATE FUNCTION listen_to_what_comes() RETURNS text LANGUAGE plpgsql AS
    $$ BEGIN EXECUTE 'LISTEN secretly'; RETURN 'secretly'; END $$`.execute(db);
  notifications.listen('another', () => undefined); // Or the next sign of life.
  await eventually(() => expect(woken.told).toEqual(['']));
  await sql`SELECT pg_notify('secretly', 'news')`.execute(db);
  await eventually(() => expect(woken.told).toEqual(['', 'news']));
  expect(woken).toMatchObject({ before: 2, after: 2 });
});
