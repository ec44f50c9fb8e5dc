/** What a subscriber sees: every event once, in order, from the ring, from the database and over the change between them. */
import { sql } from 'kysely';
import { beforeAll, describe, expect, test } from 'vitest';
import { formatEventCursor } from '../../src/db/event-cursor.ts';
import { appendEvents } from '../../src/db/event-log.ts';
import type { LogEvent } from '../../src/db/event-page.ts';
import type { Events, EventTail } from '../../src/db/event-tail.ts';
import { createSeededRandom } from '../../src/env/random.ts';
import { systemClock } from '../../src/env/system.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { append, draftOf, startEventLog } from '../support/event-log.ts';
import { eventually } from '../support/eventually.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
  return async () => await database.close();
});

/** The next `count` events; the iterator stays open. */
async function take(events: Events, count: number): Promise<LogEvent[]> {
  const taken: LogEvent[] = [];
  while (taken.length < count) {
    const { value, done } = await events.next();
    if (done === true) break;
    taken.push(value);
  }
  return taken;
}

const idsOf = (events: readonly LogEvent[]): string[] => events.map((event) => event.eventId);

async function untilHead(tail: EventTail, position: bigint): Promise<void> {
  await eventually(() => expect(tail.head().position).toBeGreaterThanOrEqual(position));
}

describe('the tail', () => {
  test('delivers what comes, wakes whoever waits, and polls for nobody', async () => {
    const { tail, stop } = await startEventLog(database);
    const { position: after } = tail.head();
    const subscribers = Array.from({ length: 50 }, () => tail.subscribe({ after }));

    const waiting = subscribers.map(async (events) => idsOf(await take(events, 2)));
    await append(database, draftOf('live-1'));
    await append(database, draftOf('live-2'));

    for (const ids of await Promise.all(waiting)) expect(ids).toEqual(['live-1', 'live-2']);
    expect(tail.stats().pagesRead).toBe(0);
    await stop();
    for (const events of subscribers) expect((await events.next()).done).toBe(true);
  });

  test('a subscriber behind the ring reads pages, then the ring, without gap or overlap', async () => {
    const { tail, stop } = await startEventLog(database, { ringCountMax: 20 });
    const { position: after } = tail.head();
    await append(database, ...Array.from({ length: 250 }, (_, line) => draftOf(`page-${line}`)));
    await untilHead(tail, after + 250n);
    const events = tail.subscribe({ after });

    const first = await take(events, 240);
    await append(database, ...Array.from({ length: 50 }, (_, line) => draftOf(`page-${250 + line}`)));
    const rest = await take(events, 60);

    expect(idsOf([...first, ...rest])).toEqual(Array.from({ length: 300 }, (_, line) => `page-${line}`));
    expect(tail.stats().ringCount).toBe(20);
    expect(tail.stats().pagesRead).toBeGreaterThan(0);
    await events.return();
    await stop();
  });

  test('a subscription to some types sees those alone and knows how far it has read', async () => {
    const { tail, stop } = await startEventLog(database, { ringCountMax: 5 });
    const { position: after } = tail.head();
    const drafts = Array.from({ length: 300 }, (_, line) =>
      draftOf(`typed-${line}`, line % 100 === 7 ? 'test.rare' : line % 100 === 8 ? 'test.rarer' : 'test.noise'),
    );
    await append(database, ...drafts);
    await untilHead(tail, after + 300n);
    const events = tail.subscribe({ after, types: ['test.rare', 'test.rarer', 'test.rare'] });

    const found = await take(events, 6);
    const live = take(events, 1);
    await eventually(() => expect(tail.stats().waiting).toBe(1));
    const { pagesRead } = tail.stats();
    await append(database, draftOf('typed-noise', 'test.noise'), draftOf('typed-live', 'test.rare'));

    expect(idsOf(found)).toEqual(['typed-7', 'typed-8', 'typed-107', 'typed-108', 'typed-207', 'typed-208']);
    expect(idsOf(await live)).toEqual(['typed-live']);
    expect(tail.stats().pagesRead).toBe(pagesRead);
    await events.return();
    await stop();
  });

  test('the page of a filtered subscription is read from the index by type and position', async () => {
    const explained = await database.db.transaction().execute(async (tx) => {
      await sql`SET LOCAL enable_seqscan = off`.execute(tx);
      return await sql<{ 'QUERY PLAN': string }>`
        EXPLAIN SELECT position FROM event WHERE type = 'x' AND position > 1 AND position <= 9 ORDER BY position LIMIT 5
      `.execute(tx);
    });
    const plan = explained.rows.map((row) => row['QUERY PLAN']).join('\n');

    expect(plan).toContain('event_by_type');
    expect(plan).not.toContain('Sort');
  });

  test('a subscriber can leave while nothing happens', async () => {
    const { tail, stop } = await startEventLog(database);
    const events = tail.subscribe({ after: tail.head().position });
    const pending = events.next();
    await eventually(() => expect(tail.stats().waiting).toBe(1));

    await events.return();

    expect(await pending).toEqual({ done: true, value: undefined });
    expect(tail.stats().waiting).toBe(0);
    await stop();
  });

  test('a slow subscriber buffers nothing and still gets everything', async () => {
    const { tail, stop } = await startEventLog(database, { ringCountMax: 50 });
    const { position: after } = tail.head();
    const slow = tail.subscribe({ after });
    const fast = tail.subscribe({ after });

    const first = take(slow, 1);
    const all = take(fast, 1_000);
    for (let block = 0; block < 10; block++) {
      await append(database, ...Array.from({ length: 100 }, (_, line) => draftOf(`slow-${block * 100 + line}`)));
    }
    expect(idsOf(await all)).toEqual(Array.from({ length: 1_000 }, (_, line) => `slow-${line}`));
    expect(idsOf(await first)).toEqual(['slow-0']);
    // Nothing was read ahead for the one that does not ask.
    expect(tail.stats()).toMatchObject({ ringCount: 50, waiting: 0 });

    const rest = await take(slow, 999);

    // From pages of the database: read for it, or for the fast one when that fell behind.
    expect(idsOf(rest)).toEqual(Array.from({ length: 999 }, (_, line) => `slow-${line + 1}`));
    expect(tail.stats().pageBytes).toBeGreaterThan(0);
    await slow.return();
    await fast.return();
    await stop();
  });

  test('a cursor of another process that is a moment ahead is waited for, one from nowhere is refused', async () => {
    const { tail, stop } = await startEventLog(database);
    const { epoch, position } = tail.head();
    await append(database, draftOf('ahead-1'), draftOf('ahead-2'));
    await eventually(async () => {
      const end = await database.db.selectFrom('event_log').select('last_position').executeTakeFirstOrThrow();
      expect(end.last_position).toBe(position + 2n);
    });

    const point = await tail.pointAfter(formatEventCursor({ epoch, position: position + 1n }));
    expect(idsOf(await take(tail.subscribe({ after: point.position }), 1))).toEqual(['ahead-2']);
    await expect(tail.pointAfter(formatEventCursor({ epoch, position: position + 99n }))).rejects.toMatchObject({
      code: 'CURSOR_AHEAD',
    });
    await expect(tail.pointAfter(formatEventCursor({ epoch: 'ab', position: 1n }))).rejects.toMatchObject({
      code: 'CURSOR_FROM_ANOTHER_LOG',
    });
    await expect(tail.pointAfter('garbage')).rejects.toMatchObject({ code: 'CURSOR_INVALID' });
    expect(await tail.pointAfter(null)).toEqual(tail.head());
    await stop();
  });
});

