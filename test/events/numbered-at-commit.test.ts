/** Goal: what a writer numbers himself is what the sequencer would have numbered, and where he may not or cannot, he waits for nobody. Real PostgreSQL, several connections. */
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { createDatabase, type Database, type Transaction } from '../../src/db/connection.ts';
import { startEmbeddedPostgres } from '../../src/db/embedded.ts';
import { appendEvents, type EventDraft, LOG_CHANNEL, UNNUMBERED_CHANNEL } from '../../src/db/event-log.ts';
import { createEventSequencer } from '../../src/db/event-sequencer.ts';
import { migrate } from '../../src/db/migrate.ts';
import { createNotifications } from '../../src/db/notifications.ts';
import { noFailpoints } from '../../src/env/failpoint.ts';
import { createSystemLogger, systemClock, systemRandom } from '../../src/env/system.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { draftOf } from '../support/event-log.ts';
import { eventually } from '../support/eventually.ts';

const logger = createSystemLogger('silent');
const { signal } = new AbortController();
const deaf = { listen: () => () => undefined, close: async () => undefined };
let database: TestDatabase;
let db: Database;

beforeEach(async () => {
  database = await createTestDatabase();
  db = database.db;
  return async () => await database.close();
});

const sequencerOf = (on: Database) =>
  createEventSequencer({
    ...{ db: on, notifications: deaf, clock: systemClock, random: systemRandom, logger, signal },
    failpoint: noFailpoints,
  });

async function drain(on: Database = db): Promise<void> {
  const { sequence } = sequencerOf(on);
  while ((await sequence()) > 0);
}

async function append(on: Database, ...drafts: readonly EventDraft[]): Promise<void> {
  await on.transaction().execute(async (tx) => await appendEvents(tx, drafts));
}

async function numbered(on: Database = db): Promise<string[]> {
  const rows = await on.selectFrom('event').select(['position', 'event_id']).orderBy('position').execute();
  const { last_position: last } = await on.selectFrom('event_log').select('last_position').executeTakeFirstOrThrow();
  // Dense, and the end is where the log says.
  expect(rows.map(({ position }) => position)).toEqual(rows.map((_, line) => BigInt(line + 1)));
  expect(last).toBe(BigInt(rows.length));
  return rows.map(({ event_id: id }) => id);
}

async function waiting(on: Database = db): Promise<string[]> {
  const rows = await on.selectFrom('event_outbox').select('event_id').orderBy('seq').execute();
  return rows.map(({ event_id: id }) => id);
}

