/** The embedded server against its own life: it must never outlive its process, and never be in the way of the next start. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import pg from 'pg';
import { afterEach, expect, test } from 'vitest';
import {
  type EmbeddedPostgres,
  type EmbeddedPostgresOptions,
  findRunningPostgres,
  startEmbeddedPostgres,
} from '../../src/db/embedded.ts';
import { createSystemLogger, systemClock, systemRandom } from '../../src/env/system.ts';
import { eventually } from '../support/eventually.ts';

const cleanUps: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

function newName(): string {
  return `test-${systemRandom.uuid()}`;
}

async function start(options: Partial<EmbeddedPostgresOptions> = {}): Promise<EmbeddedPostgres> {
  const server = await startEmbeddedPostgres({
    baseDirectory: null,
    name: null,
    port: 0,
    clock: systemClock,
    random: systemRandom,
    logger: createSystemLogger('error'),
    ...options,
  });
  cleanUps.push(async () => {
    await server.stop();
    await rm(server.directory, { recursive: true, force: true });
  });
  return server;
}

type Child = {
  readonly process: ChildProcess;
  readonly connectionString: string;
  readonly directory: string;
  readonly postmasterPid: number;
};

async function startChild(name: string): Promise<Child> {
  const child = spawn(process.execPath, [join(import.meta.dirname, '../support/embedded-child.ts'), name], {
    detached: true, // A process group of its own, as a terminal gives one to its foreground job.
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  cleanUps.push(async () => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
  });
  const [line] = await once(createInterface(child.stdout), 'line');
  const told = JSON.parse(String(line));
  const postmaster = await readFile(join(told.directory, 'data/postmaster.pid'), 'utf8');
  cleanUps.push(async () => await rm(told.directory, { recursive: true, force: true }));
  return { process: child, ...told, postmasterPid: Number(postmaster.split('\n')[0]) };
}

async function query(connectionString: string, statement: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(statement)).rows;
  } finally {
    await client.end();
  }
}

/** A dead process that nobody has asked about yet (state Z) is not alive. */
async function isAlive(pid: number): Promise<boolean> {
  try {
    return !/^State:\s+Z/m.test(await readFile(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

async function parentOf(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^PPid:\s+(\d+)$/m.exec(status)?.[1]);
}

async function childrenOf(pid: number): Promise<readonly number[]> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8');
  return children.trim().split(' ').map(Number);
}

test('is durable, sorts by code point and listens on loopback only', async () => {
  const server = await start();

  const settings = await query(
    server.connectionString,
    "SELECT name, setting FROM pg_settings WHERE name IN ('fsync', 'listen_addresses', 'unix_socket_directories', 'server_encoding')",
  );
  const [locale] = await query(
    server.connectionString,
    'SELECT datcollate, datctype FROM pg_database WHERE datname = current_database()',
  );

  expect(Object.fromEntries(settings.map((row) => [row['name'], row['setting']]))).toEqual({
    fsync: 'on',
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    server_encoding: 'UTF8',
  });
  expect(locale).toEqual({ datcollate: 'C', datctype: 'C' });
  expect((await stat(join(server.directory, 'password'))).mode & 0o777).toBe(0o600);
});

test('a throw-away server leaves nothing, and stopping it twice is harmless', async () => {
  const server = await start();

  await server.stop();
  await server.stop();

  await expect(stat(server.directory)).rejects.toMatchObject({ code: 'ENOENT' });
  await expect(query(server.connectionString, 'SELECT 1')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
});

test('a persistent server keeps its data and password, and refuses a second start beside it', async () => {
  const name = newName();
  const first = await start({ name });
  await query(first.connectionString, 'CREATE TABLE kept AS SELECT 42 AS answer');

  await expect(start({ name })).rejects.toMatchObject({ code: 'EMBEDDED_IN_USE' });
  await first.stop();
  const second = await start({ name });

  expect(await query(second.connectionString, 'SELECT answer FROM kept')).toEqual([{ answer: 42 }]);
});

test('the server dies with a killed owner, and its data serves the next start', async () => {
  const name = newName();
  const child = await startChild(name);
  await query(child.connectionString, 'CREATE TABLE kept AS SELECT 42 AS answer');
  await expect(start({ name })).rejects.toMatchObject({ code: 'EMBEDDED_IN_USE' });

  child.process.kill('SIGKILL');

  await eventually(async () => expect(await isAlive(child.postmasterPid)).toBe(false));
  const next = await start({ name });
  expect(await query(next.connectionString, 'SELECT answer FROM kept')).toEqual([{ answer: 42 }]);
});

test('the next start waits for the server of an owner killed a moment ago', async () => {
  const name = newName();
  const child = await startChild(name);

  child.process.kill('SIGKILL');
  await once(child.process, 'exit');
  const next = await start({ name });

  expect(await isAlive(child.postmasterPid)).toBe(false);
  expect(await query(next.connectionString, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
});

test('a server whose owner and supervisor were both killed is ended by the next start', async () => {
  const name = newName();
  const child = await startChild(name);
  const supervisorPid = await parentOf(child.postmasterPid);

  const helpers = (await childrenOf(supervisorPid)).filter((pid) => pid !== child.postmasterPid);
  for (const pid of [supervisorPid, ...helpers]) process.kill(pid, 'SIGKILL');
  child.process.kill('SIGKILL');
  await once(child.process, 'exit');
  expect(await isAlive(child.postmasterPid)).toBe(true);
  const next = await start({ name });

  expect(await isAlive(child.postmasterPid)).toBe(false);
  expect(await query(next.connectionString, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
});

test('the folder of a throw-away server is gone after its owner was killed', async () => {
  const child = await startChild('-');

  child.process.kill('SIGKILL');

  await eventually(async () => expect(await isAlive(child.postmasterPid)).toBe(false));
  // What the supervisor may not remove itself (an empty folder, under root), the next start does.
  await eventually(
    async () => await expect(stat(join(child.directory, 'data'))).rejects.toMatchObject({ code: 'ENOENT' }),
  );
  await start();
  await expect(stat(child.directory)).rejects.toMatchObject({ code: 'ENOENT' });
});

test('Ctrl-C in the terminal reaches the owner, not the server; SIGTERM ends both in order', async () => {
  const child = await startChild('-');
  const { pid, stdout } = child.process;
  if (pid === undefined || stdout === null) throw new Error('The child did not start.');
  const told = once(stdout, 'data');

  process.kill(-pid, 'SIGINT');
  expect(String((await told)[0])).toContain('interrupted');
  expect(await query(child.connectionString, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);

  child.process.kill('SIGTERM');
  expect(await once(child.process, 'exit')).toEqual([0, null]);
  expect(await isAlive(child.postmasterPid)).toBe(false);
});

test('a stale postmaster.pid with the number of another living process is no obstacle', async () => {
  const name = newName();
  const first = await start({ name });
  await first.stop();
  await writeFile(
    join(first.directory, 'data/postmaster.pid'),
    `${process.pid}\n${first.directory}/data\n0\n1\n\n127.0.0.1\n\nready   \n`,
  );

  const second = await start({ name });

  expect(await query(second.connectionString, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
});

test('a start that was killed while it created the data is repeated', async () => {
  const name = newName();
  const first = await start({ name });
  await first.stop();
  await rm(join(first.directory, 'data'), { recursive: true });
  await mkdir(join(first.directory, 'data.unfinished/base'), { recursive: true });

  const second = await start({ name });

  expect(await query(second.connectionString, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
});

test('a taken port and a wrong setting are told apart, and nothing keeps running', async () => {
  const holder = createServer();
  await new Promise<void>((resolve) => {
    holder.listen(0, '127.0.0.1', resolve);
  });
  cleanUps.push(async () => {
    holder.close();
  });
  const address = holder.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;

  await expect(start({ port })).rejects.toMatchObject({ code: 'EMBEDDED_PORT_IN_USE', facts: { port } });
  await expect(start({ settings: { shared_buffers: 'much' } })).rejects.toMatchObject({
    code: 'EMBEDDED_START_FAILED',
    message: expect.stringContaining('invalid value for parameter "shared_buffers"'),
  });
});

test('a guest finds the server that another one runs, and nothing once it has stopped', async () => {
  const name = newName();
  const place = { baseDirectory: null, name, random: systemRandom };
  const server = await start({ name });
  await query(server.connectionString, 'CREATE TABLE seen AS SELECT 1 AS line');

  await expect(start({ name })).rejects.toMatchObject({ code: 'EMBEDDED_IN_USE' });
  const found = await findRunningPostgres(place);

  expect(await query(found ?? '', 'SELECT line FROM seen')).toEqual([{ line: 1 }]);
  await server.stop();
  expect(await findRunningPostgres(place)).toBeNull();
});