describe('the feed', () => {
  test('C10: a reader cut off at random sees every event once, in order, beside concurrent and open transactions', async () => {
    const { tail, stop } = await startEventLog(database, { sequencersCount: 3, ringCountMax: 64 });
    const random = createSeededRandom(20_261_122);
    const start = tail.head().position;
    const open = await database.db.startTransaction().execute();
    await appendEvents(open, [draftOf('feed-open')]);
    const writersCount = 3;
    const perWriter = 120;
    const writers = Array.from({ length: writersCount }, async (_, writer) => {
      for (let line = 0; line < perWriter; line++) {
        await database.db.transaction().execute(async (tx) => {
          await appendEvents(tx, [draftOf(`feed-${writer}-${line}`)]);
          // Commits out of the order in which the numbers were drawn.
          await systemClock.sleep(random.next() * 4);
        });
      }
    });

    const seen: LogEvent[] = [];
    let cursor = formatEventCursor({ epoch: tail.head().epoch, position: start });
    const read = async (count: number): Promise<void> => {
      while (seen.length < count) {
        const point = await tail.pointAfter(cursor);
        const events = tail.subscribe({ after: point.position });
        const cutAfter = 1 + Math.floor(random.next() * 40);
        for (const event of await take(events, Math.min(cutAfter, count - seen.length))) {
          seen.push(event);
          cursor = formatEventCursor({ epoch: point.epoch, position: event.position });
        }
        await events.return();
      }
    };
    await Promise.all([...writers, read(writersCount * perWriter)]);
    expect(idsOf(seen)).not.toContain('feed-open');
    await open.commit().execute();
    await read(writersCount * perWriter + 1);

    expect(seen.map((event) => event.position)).toEqual(seen.map((_, index) => start + 1n + BigInt(index)));
    expect(new Set(idsOf(seen)).size).toBe(writersCount * perWriter + 1);
    expect(seen.at(-1)?.eventId).toBe('feed-open');
    await stop();
  });

  test('a log that went back ends the tail instead of being misread', async () => {
    const { tail, ended, stop } = await startEventLog(database);
    await append(database, draftOf('restored'));
    await untilHead(tail, 1n);
    const { epoch } = tail.head();

    await database.db.updateTable('event_log').set({ epoch: 'fffe' }).execute();
    await ended;

    await expect(stop()).rejects.toMatchObject({ code: 'EVENT_LOG_REPLACED' });
    await database.db.updateTable('event_log').set({ epoch }).execute();
  });
});
