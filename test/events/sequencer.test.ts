/** Positions are dense, follow commits per subject, and wait for nobody. Real PostgreSQL, several connections. */
import pg from 'pg';
import { beforeAll, describe, expect, test } from 'vitest';
import { appendEvents } from '../../src/db/event-log.ts';
import { createEventSequencer, type EventSequencer, type EventSequencerOptions } from '../../src/db/event-sequencer.ts';
import { createNotifications, type Notifications } from '../../src/db/notifications.ts';
import { type Failpoint, noFailpoints } from '../../src/env/failpoint.ts';
import { systemClock, systemRandom } from '../../src/env/system.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { append, draftOf } from '../support/event-log.ts';
import { eventually } from '../support/eventually.ts';

let database: TestDatabase;
let notifications: Notifications;

beforeAll(async () => {
  database = await createTestDatabase();
  notifications = createNotifications({
    connectionString: database.connectionString,
    applicationName: 'sluice-test-listen',
    clock: systemClock,
    random: systemRandom,
    logger: database.logger,
  });
  return async () => {
    await notifications.close();
    await database.close();
  };
});

function sequencer(options: Partial<EventSequencerOptions> = {}): EventSequencer {
  const { signal } = new AbortController();
  const { db, logger } = database;
  return createEventSequencer({
    db,
    notifications,
    clock: systemClock,
    random: systemRandom,
    logger,
    signal,
    failpoint: noFailpoints,
    ...options,
  });
}

async function drain(): Promise<void> {
  const { sequence } = sequencer();
  while ((await sequence()) > 0);
}

async function log(): Promise<readonly { position: bigint; event_id: string }[]> {
  return await database.db.selectFrom('event').select(['position', 'event_id']).orderBy('position').execute();
}

async function positionsAfter(position: bigint): Promise<string[]> {
  return (await log()).filter((event) => event.position > position).map((event) => event.event_id);
}

async function head(): Promise<bigint> {
  return (await database.db.selectFrom('event_log').select('last_position').executeTakeFirstOrThrow()).last_position;
}

/** Until a sequencer has looked again, whoever writes leaves his events to it. */
async function numberNothingAtCommit(): Promise<void> {
  await database.db.updateTable('event_log').set({ vouched: null }).execute();
}

