/** What becomes of streams when a reader stands still, or the clock. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { formatEventCursor } from '../../src/db/event-cursor.ts';
import type { Clock } from '../../src/env/clock.ts';
import { systemClock } from '../../src/env/system.ts';
import { startApi } from '../support/api.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { append, draftOf } from '../support/event-log.ts';
import { eventually } from '../support/eventually.ts';
import { follow, TRANSPORTS } from '../support/follower.ts';
import { createRows } from '../support/rows.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
  await createRows(database.db).treasury();
});

afterAll(async () => await database.close());

test.each(TRANSPORTS)(
  'H2: a reader far behind that stands still over %s holds nothing it has not been sent, and misses nothing',
  async (transport) => {
    const own = await createTestDatabase();
    const api = await startApi(own, { ringCountMax: 8, slowReaderMs: 60_000 });
    const after = formatEventCursor(api.log.tail.head());
    const count = 700;
    const text = 'x'.repeat(30_000);
    // 21 MB, more than the buffers of any socket on this machine.
    await append(own, ...Array.from({ length: count }, (_, line) => ({ ...draftOf(`${line}`), payload: { text } })));
    await eventually(() => expect(api.log.tail.head().position).toBe(BigInt(count)), { deadlineMs: 15_000 });
    const query = 'subscription ($after: Cursor) { events(after: $after) { eventId payload } }';
    const stopped = await Promise.all(
      [1, 2, 3].map(async () => await follow(transport, api.url, { query, variables: { after } })),
    );
    for (const follower of stopped) follower.pause();

    let pagesRead = -1;
    await eventually(
      () => {
        const before = pagesRead;
        ({ pagesRead } = api.log.tail.stats());
        expect(pagesRead).toBeGreaterThan(0);
        expect(pagesRead).toBe(before);
      },
      { deadlineMs: 15_000, intervalMs: 500 },
    );
    expect(api.log.tail.stats()).toMatchObject({ waiting: 0, readAhead: 0 });

    for (const follower of stopped) follower.resume();
    for (const follower of stopped) {
      for (let line = 0; line < count; line++) {
        const told = await follower.next();
        const item = told.kind === 'ITEM' ? told.result.data?.['events'] : told;
        expect(item).toMatchObject({ eventId: `${line}` });
      }
      follower.cut();
    }
    await eventually(() => expect(api.log.tail.stats()).toMatchObject({ waiting: 0, readAhead: 0 }));
    await api.stop();
    await own.close();
  },
  60_000,
);

test.each(TRANSPORTS)(
  'H2: nor does one over %s who is sent little at a time',
  async (transport) => {
    const own = await createTestDatabase();
    // No sign of life meanwhile: it is a write of its own, and shows by itself that nothing is read.
    const api = await startApi(own, { ringCountMax: 8, slowReaderMs: 60_000, heartbeatMs: 600_000 });
    const after = formatEventCursor(api.log.tail.head());
    const count = 16_000;
    const text = 'x'.repeat(1_500);
    // 24 MB, in answers of which a batch is less than what a response takes before it says that it is full.
    await append(own, ...Array.from({ length: count }, (_, line) => ({ ...draftOf(`${line}`), payload: { text } })));
    await eventually(() => expect(api.log.tail.head().position).toBe(BigInt(count)), { deadlineMs: 15_000 });
    const query = 'subscription ($after: Cursor) { events(after: $after) { eventId payload } }';
    const stopped = await follow(transport, api.url, { query, variables: { after } });
    stopped.pause();

    let pagesRead = -1;
    await eventually(
      () => {
        const before = pagesRead;
        ({ pagesRead } = api.log.tail.stats());
        expect(pagesRead).toBeGreaterThan(0);
        expect(pagesRead).toBe(before);
      },
      { deadlineMs: 20_000, intervalMs: 500 },
    );
    expect(pagesRead).toBeLessThan(count / 100 - 10);
    expect(api.log.tail.stats()).toMatchObject({ waiting: 0, readAhead: 0 });

    stopped.resume();
    for (let line = 0; line < count; line++) {
      const told = await stopped.next();
      const item = told.kind === 'ITEM' ? told.result.data?.['events'] : told;
      expect(item).toMatchObject({ eventId: `${line}` });
    }
    stopped.cut();
    await eventually(() => expect(api.log.tail.stats()).toMatchObject({ waiting: 0, readAhead: 0 }));
    await api.stop();
    await own.close();
  },
  60_000,
);

test('H12: whoever waits for @atLeast waits no longer when the wall clock is set back', async () => {
  let skew = 0n;
  const clock: Clock = { ...systemClock, nowMicros: () => systemClock.nowMicros() + skew };
  const api = await startApi(database, { clock, answers: { atLeastWaitMs: 1_500 } });
  const time = '2999-01-01T00:00:00Z';

  const asking = api.query('query ($time: RecordTime!) @atLeast(recordTime: $time) { viewer { name } }', { time });
  await systemClock.sleep(300);
  skew = -3_600_000_000n;
  const { errors } = await asking;

  expect(errors[0].extensions).toMatchObject({ code: 'NOT_CAUGHT_UP', waitedMs: expect.any(Number) });
  expect(errors[0].extensions.waitedMs).toBeLessThan(10_000);
  await api.stop();
});

test.each(TRANSPORTS)(
  'what has no name of its own is told over %s to whoever names OTHER, beside what else is named',
  async (transport) => {
    const api = await startApi(database, { ringCountMax: 2 });
    const after = formatEventCursor(api.log.tail.head());
    const of = (what: string): string => `${transport}-${what}`;
    await append(
      database,
      draftOf(of('named'), 'halt.changed'),
      draftOf(of('left-out'), 'policy.changed'),
      draftOf(of('other')),
    );
    const query =
      'subscription ($after: Cursor) { events(after: $after, types: [HALT_CHANGED, OTHER]) { eventId type } }';

    const follower = await follow(transport, api.url, { query, variables: { after } });

    for (const expected of [
      { eventId: of('named'), type: 'HALT_CHANGED' },
      { eventId: of('other'), type: 'OTHER' },
    ]) {
      expect(await follower.next()).toEqual({ kind: 'ITEM', result: { data: { events: expected } } });
    }
    follower.cut();
    await api.stop();
  },
);
