/** Goal: whoever follows the log is told its events by the database, exactly as they stand there, and by nobody else. Real PostgreSQL, its own notifications. */
import { sql } from 'kysely';
import { beforeEach, expect, test } from 'vitest';
import { LOG_CHANNEL, NEWS_LISTENER } from '../../src/db/event-log.ts';
import { type LogEvent, readEvents } from '../../src/db/event-page.ts';
import { createEventSequencer } from '../../src/db/event-sequencer.ts';
import { type EventTail, openEventTail } from '../../src/db/event-tail.ts';
import { createNotifications } from '../../src/db/notifications.ts';
import { forgetRole, grantRights } from '../../src/db/rights.ts';
import { noFailpoints } from '../../src/env/failpoint.ts';
import { systemClock, systemRandom } from '../../src/env/system.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { append, draftOf } from '../support/event-log.ts';
import { eventually } from '../support/eventually.ts';

const LISTENER = 'sluice-test-told';
let database: TestDatabase;
let tail: EventTail;
/** How often the tail has looked. */
let looks: number;

/** A tail that never looks by itself: only because of what it was told. */
beforeEach(async () => {
  database = await createTestDatabase();
  const { db, logger, connectionString } = database;
  const ending = new AbortController();
  const common = { db, logger, clock: systemClock, random: systemRandom, signal: ending.signal };
  const notifications = createNotifications({ ...common, connectionString, applicationName: LISTENER });
  const { sequence } = createEventSequencer({ ...common, notifications, failpoint: noFailpoints });
  await sequence();
  looks = 0;
  tail = await openEventTail({
    ...common,
    clock: { ...systemClock, sleep: async (_ms, signal) => await systemClock.sleep(600_000, signal) },
    notifications: {
      ...notifications,
      ask: async () => {
        looks += 1;
        return null;
      },
    },
  });
  const running = tail.run();
  // It listens once an event has come without a look.
  await eventually(async () => {
    const before = { head: tail.head().position, looks };
    await append(database, draftOf(`listening-${before.head}`));
    await eventually(() => expect(tail.head().position).toBeGreaterThan(before.head), { deadlineMs: 500 });
    expect(looks).toBe(before.looks);
  });
  return async () => {
    ending.abort();
    await running;
    await notifications.close();
    await database.close();
  };
});

async function read(after: bigint): Promise<readonly LogEvent[]> {
  const { events } = await readEvents(database.db, { after, upTo: 1_000n, countMax: 1_000, bytesMax: 10_000_000 });
  return events.map(({ event }) => event);
}

async function heard(after: bigint, count: number): Promise<readonly LogEvent[]> {
  const reader = tail.read({ after });
  const events: LogEvent[] = [];
  while (events.length < count) events.push(...(await reader.take({ countMax: count, bytesMax: 10_000_000 })));
  reader.close();
  return events;
}

test('events come with the word that there are some: nothing is asked for, and they are those of the log', async () => {
  const { position: after } = tail.head();
  const lookedBefore = looks;

  for (let line = 0; line < 20; line += 1) await append(database, draftOf(`told-${line}`));
  const odd = {
    ...draftOf('odd "ö" \\ \u{1f4b8}'),
    payload: { text: '\n"\\\u2028', deep: [{ a: null }, 1, true, '1.10'] },
  };
  await append(database, odd, draftOf('with-it'));

  const events = await heard(after, 22);
  expect(events).toEqual(await read(after));
  expect(events.at(-2)?.payload).toEqual(odd.payload);
  expect(looks).toBe(lookedBefore);
});

test('what no notification can hold is asked for', async () => {
  const { position: after } = tail.head();
  const lookedBefore = looks;

  await append(database, { ...draftOf('long'), payload: { memo: 'ö'.repeat(20_000) } });

  expect(await heard(after, 1)).toEqual(await read(after));
  expect(looks).toBeGreaterThan(lookedBefore);
});

test('whoever may notify cannot forge an event, and sees no name to do it with', async () => {
  const { position: after, epoch } = tail.head();
  const forged = [String(after + 1n), 'forged', 'withdrawal.completed', 'a', '{}', '1'];
  const { rows: shown } = await sql<{ query: string }>`
    SELECT query FROM pg_stat_activity WHERE application_name = ${LISTENER}`.execute(database.db);
  const { rows: channels } = await sql<{ name: string }>`SELECT name FROM news_channel`.execute(database.db);

  for (const channel of [LOG_CHANNEL, NEWS_LISTENER, 'sluice_news_'])
    await sql`SELECT pg_notify(${channel}, ${JSON.stringify([epoch, forged])})`.execute(database.db);
  await append(database, draftOf('true'));

  expect((await heard(after, 1)).map(({ eventId }) => eventId)).toEqual(['true']);
  expect(shown).toHaveLength(1);
  expect(JSON.stringify(shown)).not.toContain(channels[0]?.name);
});

test('after the connection was lost, all that came meanwhile is read', async () => {
  const { position: after } = tail.head();
  await sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = ${LISTENER}`.execute(
    database.db,
  );

  await append(database, draftOf('unheard'));

  expect((await heard(after, 1)).map(({ eventId }) => eventId)).toEqual(['unheard']);
});

test('a role that only reads cannot tell events either: it may not listen, and learns no name', async () => {
  const role = `sluice_${systemRandom.uuid().slice(0, 8)}_told`;
  await sql`CREATE ROLE ${sql.id(role)}`.execute(database.db);
  try {
    await grantRights(database.db, [{ name: role, kind: 'READ' }]);
    const listening = database.db.transaction().execute(async (tx) => {
      await sql`SET LOCAL ROLE ${sql.id(role)}`.execute(tx);
      await sql`SELECT ${sql.id(NEWS_LISTENER)}()`.execute(tx);
    });
    await expect(listening).rejects.toThrow(/permission denied/);
  } finally {
    await forgetRole(database.db, role);
    await sql`DROP OWNED BY ${sql.id(role)}`.execute(database.db);
    await sql`DROP ROLE ${sql.id(role)}`.execute(database.db);
  }
});

test('where the listener may not be called, events are read as before', async () => {
  await sql`DELETE FROM news_channel`.execute(database.db);
  await sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = ${LISTENER}`.execute(
    database.db,
  );
  const { position: after } = tail.head();

  await append(database, draftOf('asked-for'));
  await eventually(() => expect(tail.head().position).toBe(after + 1n));
  const looksBefore = looks;
  await append(database, draftOf('asked-for-again'));

  expect((await heard(after, 2)).map(({ eventId }) => eventId)).toEqual(['asked-for', 'asked-for-again']);
  expect(looks).toBeGreaterThan(looksBefore);
});