describe('the sequencer', () => {
  test('numbers the drafts of one call in their order', async () => {
    const before = await head();
    await append(database, draftOf('order-c'), draftOf('order-a'), draftOf('order-b'));

    await drain();

    expect(await positionsAfter(before)).toEqual(['order-c', 'order-a', 'order-b']);
    expect(await head()).toBe(before + 3n);
  });

  test('a rolled back append leaves neither event nor gap', async () => {
    const before = await head();
    await expect(
      database.db.transaction().execute(async (tx) => {
        await appendEvents(tx, [draftOf('rolled-back')]);
        throw new Error('no');
      }),
    ).rejects.toThrow('no');
    await numberNothingAtCommit();
    await append(database, draftOf('after-rollback'));

    await drain();

    expect((await log()).filter(({ position }) => position > before)).toEqual([
      { position: before + 1n, event_id: 'after-rollback' },
    ]);
    expect(await head()).toBe(before + 1n);
  });

  test('an event appended again changes nothing, in the outbox or in the log', async () => {
    const before = await head();
    await append(database, draftOf('twice'), draftOf('twice'));
    await append(database, draftOf('twice'));
    await drain();
    await append(database, draftOf('twice'), draftOf('once'));

    await drain();

    expect(await positionsAfter(before)).toEqual(['twice', 'once']);
    expect(await head()).toBe(before + 2n);
    expect(await database.db.selectFrom('event_outbox').select('event_id').execute()).toEqual([]);
  });

  test('C10: a transaction that stays open delays its own events alone, and is skipped by nobody', async () => {
    const before = await head();
    const slow = await database.db.startTransaction().execute();
    await appendEvents(slow, [draftOf('slow')]);
    await append(database, draftOf('fast'));
    await drain();
    expect(await positionsAfter(before)).toEqual(['fast']);

    await slow.commit().execute();
    await drain();

    expect(await positionsAfter(before)).toEqual(['fast', 'slow']);
  });

  test('events of one subject keep the order of the row changes they tell about', async () => {
    const before = await head();
    await database.db.insertInto('network').values({ name: 'subject' }).execute();
    const order: string[] = [];
    const change = async (eventId: string): Promise<void> => {
      await database.db.transaction().execute(async (tx) => {
        await tx.updateTable('network').set({ name: 'subject' }).where('name', '=', 'subject').execute();
        // Under the row lock: this is the order of the changes.
        order.push(eventId);
        await appendEvents(tx, [draftOf(eventId)]);
        await systemClock.sleep(order.length % 4);
      });
    };

    let isDone = false;
    const sequencing = (async () => {
      const { sequence } = sequencer();
      while (!isDone) await sequence();
    })();
    await Promise.all(Array.from({ length: 20 }, async (_, index) => await change(`subject-${index}`)));
    isDone = true;
    await sequencing;
    await drain();

    expect(order).toHaveLength(20);
    expect(await positionsAfter(before)).toEqual(order);
  });

  test('C10: many sequencers and writers at once: dense, each once', async () => {
    const before = await head();
    const writers = Array.from({ length: 6 }, async (_, writer) => {
      for (let line = 0; line < 30; line++) await append(database, draftOf(`many-${writer}-${line}`));
    });
    const ending = new AbortController();
    const sequencers = Array.from({ length: 4 }, async () => {
      const { sequence } = sequencer();
      while (!ending.signal.aborted) if ((await sequence()) === 0) await systemClock.sleep(1, ending.signal);
    });

    await Promise.all(writers);
    ending.abort();
    await Promise.all(sequencers);
    await drain();

    const events = (await log()).filter((event) => event.position > before);
    expect(events.map((event) => event.position)).toEqual(events.map((_, index) => before + 1n + BigInt(index)));
    expect(new Set(events.map((event) => event.event_id)).size).toBe(180);
    for (let writer = 0; writer < 6; writer++) {
      const own = events.filter((event) => event.event_id.startsWith(`many-${writer}-`)).map((event) => event.event_id);
      expect(own).toEqual(Array.from({ length: 30 }, (_, line) => `many-${writer}-${line}`));
    }
  });

  test('while somebody numbers, everybody else leaves it to him, and waits for nobody', async () => {
    const before = await head();
    const rival = new pg.Client({ connectionString: database.connectionString });
    await rival.connect();
    await rival.query(
      'BEGIN; SELECT pg_try_advisory_xact_lock(1397511497, 1397051697); SELECT FROM event_log FOR UPDATE',
    );
    await append(database, draftOf('left-1'));

    await expect(sequencer().sequence()).resolves.toBe(0);
    expect(await positionsAfter(before)).toEqual([]);
    await rival.query('COMMIT');
    await rival.end();
    await drain();

    expect(await positionsAfter(before)).toEqual(['left-1']);
  });

  test('C9: what no notification told of is numbered a poll later', async () => {
    const before = await head();
    const ending = new AbortController();
    const deaf: Notifications = { listen: () => () => undefined, close: async () => undefined };
    const looked = Promise.withResolvers<void>();
    const running = sequencer({
      notifications: deaf,
      signal: ending.signal,
      failpoint: async (reached) => {
        if (reached === 'eventLog.afterSequence') looked.resolve();
      },
    }).run();
    await looked.promise;
    await numberNothingAtCommit();

    await append(database, draftOf('untold'));

    await eventually(async () => expect(await positionsAfter(before)).toEqual(['untold']), { deadlineMs: 4_000 });
    ending.abort();
    await running;
  });

  test('a crash before or after a batch loses and repeats nothing', async () => {
    const before = await head();
    await numberNothingAtCommit();
    await append(database, draftOf('crash-1'), draftOf('crash-2'));
    const crashAt =
      (name: string): Failpoint =>
      async (reached) => {
        if (reached === name) throw new Error(`crashed at ${name}`);
      };

    await expect(sequencer({ failpoint: crashAt('eventLog.beforeSequence') }).sequence()).rejects.toThrow(
      'beforeSequence',
    );
    expect(await positionsAfter(before)).toEqual([]);
    await expect(sequencer({ failpoint: crashAt('eventLog.afterSequence') }).sequence()).rejects.toThrow(
      'afterSequence',
    );
    expect(await positionsAfter(before)).toEqual(['crash-1', 'crash-2']);
    await drain();

    expect(await positionsAfter(before)).toEqual(['crash-1', 'crash-2']);
  });
});