describe('a writer of few events', () => {
  test('numbers them with his commit, and tells who reads and nobody else', async () => {
    const heard = { log: 0, unnumbered: 0 };
    const common = { clock: systemClock, random: systemRandom, logger };
    const notifications = createNotifications({
      ...{ ...common, connectionString: database.connectionString, applicationName: 'sluice-test-listen' },
    });
    notifications.listen(LOG_CHANNEL, () => {
      heard.log += 1;
    });
    notifications.listen(UNNUMBERED_CHANNEL, () => {
      heard.unnumbered += 1;
    });
    await eventually(() => expect(heard).toEqual({ log: 1, unnumbered: 1 })); // Of the connection.
    await drain();

    await append(db, draftOf('b'), draftOf('a'));

    expect(await numbered()).toEqual(['b', 'a']);
    expect(await waiting()).toEqual([]);
    await eventually(() => expect(heard).toEqual({ log: 2, unnumbered: 1 }));
    await notifications.close();
  });

  test('takes with him what waited, in the order it was written', async () => {
    await append(db, draftOf('early'));
    expect(await waiting()).toEqual(['early']);
    await sql`UPDATE event_log SET vouched = log_voucher(pg_current_xact_id()::xid)`.execute(db);

    await append(db, draftOf('late'));

    expect(await numbered()).toEqual(['early', 'late']);
  });

  test('leaves nothing behind where his transaction does not hold', async () => {
    await drain();
    const failing = db.transaction().execute(async (tx) => {
      await appendEvents(tx, [draftOf('never')]);
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    await append(db, draftOf('after'));

    expect(await numbered()).toEqual(['after']);
  });

  test('numbers what a transaction says in several calls in their order, and an event that the log has not again', async () => {
    await drain();
    await append(db, draftOf('had'));
    await db.transaction().execute(async (tx) => {
      await appendEvents(tx, [draftOf('first')]);
      await appendEvents(tx, [draftOf('had')]);
      await appendEvents(tx, [draftOf('second')]);
    });

    expect(await numbered()).toEqual(['had', 'first', 'second']);
    expect(await waiting()).toEqual([]);
  });
});

describe('is left to the sequencer', () => {
  test('all, before it has looked at the log', async () => {
    await append(db, draftOf('unseen'));

    expect(await numbered()).toEqual([]);
    expect(await waiting()).toEqual(['unseen']);
  });

  test('what is written while somebody numbers: nobody waits for him', async () => {
    await drain();
    const busy = await db.startTransaction().execute();
    await sql`SELECT last_position FROM event_log FOR UPDATE`.execute(busy);

    await append(db, draftOf('not-waiting'));

    expect(await waiting()).toEqual(['not-waiting']);
    await busy.commit().execute();
    await drain();
    expect(await numbered()).toEqual(['not-waiting']);
  });

  test('a backlog: many of one call, and many of others', async () => {
    await drain();
    const many = Array.from({ length: 70 }, (_, line) => draftOf(`many-${line}`));
    await append(db, ...many);
    await append(db, draftOf('one-more'));

    expect(await numbered()).toEqual([]);
    await drain();
    expect(await numbered()).toEqual([...many.map(({ eventId }) => eventId), 'one-more']);
  });

  test('what is written with a snapshot that does not see what others have committed', async () => {
    await drain();
    await db
      .transaction()
      .setIsolationLevel('repeatable read')
      .execute(async (tx) => await appendEvents(tx, [draftOf('old-snapshot')]));

    expect(await waiting()).toEqual(['old-snapshot']);
  });

  test.each<[string, (tx: Transaction) => Promise<unknown>]>([
    [
      'gave it another epoch',
      async (tx) => await sql`UPDATE event_log SET epoch = 'fffe', last_position = last_position`.execute(tx),
    ],
    [
      'put its rows back from a backup',
      async (tx) => {
        await sql`CREATE TEMPORARY TABLE saved ON COMMIT DROP AS SELECT * FROM event_log`.execute(tx);
        await sql`DELETE FROM event_log`.execute(tx);
        await sql`INSERT INTO event_log SELECT * FROM saved`.execute(tx);
      },
    ],
  ])('all, after somebody else %s', async (_what, change) => {
    await drain();
    await append(db, draftOf('before'));
    expect(await numbered()).toEqual(['before']);
    await db.transaction().execute(change);

    await append(db, draftOf('after'));

    expect(await waiting()).toEqual(['after']);
    await drain();
    await append(db, draftOf('again'));
    expect(await numbered()).toEqual(['before', 'after', 'again']);
  });

  test('all, where an event stands already at the place that is next: no commit fails of it', async () => {
    await drain();
    await append(db, draftOf('one'), draftOf('two'));
    await sql`UPDATE event_log SET last_position = 1, vouched = log_voucher(pg_current_xact_id()::xid)`.execute(db);

    await append(db, draftOf('three'));

    expect(await waiting()).toEqual(['three']);
  });
});

describe('what goes wrong with the log keeps nobody from committing', () => {
  test('an event that cannot be put there waits, with all that is written after it', async () => {
    await drain();
    await sql`ALTER TABLE event ADD CONSTRAINT refuses CHECK (event_id <> 'poison')`.execute(db);

    await append(db, draftOf('poison'));
    await append(db, draftOf('after'));

    expect(await waiting()).toEqual(['poison', 'after']);
    expect(await numbered()).toEqual([]);
    await sql`ALTER TABLE event DROP CONSTRAINT refuses`.execute(db);
    await append(db, draftOf('mended'));
    expect(await numbered()).toEqual(['poison', 'after', 'mended']);
    expect(await waiting()).toEqual([]);
  });

  test('a lock of the whole log, as of an index that is made: it is not waited for', async () => {
    await drain();
    const busy = await db.startTransaction().execute();
    await sql`LOCK TABLE event IN SHARE MODE`.execute(busy);
    const startedAt = systemClock.nowMicros();

    for (const id of ['one', 'two', 'three']) await append(db, draftOf(id));

    expect(systemClock.nowMicros() - startedAt).toBeLessThan(4_000_000n);
    expect(await waiting()).toEqual(['one', 'two', 'three']);
    await busy.commit().execute();
    await append(db, draftOf('four'));
    expect(await numbered()).toEqual(['one', 'two', 'three', 'four']);
  });

  test('a lock of where the log ends that lets its row be locked, as of a trigger that is made: nobody fails by it', async () => {
    await drain();
    const busy = await db.startTransaction().execute();
    await sql`LOCK TABLE event_log IN SHARE ROW EXCLUSIVE MODE`.execute(busy);

    for (const id of ['one', 'two']) await append(db, draftOf(id));

    expect(await waiting()).toEqual(['one', 'two']);
    await busy.commit().execute();
    await append(db, draftOf('three'));
    expect(await numbered()).toEqual(['one', 'two', 'three']);
  });

  test('a lock of the name of the channel, as while its table is written anew: nobody fails by it', async () => {
    await drain();
    const busy = await db.startTransaction().execute();
    await sql`LOCK TABLE news_channel IN ACCESS EXCLUSIVE MODE`.execute(busy);

    for (const id of ['one', 'two']) await append(db, draftOf(id));

    expect(await waiting()).toEqual(['one', 'two']);
    await busy.commit().execute();
    await append(db, draftOf('three'));
    expect(await numbered()).toEqual(['one', 'two', 'three']);
  });

  test.each([
    ['gone', sql`DELETE FROM news_channel`],
    [
      'there twice, as after rows were put back over those of a new database',
      sql`INSERT INTO news_channel VALUES ('another')`,
    ],
    ['none that the server takes', sql`UPDATE news_channel SET name = ''`],
  ])('the name of the channel is %s: nobody fails by it', async (_what, change) => {
    await drain();
    await change.execute(db);

    await append(db, draftOf('one'));

    expect([...(await numbered()), ...(await waiting())]).toEqual(['one']);
  });
});

test('C10: many writers with a sequencer beside them: dense, each once, each subject in the order of its changes', async () => {
  await drain();
  await db.insertInto('network').values({ name: 'subject' }).execute();
  const order: string[] = [];
  const change = async (writer: number, line: number): Promise<void> =>
    await db.transaction().execute(async (tx) => {
      const eventId = `${writer}-${line}`;
      const isOfSubject = line % 2 === 0;
      if (isOfSubject) {
        await tx.updateTable('network').set({ name: 'subject' }).where('name', '=', 'subject').execute();
        order.push(eventId);
      }
      await appendEvents(tx, [draftOf(eventId)]);
    });
  let isDone = false;
  const sequencing = (async () => {
    const { sequence } = sequencerOf(db);
    while (!isDone) if ((await sequence()) === 0) await systemClock.sleep(3);
  })();

  const writers = Array.from({ length: 6 }, async (_, writer) => {
    for (let line = 0; line < 40; line += 1) await change(writer, line);
  });
  await Promise.all(writers);
  isDone = true;
  await sequencing;
  await drain();

  const ids = await numbered();
  expect(new Set(ids).size).toBe(240);
  expect(ids.filter((id) => order.includes(id))).toEqual(order);
  for (let writer = 0; writer < 6; writer += 1) {
    const own = ids.filter((id) => id.startsWith(`${writer}-`));
    expect(own).toEqual(Array.from({ length: 40 }, (_, line) => `${writer}-${line}`));
  }
});

describe('over a server that starts anew', () => {
  vi.setConfig({ testTimeout: 60_000 });

  test('nothing is numbered before the sequencer has looked: its files may be those of yesterday', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sluice-numbering-'));
    await chmod(folder, 0o755); // The server may run as another user.
    const start = async () =>
      await startEmbeddedPostgres({
        ...{ baseDirectory: folder, name: 'server', port: 0, clock: systemClock, random: systemRandom, logger },
      });
    const work = async (connectionString: string, act: (on: Database) => Promise<void>) => {
      const own = createDatabase({ connectionString, applicationName: 'test', poolSizeMax: 2, logger });
      await act(own.db);
      await own.close();
    };
    let server = await start();
    await migrate({ connectionString: server.connectionString, logger });
    await work(server.connectionString, async (on) => {
      await drain(on);
      await append(on, draftOf('before'));
      expect(await numbered(on)).toEqual(['before']);
    });
    await server.stop();

    server = await start();
    await work(server.connectionString, async (on) => {
      await append(on, draftOf('after'));
      expect(await waiting(on)).toEqual(['after']);
      await drain(on);
      await append(on, draftOf('again'));
      expect(await numbered(on)).toEqual(['before', 'after', 'again']);
    });
    await server.stop();
    await rm(folder, { recursive: true });
  });
});
