/** A log that is replaced while it is read. */
import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { formatEventCursor } from '../../src/db/event-cursor.ts';
import { LOG_CHANNEL } from '../../src/db/event-log.ts';
import { systemClock } from '../../src/env/system.ts';
import { createTestDatabase } from '../support/database.ts';
import { append, draftOf, startEventLog } from '../support/event-log.ts';
import { eventually } from '../support/eventually.ts';

test('H3: what stands in a log that took the place of the known one between two looks is told to nobody', async () => {
  const database = await createTestDatabase();
  const log = await startEventLog(database);
  const reader = log.tail.read({ after: 0n });
  const taking = reader.take({ countMax: 10, bytesMax: 1_000 });

  await database.db.transaction().execute(async (tx) => {
    await tx.updateTable('event_log').set({ epoch: 'fffe', last_position: 1n }).execute();
    await sql`INSERT INTO event VALUES (1, 'of the other log', 'test.happened', 'other', '{}', 1)`.execute(tx);
    await sql`SELECT pg_notify(${LOG_CHANNEL}, '')`.execute(tx);
  });

  await expect(taking).rejects.toMatchObject({ code: 'CURSOR_FROM_ANOTHER_LOG' });
  await expect(log.stop()).rejects.toMatchObject({ code: 'EVENT_LOG_REPLACED' });
  await database.close();
});

test('C3: a reader that is ahead when the database goes back is told so, and passes over nothing', async () => {
  const database = await createTestDatabase();
  const log = await startEventLog(database);
  await append(database, draftOf('1'), draftOf('2'));
  await eventually(() => expect(log.tail.head().position).toBe(2n));
  const { epoch } = log.tail.head();
  // By the word of a database that had four, when two were read here.
  const taking = log.tail.read({ after: 4n }).take({ countMax: 10, bytesMax: 1_000 });
  const refused = expect(taking).rejects.toMatchObject({
    code: 'CURSOR_FROM_ANOTHER_LOG',
    facts: { resumeCursor: formatEventCursor({ epoch: 'fffe', position: 2n }) },
  });

  await database.db.transaction().execute(async (tx) => {
    const ended = { reason: 'WENT_BACK' as const, history_before: 'a', history_after: 'a', detail: 'a test' };
    await tx
      .insertInto('event_log_epoch')
      .values({ epoch, shared_position: 2n, ...ended, ended_at: systemClock.nowMicros() })
      .execute();
    await tx.updateTable('event_log').set({ epoch: 'fffe' }).execute();
  });
  await eventually(() => expect(log.tail.head().epoch).toBe('fffe'));
  await append(database, draftOf('3'), draftOf('4'), draftOf('5'));

  await refused;
  await log.stop();
  await database.close();
});

test('C3: of a log that went back, and has no other epoch yet, no cursor is called ahead: neither by a reader nor by whoever comes', async () => {
  const database = await createTestDatabase();
  const log = await startEventLog(database, { sequencersCount: 1 });
  for (const id of ['1', '2', '3', '4']) await append(database, draftOf(id));
  await eventually(() => expect(log.tail.head().position).toBe(4n));
  const { epoch } = log.tail.head();
  const reader = log.tail.read({ after: 3n });
  expect(await reader.take({ countMax: 10, bytesMax: 1_000 })).toHaveLength(1);
  // Whoever numbers events looks as well, and may be the first to give the log another epoch.
  const code = expect.stringMatching(/^(DB_IN_DOUBT|CURSOR_FROM_ANOTHER_LOG)$/);
  const refused = expect(reader.take({ countMax: 10, bytesMax: 1_000 })).rejects.toMatchObject({ code });

  await database.db.transaction().execute(async (tx) => {
    // First, as whoever numbers events locks it first.
    await sql`UPDATE event_log SET last_position = 2`.execute(tx);
    await sql`ALTER TABLE event DISABLE TRIGGER USER`.execute(tx);
    await sql`DELETE FROM event WHERE position > 2`.execute(tx);
  });

  await refused;
  await expect(log.tail.pointAfter(formatEventCursor({ epoch, position: 9n }))).rejects.toMatchObject({ code });
  await expect(log.stop()).rejects.toMatchObject({ code: 'EVENT_LOG_REPLACED' });
  await database.close();
});
