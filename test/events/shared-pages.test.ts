/** Goal: what many readers are behind by is read once for all of them, and every one of them still gets it whole and in order. */
import { beforeAll, expect, test } from 'vitest';
import type { EventReader } from '../../src/db/event-tail.ts';
import { createSeededRandom } from '../../src/env/random.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { append, draftOf, startEventLog } from '../support/event-log.ts';
import { eventually } from '../support/eventually.ts';

const EVENTS = 2_000n;
const LIMITS = { countMax: 32, bytesMax: 64 * 1024 };
let database: TestDatabase;

beforeAll(async () => {
  database = await createTestDatabase();
  const types = ['test.a', 'test.b'];
  const drafts = Array.from({ length: Number(EVENTS) }, (_, line) => draftOf(`event-${line}`, types[line % 2]));
  await append(database, ...drafts);
  return async () => await database.close();
});

async function readAll(reader: EventReader, count: number): Promise<bigint[]> {
  const positions: bigint[] = [];
  while (positions.length < count) {
    const events = await reader.take(LIMITS);
    if (events.length === 0) break;
    positions.push(...events.map(({ position }) => position));
  }
  return positions;
}

async function openedAt(position: bigint) {
  const log = await startEventLog(database, { ringCountMax: 10 });
  await eventually(() => expect(log.tail.head().position).toBeGreaterThanOrEqual(position));
  return log;
}

const upFrom = (after: bigint, step = 1n): bigint[] =>
  Array.from({ length: Number((EVENTS - after) / step) }, (_, line) => after + (BigInt(line) + 1n) * step);

test('300 readers at the same place cost as many pages as one', async () => {
  const log = await openedAt(EVENTS);
  const readers = Array.from({ length: 300 }, () => log.tail.read({ after: 0n }));

  const all = await Promise.all(readers.map(async (reader) => await readAll(reader, Number(EVENTS))));

  for (const positions of all) expect(positions).toEqual(upFrom(0n));
  expect(log.tail.stats().pagesRead).toBeLessThanOrEqual(Number(EVENTS) / 100);
  expect(log.tail.stats().readAhead).toBe(0);
  for (const reader of readers) reader.close();
  await log.stop();
});

test('readers that begin apart go on together, of some types as of all', async () => {
  const log = await openedAt(EVENTS);
  const random = createSeededRandom(7);
  const readers = Array.from({ length: 300 }, (_, line) => {
    const after = BigInt(Math.trunc(random.next() * 150)) * 2n;
    const types = line % 3 === 0 ? ['test.b'] : null;
    return { after, types, reader: log.tail.read({ after, ...(types === null ? {} : { types }) }) };
  });

  await Promise.all(
    readers.map(async ({ after, types, reader }) => {
      const expected = types === null ? upFrom(after) : upFrom(after, 2n);
      expect(await readAll(reader, expected.length)).toEqual(expected);
    }),
  );

  // By itself each would read twenty, or ten: 5,000.
  expect(log.tail.stats().pagesRead).toBeLessThan(150);
  for (const { reader } of readers) reader.close();
  await log.stop();
});

test('a reader that leaves takes nobody with it who waits for the same page', async () => {
  const log = await openedAt(EVENTS);
  const leaving = log.tail.read({ after: 0n });
  const staying = log.tail.read({ after: 0n });

  const left = leaving.take(LIMITS);
  const stayed = staying.take(LIMITS);
  leaving.close();

  expect(await left).toEqual([]);
  expect((await stayed).map(({ position }) => position)).toEqual(upFrom(0n).slice(0, LIMITS.countMax));
  expect(log.tail.stats().readAhead).toBe(100 - LIMITS.countMax);
  staying.rest();
  expect(log.tail.stats().readAhead).toBe(0);
  expect((await staying.take({ ...LIMITS, countMax: 1 })).map(({ position }) => position)).toEqual([33n]);
  staying.close();
  await log.stop();
});
