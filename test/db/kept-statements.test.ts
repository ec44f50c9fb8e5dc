import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { sql } from 'kysely';
import { afterAll, expect, test } from 'vitest';
import { createDatabase, type Database, type DatabaseOptions } from '../../src/db/connection.ts';
import { createSystemLogger } from '../../src/env/system.ts';
import { createTestDatabase } from '../support/database.ts';
import { eventually } from '../support/eventually.ts';

/**
 * A connection keeps what it is asked again and again. Whatever happens to what it kept (a table that changes under it, a pooler that forgets it), nothing wrong is answered, and what fails is safe to repeat
 * and succeeds then.
 */
const database = await createTestDatabase();
const open = (options: Partial<DatabaseOptions> = {}) =>
  createDatabase({
    connectionString: database.connectionString,
    applicationName: 'sluice-keeping',
    poolSizeMax: 1,
    logger: createSystemLogger('silent'),
    ...options,
  });
const kept = open();
const { db } = kept;
afterAll(async () => {
  await kept.close();
  await database.close();
});

const countKept = async (of = db): Promise<bigint | undefined> =>
  (await sql<{ count: bigint }>`SELECT count(*) FROM pg_prepared_statements`.execute(of)).rows[0]?.count;

async function six<T>(ask: () => Promise<T>): Promise<T[]> {
  const answers: T[] = [];
  for (let time = 0; time < 6; time += 1) answers.push(await ask());
  return answers;
}

test('what is asked again and again is kept, and answers each time by its own values', async () => {
  let asked = 0;
  const answers = await six(async () => {
    asked += 1;
    return (await sql<{ twice: number }>`SELECT ${asked}::int * 2 AS twice`.execute(db)).rows[0]?.twice;
  });

  expect(answers).toEqual([2, 4, 6, 8, 10, 12]);
  expect(await countKept()).toBe(1n);
});

test('what is asked otherwise each time is not kept, however much of it there is', async () => {
  const before = await countKept();

  for (let index = 0; index < 1_200; index += 1) await sql`SELECT ${index}::int AS ${sql.id(`c${index}`)}`.execute(db);

  expect(await countKept()).toBe(before);
});

test('a lane may keep nothing', async () => {
  const plain = open({ keepsStatements: false });
  await six(async () => await sql`SELECT ${1}::int`.execute(plain.db));

  expect(await countKept(plain.db)).toBe(0n);

  await plain.close();
});

test('a lane whose statements are for few rows now and for many then keeps them for few, and plans anew for many', async () => {
  const lane = open({ keepsStatements: 'FOR_FEW' });
  const sizes: number[] = [];
  const longest = async (rows: readonly string[]): Promise<void> => {
    const { rows: found } = await sql<{ size: number }>`
      SELECT max(length(part))::int AS size FROM unnest(${rows}::text[]) AS part`.execute(lane.db);
    sizes.push(found[0]?.size ?? 0);
  };
  await six(async () => await longest(['x'.repeat(40_000)]));
  expect(await countKept(lane.db)).toBe(0n);

  await six(async () => await longest(['x', 'xx']));
  expect(await countKept(lane.db)).toBe(1n);
  await longest(['x'.repeat(40_000)]);

  expect(sizes).toEqual([...Array.from({ length: 6 }, () => 40_000), ...Array.from({ length: 6 }, () => 2), 40_000]);
  await lane.close();
});

test('what is kept is no older than a connection may be: a plan for an empty table does not stay for days where nobody analyses', async () => {
  const aging = open({ lifetimeSeconds: 1 });
  await six(async () => await sql`SELECT ${1}::int`.execute(aging.db));
  expect(await countKept(aging.db)).toBe(1n);

  await eventually(async () => expect(await countKept(aging.db)).toBe(0n));
  await aging.close();
});

test('a table that changes under a kept statement costs one repetition, and the new shape is read then', async () => {
  await sql`CREATE TABLE changing (id int PRIMARY KEY, name text)`.execute(db);
  await sql`INSERT INTO changing VALUES (1, 'one')`.execute(db);
  const read = async () => (await sql`SELECT * FROM changing WHERE id = ${1}::int`.execute(db)).rows;
  await six(read);
  await sql`ALTER TABLE changing ADD COLUMN more text NOT NULL DEFAULT 'more'`.execute(db);

  await expect(
    db.transaction().execute(async (tx) => await sql`SELECT * FROM changing WHERE id = ${1}::int`.execute(tx)),
  ).rejects.toMatchObject({
    code: 'DB_CONFLICT',
    retryable: true,
    facts: { sqlState: '0A000' },
  });

  expect(await read()).toEqual([{ id: 1, name: 'one', more: 'more' }]);
});

