/** What becomes of streams when a reader stands still, or the clock. */
import { expect, test } from 'vitest';
import { formatEventCursor } from '../../src/db/event-cursor.ts';
import { startApi } from '../support/api.ts';
import { createTestDatabase } from '../support/database.ts';
import { append, draftOf } from '../support/event-log.ts';
import { eventually } from '../support/eventually.ts';
import { follow, TRANSPORTS } from '../support/follower.ts';

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