test('a table that changes costs one repetition, however many connections keep what read it', async () => {
  const wide = open({ poolSizeMax: 3 });
  await sql`CREATE TABLE shared (id int PRIMARY KEY)`.execute(wide.db);
  const read = async (by: Database) => (await sql`SELECT * FROM shared WHERE id = ${1}::int`.execute(by)).rows;
  const overEach = async (times: number): Promise<void> => {
    const over = async (own: Database): Promise<void> => {
      for (let time = 0; time < times; time += 1) await read(own);
    };
    await Promise.all(Array.from({ length: 3 }, () => wide.db.connection().execute(over)));
  };
  await overEach(6);
  expect(wide.pool.totalCount).toBe(3);
  await sql`ALTER TABLE shared ADD COLUMN more text`.execute(wide.db);

  await expect(read(wide.db)).rejects.toMatchObject({ code: 'DB_CONFLICT', facts: { sqlState: '0A000' } });

  await overEach(6);
  await wide.close();
});

/** As a pooler that gives each transaction another session of the server: what the first two clients send goes, once it is crossed, to the session of the other. */
async function createPooler() {
  const target = new URL(database.connectionString);
  const clients: Socket[] = [];
  const sessions: Socket[] = [];
  let isCrossed = false;
  const crossed = (index: number): number => (isCrossed && index < 2 ? 1 - index : index);
  const server = createServer((client) => {
    const session = connect({ host: target.hostname, port: Number(target.port) });
    const index = clients.push(client) - 1;
    sessions.push(session);
    client.on('data', (chunk) => sessions[crossed(index)]?.write(chunk));
    session.on('data', (chunk) => clients[crossed(index)]?.write(chunk));
    for (const socket of [client, session]) socket.on('error', () => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = new URL(target);
  url.host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    connectionString: url.href,
    cross: () => {
      isCrossed = true;
    },
    close: () => {
      for (const socket of [...clients, ...sessions]) socket.destroy();
      server.close();
    },
  };
}

test('where a pooler gives it the session of somebody else, what that one kept there is never run in the place of what is asked', async () => {
  const { connectionString, cross, close } = await createPooler();
  const [one, other] = [open({ connectionString }), open({ connectionString })];
  const twice = async (value: number) =>
    (await sql<{ value: number }>`SELECT ${value}::int * 2 AS value`.execute(one.db)).rows[0]?.value;
  await six(async () => await twice(3));
  await six(async () => await sql`SELECT -${3}::int AS value`.execute(other.db));
  cross();

  await expect(twice(4)).rejects.toMatchObject({ code: 'DB_CONFLICT', retryable: true, facts: { sqlState: '26000' } });

  expect(await twice(4)).toBe(8);
  await Promise.all([one.close(), other.close()]);
  close();
});

test('where something between us and the server forgets what was kept, one statement fails, safe to repeat, and nothing is kept any more', async () => {
  const pooled = open();
  const ask = async (value: number) =>
    (await sql<{ value: number }>`SELECT ${value}::int AS value`.execute(pooled.db)).rows;
  await six(async () => await ask(7));
  await sql`DEALLOCATE ALL`.execute(pooled.db);

  await expect(ask(8)).rejects.toMatchObject({ code: 'DB_CONFLICT', retryable: true, facts: { sqlState: '26000' } });

  expect(await six(async () => await ask(9))).toEqual(Array.from({ length: 6 }, () => [{ value: 9 }]));
  expect(await countKept(pooled.db)).toBe(0n);
  await pooled.close();
});

test('a kept statement that fails by its values is kept all the same', async () => {
  await sql`CREATE TABLE once (id int PRIMARY KEY)`.execute(db);
  const insert = async (id: number) => await sql`INSERT INTO once VALUES (${id}::int)`.execute(db);
  for (const id of [1, 2, 3, 4]) await insert(id);
  const before = await countKept();

  await expect(insert(4)).rejects.toMatchObject({ code: 'DB_CONSTRAINT' });
  await insert(5);

  expect(await countKept()).toBe(before);
});
